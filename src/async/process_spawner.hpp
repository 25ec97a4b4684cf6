/// The one thread that forks. PDEATHSIG follows the thread that forked, so it lives as long as the
/// process: started at the first use and deliberately never ended. The main thread may fork by
/// itself, for it lives as long.
#pragma once
#include <sys/types.h>

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace brigade::detail {

/// A descriptor that becomes readable when the process ends; below 0: errno says why not.
[[nodiscard]] int open_pidfd(pid_t id) noexcept;

/// Whether the calling thread is the one the process began with.
[[nodiscard]] bool on_main_thread() noexcept;

/// Owns a descriptor.
class unique_fd {
 public:
  explicit unique_fd(int fd = -1) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~unique_fd() { reset(-1); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd) noexcept;

 private:
  int fd_;
};

/// Both ends close on exec, and neither is 0, 1 or 2. Throws std::system_error.
struct pipe_ends {
  pipe_ends();
  unique_fd read;
  unique_fd write;
};

/// Where the way from fork to exec ended.
enum class spawn_step : int { fork, orphaned, descriptors, directory, exec, done };

/// What the child needs, laid out before the fork: between fork and exec nothing may allocate.
struct spawn_plan {
  std::string program;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string directory;                                                       ///< empty: stay
  std::array<unique_fd, 3> streams = {unique_fd(), unique_fd(), unique_fd()};  ///< the child's ends
};

struct spawn_outcome {
  spawn_step step = spawn_step::fork;
  int error = 0;
  pid_t id = -1;
};

/// A start on its way. The spawner closes `finished` when `outcome` is set; when nobody wants it
/// any more (`abandon`), the child is killed and reaped.
class spawn_job {
 public:
  spawn_job(spawn_plan plan_, unique_fd finished)
      : plan(std::move(plan_)), finished_(std::move(finished)) {}
  /// Takes the outcome over; nothing is left to abandon. Only once `finished` was closed.
  [[nodiscard]] spawn_outcome take();
  void abandon();
  /// By the spawner.
  void complete(spawn_outcome outcome);

  spawn_plan plan;

 private:
  std::mutex mutex_;
  spawn_outcome outcome_;
  bool completed_ = false;
  bool abandoned_ = false;
  unique_fd finished_;
};

class spawner {
 public:
  static spawner& instance();
  void start(std::shared_ptr<spawn_job> job);
  /// At once, on the calling thread, which must be the main one.
  static spawn_outcome start_here(spawn_plan plan);
  /// Kills the group of a child that was not reaped yet, and reaps it.
  void bury(pid_t id);

 private:
  spawner();
  void serve();
  void wait_for_work();
  static void perform(spawn_job& job);
  static spawn_outcome outcome_of(spawn_plan& plan);
  void wake() noexcept;

  struct dying {
    pid_t id;
    unique_fd ended;
  };
  std::mutex mutex_;
  std::vector<std::shared_ptr<spawn_job>> starts_;
  std::vector<pid_t> burials_;
  std::vector<dying> dying_;  ///< killed and not yet reaped; the thread's own
  unique_fd wake_;
};

}  // namespace brigade::detail
