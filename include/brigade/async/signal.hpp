/// Signals, read by a thread of their own, so that a loop that spins cannot hide them.
///
/// Thread safety: construct before any other thread is started (they inherit the blocked signals).
#pragma once
#include <functional>
#include <initializer_list>
#include <memory>

namespace brigade {

class signal_thread {
 public:
  /// Blocks `signals` in this thread and those it starts from now on, and calls `on_signal` for
  /// each that comes, on the signal thread. Throws std::system_error.
  signal_thread(std::initializer_list<int> signals, std::function<void(int)> on_signal);
  /// Ends the thread; the signals stay blocked.
  ~signal_thread();
  signal_thread(const signal_thread&) = delete;
  signal_thread& operator=(const signal_thread&) = delete;

 private:
  class implementation;
  std::unique_ptr<implementation> impl_;
};

}  // namespace brigade
