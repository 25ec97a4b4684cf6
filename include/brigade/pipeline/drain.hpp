/// The stop protocol of a process: signals drain a running engine, and a watchdog sees to its end.
///
///   first SIGTERM or SIGINT   drain, until `stop_timeout`
///   SIGINT after that         the deadline is now; a third ends the process at once, exit 130
///   SIGTERM after that        changes nothing (supervisors repeat it)
///   SIGUSR1                   what each task waits on, to stderr; nothing else changes
///   deadline + 4 s            the watchdog ends the process, exit 1, whatever still spins
///
/// Ending the process at any instant is safe: what is not durable is taken again.
/// Thread safety: construct before other threads are started, on the thread that runs the loop.
#pragma once
#include <brigade/pipeline/engine.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace brigade {

/// What signals ask of whoever runs. Called on the loop's thread.
struct stop_target {
  /// The first signal: `left` of `stop_timeout` is what remains until the deadline.
  std::function<void(std::chrono::nanoseconds left)> drain;
  std::function<void()> deadline_now;
};

class stop_signals {
 public:
  explicit stop_signals(std::chrono::milliseconds stop_timeout);
  ~stop_signals();
  stop_signals(const stop_signals&) = delete;
  stop_signals& operator=(const stop_signals&) = delete;

  /// While it stands, signals reach what runs on the current loop: an engine, or something else
  /// before or after one, which outlives it. One that came before does so at once. One at a time.
  /// Null signals: nobody sends any.
  class [[nodiscard]] listener {
   public:
    listener(stop_signals* from, engine& target);
    listener(stop_signals* from, stop_target target);
    ~listener();
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;

   private:
    stop_signals* from_;
  };
  /// The first signal has come. From any thread.
  [[nodiscard]] bool stop_asked() const;
  /// A stop was asked for, and the time it has is over: nothing new is to be begun.
  [[nodiscard]] bool at_deadline() const;

 private:
  class implementation;
  std::unique_ptr<implementation> impl_;
};

}  // namespace brigade
