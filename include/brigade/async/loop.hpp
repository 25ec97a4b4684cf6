/// The loop: runs the tasks of one thread, keeps their time, and says so when nothing can go on.
///
/// Tasks of one loop never race. A task runs until it waits; what becomes ready runs in the order
/// it became ready. Outside events (threads, processes, descriptors) are looked at when the loop is
/// idle and at least every 64 steps. When no task can run, no timer is armed and nothing from
/// outside is awaited, all tasks are cancelled and `deadlock` is thrown, naming each.
///
/// Thread safety: everything on the loop's thread, but for `post` and `wake`.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace brigade {

namespace testing {
class virtual_loop;
}

namespace detail {

class future_state;

/// How a loop sees time and the world; the real one hides Boost.Asio.
class driver {
 public:
  virtual ~driver() = default;
  [[nodiscard]] virtual time_point now() = 0;
  /// Runs what has come in from outside, without waiting.
  virtual void poll() = 0;
  /// Waits for something from outside, at most until `deadline` (`time_point::max()`: for ever).
  virtual void wait_until(time_point deadline) = 0;
  /// Ends `wait_until`. From any thread.
  virtual void wake() noexcept = 0;
  /// Which of `ready` tasks runs next; 0 is the one that has been ready longest.
  virtual std::size_t choose(std::size_t ready) {
    static_cast<void>(ready);
    return 0;
  }
};

/// What other threads hold of a loop: they may outlive it.
class mailbox {
 public:
  explicit mailbox(driver& target) : driver_(&target) {}
  /// False: the loop is gone, `work` was dropped.
  bool post(std::function<void()> work);
  /// Has the loop look outside soon; costs a system call only while it sleeps.
  void ring() noexcept;
  void close();
  [[nodiscard]] std::vector<std::function<void()>> take();
  [[nodiscard]] bool pending() const { return pending_.load(std::memory_order_acquire); }
  /// By the loop, round its sleep. False: something has come, it must not sleep.
  bool fall_asleep() noexcept {
    asleep_.store(true);
    return !pending_.load();
  }
  void wake_up() noexcept { asleep_.store(false, std::memory_order_relaxed); }

 private:
  void wake_sleeper() noexcept;
  std::mutex mutex_;
  driver* driver_;
  std::vector<std::function<void()>> posted_;
  std::atomic<bool> pending_{false};
  std::atomic<bool> asleep_{false};
};

/// What joins a loop to others; see detail/junction.hpp.
class junction {
 public:
  virtual ~junction() = default;
  /// Once a turn, on the loop's thread: takes what others have for it, and the other way round.
  virtual void look(bool idle) = 0;
  /// Asked when nothing else could wake the loop: whether another loop or thread still may.
  virtual bool others_may_act() = 0;
  /// Waits a little for others, awake. True: something has come.
  virtual bool linger() = 0;
  virtual void woke_up() = 0;
};

std::unique_ptr<driver> make_reactor();

}  // namespace detail

enum class dump_format : std::uint8_t { text, json };

class loop : private detail::scheduler {
 public:
  /// How many operations that need not wait a task may do in a row before the others get a turn.
  static constexpr int turn_budget = 128;
  static constexpr int steps_between_polls = 64;

  loop();
  /// With a driver of one's own: virtual time, seeded order (see testing/virtual_loop.hpp).
  explicit loop(std::unique_ptr<detail::driver> world);
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  /// The loop that runs on this thread; none is a misuse (asserted).
  [[nodiscard]] static loop& current() {
    BRIGADE_ASSERT(detail::this_scheduler != nullptr, "no loop runs on this thread");
    return static_cast<loop&>(*detail::this_scheduler);
  }
  [[nodiscard]] static loop* current_if_any() noexcept {
    return static_cast<loop*>(detail::this_scheduler);
  }

  /// Runs `main` to its end, then cancels what is left and waits for it.
  /// Throws what `main` throws, or `deadlock`; `invalid_state` when a loop runs on this thread.
  template <class T>
  T run(task<T> main) {
    refuse_nested_run();
    auto handle = spawn_on(*this, std::move(main), "main");
    drive(handle.record());
    end_leftovers();
    rethrow_deadlock();
    return handle.result();
  }

  /// Runs `work` on the loop's thread, soon; what is posted once the main task has ended may be
  /// dropped. From any thread.
  void post(std::function<void()> work) { mailbox_->post(std::move(work)); }
  [[nodiscard]] std::shared_ptr<detail::mailbox> mailbox() const { return mailbox_; }

  /// Time as of the last look at the clock; a look costs 34 ns, so it is not taken at every step.
  [[nodiscard]] detail::time_point now() const { return now_; }
  void refresh_now() { now_ = driver_->now(); }

  /// One step of the loop, for tests that drive it by hand: false when nothing is ready.
  bool step();
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  /// All unfinished tasks, children behind and below their parents: what each waits on, since when,
  /// and the source line of the wait. As JSON: an array of objects with `id`, `name`, `parent` (0:
  /// none), `state`, `background` and, of one that waits, `waits_for`, `where`, `seconds`,
  /// `blocked_by` (ids).
  [[nodiscard]] std::string dump_tasks(dump_format format = dump_format::text) const;
  [[nodiscard]] std::size_t task_count() const { return task_count_; }
  /// All unfinished tasks, oldest first.
  [[nodiscard]] std::vector<task_ref> tasks() const;
  /// Destroys the frame of a task where it waits, as a crash would; not for the running one.
  void kill(detail::task_state& record) noexcept;
  /// The same for every task but the running one.
  void kill_others() noexcept;
  /// Tasks left over at the end of `run` that did not end when cancelled get this long.
  void set_leftover_timeout(std::chrono::nanoseconds limit) { leftover_timeout_ = limit; }
  /// Told of each error nobody awaited; the default writes a line to stderr.
  std::function<void(const std::string& task_name, const std::exception_ptr&)> on_unhandled;
  /// Told, in a line for people, of what is not right and goes on: tasks that wait for each other,
  /// a step that held the loop for long, a task that swallows its cancellation, one that did not
  /// end with the loop. The default writes the line to stderr.
  std::function<void(const std::string& warning)> on_warning;
  /// A step that holds the loop for longer is named; from the second slow stretch on, for steps
  /// are timed one by one only while there is reason to. 0: never.
  void set_slow_step_limit(std::chrono::nanoseconds limit) { slow_step_limit_ = limit; }

  // --- for the primitives ---
  void make_ready(detail::runnable& entry) noexcept {
    ready_.push_back(&entry);
    ++ready_count_;
  }
  void forget_ready() noexcept { --ready_count_; }
  /// Names the circle when the wait that has just begun closes one of tasks that wait for each
  /// other.
  void look_for_circle(const detail::waiter& begun) const;
  void warn(const std::string& text) const;
  [[nodiscard]] detail::task_state* running() const { return running_; }
  /// True while the running task may go on without a turn of the loop.
  [[nodiscard]] static bool spend() noexcept {
    if (detail::turn_budget_left <= 1) [[unlikely]]
      return false;
    --detail::turn_budget_left;
    return true;
  }
  [[nodiscard]] static int budget() { return detail::turn_budget_left; }
  static void exhaust_budget() noexcept { detail::turn_budget_left = 0; }
  [[nodiscard]] detail::timer_queue& timers() { return timers_; }
  [[nodiscard]] detail::driver& world() { return *driver_; }
  void adopt(detail::future_state& future) noexcept;
  [[nodiscard]] std::unique_ptr<detail::junction>& junction() { return junction_; }
  void outside_wait_begins(bool background) noexcept { outside_ += background ? 0 : 1; }
  void outside_wait_ends(bool background) noexcept { outside_ -= background ? 0 : 1; }

 protected:
  /// For one that is driven by hand: makes it this thread's, or nobody's.
  void enter_thread() noexcept { detail::this_scheduler = this; }
  static void leave_thread() noexcept { detail::this_scheduler = nullptr; }

 private:
  friend class detail::task_state;
  friend class cancel_scope;
  friend class task_group;
  friend class testing::virtual_loop;
  friend class runner;
  friend void detail::root_finished(detail::task_state& record) noexcept;

  static void refuse_nested_run();
  void drive(detail::task_state& main);
  void enter(detail::task_state* record) noexcept;
  void run_now(detail::task_state& record, std::coroutine_handle<> frame);
  void run_timed(detail::task_state& record, const detail::waiter& wait);
  void look_at_turn();
  bool step_inline();
  void turn();
  void look_outside(bool may_wait);
  void rest_until(detail::time_point deadline);
  void rethrow_deadlock();
  /// Names of those that did not end in time.
  std::vector<std::string> end_leftovers();
  void run_all_posted();
  void run_posted(const std::function<void()>& work);
  void found_deadlock();
  void adopt(detail::task_state& record);
  void retire(detail::task_state& record) noexcept;
  void bury() noexcept;
  [[nodiscard]] std::vector<detail::task_state*> unfinished() const;
  detail::runnable& pick();

  std::unique_ptr<detail::driver> driver_;
  std::shared_ptr<detail::mailbox> mailbox_;
  bool plain_steps_ = false;      ///< that takes the first, and no step is timed
  bool takes_the_first_ = false;  ///< its driver does not choose who runs next
  detail::timer_queue timers_;
  std::size_t outside_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t next_task_id_ = 1;
  std::size_t task_count_ = 0;
  std::chrono::nanoseconds slow_step_limit_ = std::chrono::milliseconds(500);
  std::uint64_t turn_began_ = 0;  ///< in steps
  detail::time_point turn_began_at_;
  int steps_to_time_ = 0;
  std::vector<detail::task_state*> finished_;
  mutable std::vector<const detail::task_state*> blockers_;  ///< kept for its room
  detail::link_list futures_;
  detail::link_list failed_;  ///< ended by an error that nobody may ever await
  cancel_scope scope_;
  std::string deadlock_;
  std::uint64_t deadlock_step_ = 0;
  std::chrono::nanoseconds leftover_timeout_ = std::chrono::seconds(5);
  std::unique_ptr<detail::junction> junction_;
};

/// Runs `main` on a loop of its own in this thread and gives its result.
template <class T>
T run(task<T> main) {
  loop own;
  return own.run(std::move(main));
}

}  // namespace brigade
