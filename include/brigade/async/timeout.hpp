/// Time: sleep_for, sleep_until, yield, and deadlines, which never lose an item.
///
/// `co_await timeout(2s, fetch(url))`, `co_await timeout_at(noon, fetch(url))`: when the body is
/// not done in time it is cancelled, its end is waited for, and `timed_out` is thrown.
/// `co_await with_timeout(2s, [&](timeout_scope& limit) -> task<> {...})` gives the body its
/// deadline in hand, to ask and to move; a `timeout_scope` of one's own can be asked afterwards.
///
/// The deadline is level-triggered: once it has passed, every wait of the body fails. A body that
/// ends without an exception all the same keeps its result, and `expired()` is true. When something
/// outside was cancelled too, `cancelled` leaves instead; of nested deadlines that have passed only
/// the outermost converts. Zero or less fires at the body's next wait; a body that never waits
/// never times out. What a wait was about to receive when it was cut short stays where it was.
///
/// Thread safety: the loop's thread. Times are the loop's own clock (virtual in tests).
/// Lifetime: a `timeout_scope` outlives its run.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <concepts>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

namespace brigade {

class [[nodiscard]] sleep_operation final : public detail::waiter, private detail::timer {
 public:
  sleep_operation(detail::time_point until, std::source_location where)
      : waiter(where), until_(until) {}
  ~sleep_operation();
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume();
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
  void await_resume();
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

/// Spells that there is no deadline, where one could stand.
inline constexpr std::nullopt_t no_timeout = std::nullopt;

/// A deadline that can be asked and moved. It runs one body, once.
class timeout_scope {
 public:
  enum class state : std::uint8_t {
    created,   ///< its body has not begun
    active,    ///< its body runs, the deadline lies ahead, or there is none
    expiring,  ///< the deadline has passed, the body is being cancelled
    expired,   ///< the body has ended, and the deadline had passed before
    finished,  ///< the body has ended in time
  };

  /// The time runs from here, not from the beginning of the body.
  explicit timeout_scope(std::optional<std::chrono::nanoseconds> after);
  explicit timeout_scope(std::optional<detail::time_point> at) : when_(at) {}
  explicit timeout_scope(std::nullopt_t) {}
  ~timeout_scope();
  timeout_scope(const timeout_scope&) = delete;
  timeout_scope& operator=(const timeout_scope&) = delete;

  /// Runs a task, or a callable of `timeout_scope&` that returns one, under this deadline.
  ///
  /// Completes:  when the body has ended, with its result.
  /// Cancelled:  the body's wait fails; its `cancelled` leaves.
  /// Throws:     `timed_out` when the deadline passed and the body ended by that; what the body
  ///             throws; `invalid_state` when it was run before.
  template <class Body>
  [[nodiscard]] auto run(Body body);

  /// Moves the deadline, or takes it away. Throws `invalid_state`, which names the state, unless it
  /// is active.
  void reschedule(std::optional<detail::time_point> when);
  [[nodiscard]] std::optional<detail::time_point> when() const { return when_; }
  /// The deadline passed while the body ran.
  [[nodiscard]] bool expired() const {
    return state_ == state::expiring || state_ == state::expired;
  }
  [[nodiscard]] state current() const { return state_; }

 private:
  /// The cancel scope and the timer of a run: a local of the coroutine that is the run.
  class entry final : public cancel_scope, private detail::timer {
   public:
    explicit entry(timeout_scope& of);
    ~entry();
    void aim();
    /// True in the handler of a `cancelled` that is this deadline's own.
    [[nodiscard]] bool converts() const { return of_.expired() && caused_cancellation(); }
    [[noreturn]] void convert() const;

   private:
    void fire() noexcept override;
    timeout_scope& of_;
    detail::time_point began_;
    bool background_;
  };

  template <class Body>
  static auto begin(Body& body, timeout_scope& scope) {
    if constexpr (is_task<Body>) {
      return std::move(body);
    } else {
      return std::invoke(body, scope);
    }
  }
  template <class Body>
  using result_of =
      typename decltype(begin(std::declval<Body&>(), std::declval<timeout_scope&>()))::value_type;
  template <class Limit, class Body>
  static task<result_of<Body>> run_under(Limit limit, Body body);

  template <class T>
  friend task<T> timeout(std::optional<std::chrono::nanoseconds> after, task<T> body);
  template <class T>
  friend task<T> timeout_at(std::optional<detail::time_point> when, task<T> body);
  template <std::invocable<timeout_scope&> Body>
  friend auto with_timeout(std::optional<std::chrono::nanoseconds> after, Body body);
  template <std::invocable<timeout_scope&> Body>
  friend auto with_timeout_at(std::optional<detail::time_point> when, Body body);

  std::optional<detail::time_point> when_;
  entry* entry_ = nullptr;
  state state_ = state::created;
};

template <class Limit, class Body>
task<timeout_scope::result_of<Body>> timeout_scope::run_under(Limit limit, Body body) {
  constexpr bool given = std::is_reference_v<Limit>;
  std::conditional_t<given, timeout_scope&, timeout_scope> scope(limit);
  entry run(scope);
  auto inside = begin(body, scope);  // a parameter would outlive the scope in a destroyed frame
  try {
    co_return co_await std::move(inside);
  } catch (const cancelled&) {
    if (!run.converts()) throw;
  }
  run.convert();
}

template <class Body>
auto timeout_scope::run(Body body) {
  return run_under<timeout_scope&, Body>(*this, std::move(body));
}

/// Runs `body`; when it is not done within `after`, cancels it, waits for its end and throws
/// `timed_out`. See above for the rest.
template <class T>
[[nodiscard]] task<T> timeout(std::optional<std::chrono::nanoseconds> after, task<T> body) {
  return timeout_scope::run_under(after, std::move(body));
}

/// The same with a time of the loop's clock.
template <class T>
[[nodiscard]] task<T> timeout_at(std::optional<detail::time_point> when, task<T> body) {
  return timeout_scope::run_under(when, std::move(body));
}

/// Runs a callable that is given its deadline, and may move it.
template <std::invocable<timeout_scope&> Body>
[[nodiscard]] auto with_timeout(std::optional<std::chrono::nanoseconds> after, Body body) {
  return timeout_scope::run_under(after, std::move(body));
}

/// The same with a time of the loop's clock.
template <std::invocable<timeout_scope&> Body>
[[nodiscard]] auto with_timeout_at(std::optional<detail::time_point> when, Body body) {
  return timeout_scope::run_under(when, std::move(body));
}

}  // namespace brigade
