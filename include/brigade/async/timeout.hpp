/// Time: sleep_for, sleep_until, yield, and timeout, which never loses an item.
///
/// Thread safety: the loop's thread. Times are the loop's own clock (virtual in tests).
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <coroutine>
#include <source_location>
#include <string>
#include <utility>

namespace brigade {

class [[nodiscard]] sleep_operation final : public detail::waiter, private detail::timer {
 public:
  sleep_operation(detail::time_point until, std::source_location where)
      : waiter(where), until_(until) {}
  ~sleep_operation();
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume() const;
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override { return "sleep"; }

 private:
  void fire() noexcept override;
  detail::time_point until_;
};

class [[nodiscard]] yield_operation final : public detail::waiter {
 public:
  explicit yield_operation(std::source_location where) : waiter(where) {}
  ~yield_operation() { leave(); }
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (!begin_wait(handle)) wait_granted();
  }
  void await_resume() const;
  [[nodiscard]] std::string describe() const override { return "yield"; }
};

/// Completes:  after `duration` of the loop's clock, zero or less: after one turn.
/// Cancelled:  throws `cancelled`; the timer is disarmed.
[[nodiscard]] sleep_operation sleep_for(
    std::chrono::nanoseconds duration,
    std::source_location where = std::source_location::current());
[[nodiscard]] sleep_operation sleep_until(
    detail::time_point when, std::source_location where = std::source_location::current());
/// Lets every other ready task run once.
[[nodiscard]] inline yield_operation yield(
    std::source_location where = std::source_location::current()) {
  return yield_operation(where);
}

/// Runs `body`; when it is not done within `after`, cancels it, waits for its end and throws
/// `timed_out`. A body that finishes all the same keeps its result. When something outside was
/// cancelled too, `cancelled` leaves instead.
template <class T>
task<T> timeout(std::chrono::nanoseconds after, task<T> body) {
  deadline_scope scope(after);
  task<T> inside = std::move(body);  // a parameter would outlive the scope in a destroyed frame
  try {
    co_return co_await std::move(inside);
  } catch (const cancelled&) {
    if (!scope.caused_cancellation()) throw;
  }
  scope.cancellation_ended();
  throw timed_out(after);
}

}  // namespace brigade
