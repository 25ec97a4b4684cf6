/// runner: a loop for a program's main task, with the rules for signals and for what is left over.
///
/// - The first SIGINT or SIGTERM cancels the main task; when that ends by it, `run` throws
///   `interrupted`. Code of the main task may catch the `cancelled`, clean up and even return.
/// - A second signal ends the process at once, as if nobody listened, also while a task spins.
/// - Tasks left over at the end are cancelled together and waited for until a deadline; who did
///   not stop by then is named (`left_behind`, and a warning) and its frame destroyed. Errors of
///   left-over tasks are reported.
///
/// `brigade::run` is the same without signals. `run` may be called again: tasks that the first left
/// running go on in the second, and end with `close` or the destructor.
///
/// Thread safety: one thread; one runner at a time listens for signals (asserted).
#pragma once
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {

/// A signal ended the main task.
class interrupted : public std::runtime_error {
 public:
  explicit interrupted(int signal);
  [[nodiscard]] int signal() const { return signal_; }

 private:
  int signal_;
};

struct runner_options {
  /// Those that cannot be listened for are left as they are.
  std::vector<int> signals = {SIGINT, SIGTERM};
  /// How long tasks that are left over may take to end once cancelled.
  std::chrono::nanoseconds leftover_timeout = std::chrono::seconds(5);
};

class runner {
 public:
  explicit runner(runner_options options = {});
  /// Closes.
  ~runner();
  runner(const runner&) = delete;
  runner& operator=(const runner&) = delete;

  /// Completes:  with the result of `main`; throws what it throws.
  /// Throws:     `interrupted` when a signal cancelled it, `deadlock`, `invalid_state` when closed
  ///             or when a loop runs on this thread.
  template <class T>
  T run(task<T> main) {
    refuse_when_closed();
    auto handle = spawn_on(loop_, std::move(main), "main");
    drive(handle);
    return handle.result();
  }

  /// Cancels what is left over and waits for it, see above. Idempotent.
  void close();
  /// The tasks that did not end when they were cancelled, in `close`.
  [[nodiscard]] const std::vector<std::string>& left_behind() const { return left_behind_; }
  [[nodiscard]] brigade::loop& loop() { return loop_; }

 private:
  class signal_watch;
  void refuse_when_closed() const;
  void drive(task_ref main);

  runner_options options_;
  brigade::loop loop_;
  std::vector<std::string> left_behind_;
  bool closed_ = false;
};

}  // namespace brigade
