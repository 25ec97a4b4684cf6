/// wait_for: awaits something for so long and no longer.
///
///   auto reply = co_await wait_for(ask(server), 2s);        // a task
///   auto reply = co_await wait_for(handle, 2s);             // a task that runs, a future
///   bool came  = co_await wait_for(ready.wait(), 2s);       // any operation, given in place
///
/// When it is not done within `after`, it is cancelled, its end is awaited, and `timed_out` thrown.
/// Should it end all the same by a value or an error, that comes out. A task handle or future is
/// cancelled for everybody; `wait_for(shield(handle), 2s)` leaves it running.
///
/// With `after` zero or less there is only what is there already: a task is not started, an
/// operation that would wait does not, a handle or future that is not done is cancelled. Who asks
/// so again and again gives the others a turn in between, as with any operation that need not wait.
/// Without a value, `std::nullopt`, it waits for ever.
///
/// Completes:  with the result; throws its error, or `timed_out`.
/// Cancelled:  as the thing awaited: a task, handle or future is cancelled with the waiter.
/// Resumes:    as the thing awaited. No frame of its own; to bound several waits use `timeout`.
///
/// Thread safety: one loop. Lifetime: awaited in the expression in which it was made.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/handle_list.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>
#include <brigade/async/timeout.hpp>

#include <chrono>
#include <concepts>
#include <coroutine>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace brigade {

namespace detail {

/// Final, so that clang lets an optional end it: deadline_scope has virtual functions.
struct wait_for_scope final : deadline_scope {
  using deadline_scope::deadline_scope;
};

template <class T>
concept operation = requires(T& awaited, std::coroutine_handle<> waits) {
  { awaited.await_ready() } -> std::same_as<bool>;
  awaited.await_suspend(waits);
  awaited.await_resume();
};

template <class T>
auto awaiter_of(task<T>& awaited) {
  return std::move(awaited).operator co_await();
}
template <end_handle Handle>
auto awaiter_of(Handle& awaited) {
  return awaited.operator co_await();
}
template <operation Operation>
Operation& awaiter_of(Operation& awaited) {
  return awaited;
}

}  // namespace detail

/// `Awaited` is a task or a handle, kept, or a reference to an operation.
template <class Awaited>
class [[nodiscard]] wait_for_operation {
 public:
  wait_for_operation(Awaited&& awaited, std::optional<std::chrono::nanoseconds> after)
      : after_(after),
        awaited_(std::forward<Awaited>(awaited)),
        awaiter_(detail::awaiter_of(awaited_)) {}

  [[nodiscard]] bool await_ready() {
    const bool only_looks = !detail::end_handle<Awaited> && after_ && after_->count() <= 0;
    // What is there would be refused for want of budget; and a cancelled task ends here.
    if (only_looks && loop::budget() <= 1) return false;
    if (awaiter_.await_ready()) return true;
    too_late_ = only_looks && loop::spend();
    return too_late_;
  }
  /// The default argument is the line of the `co_await`.
  bool await_suspend(std::coroutine_handle<> waits,
                     std::source_location where = std::source_location::current()) {
    if (!detail::end_handle<Awaited> && after_ && after_->count() <= 0) {
      turn_.emplace(where);
      turn_->await_suspend(waits);
      return true;
    }
    if (after_) scope_.emplace(*after_);
    if constexpr (requires { awaiter_.await_suspend(waits, where); }) {
      awaiter_.await_suspend(waits, where);
      return true;
    } else if constexpr (std::is_void_v<decltype(awaiter_.await_suspend(waits))>) {
      awaiter_.await_suspend(waits);
      return true;
    } else {
      return awaiter_.await_suspend(waits);
    }
  }
  decltype(auto) await_resume() {
    if (turn_) {
      turn_->await_resume();
      too_late_ = !awaiter_.await_ready();
    }
    if (too_late_) throw timed_out(*after_);
    const end_of_scope closes(scope_);
    try {
      return awaiter_.await_resume();
    } catch (const cancelled&) {
      if (!scope_ || !scope_->caused_cancellation()) throw;
      scope_->cancellation_ended();
      throw timed_out(*after_);
    }
  }

 private:
  using awaiter = decltype(detail::awaiter_of(std::declval<std::remove_reference_t<Awaited>&>()));
  class end_of_scope {
   public:
    explicit end_of_scope(std::optional<detail::wait_for_scope>& scope) : scope_(scope) {}
    ~end_of_scope() { scope_.reset(); }

   private:
    std::optional<detail::wait_for_scope>& scope_;
  };

  std::optional<std::chrono::nanoseconds> after_;
  std::optional<detail::wait_for_scope> scope_;  // ends after what waits in it
  std::optional<yield_operation> turn_;          // before it looks
  Awaited awaited_;
  awaiter awaiter_;
  bool too_late_ = false;
};

template <class T>
auto wait_for(task<T> body, std::optional<std::chrono::nanoseconds> after) {
  return wait_for_operation<task<T>>(std::move(body), after);
}
template <detail::end_handle Handle>
auto wait_for(Handle handle, std::optional<std::chrono::nanoseconds> after) {
  return wait_for_operation<Handle>(std::move(handle), after);
}
template <detail::operation Operation>
auto wait_for(Operation&& operation, std::optional<std::chrono::nanoseconds> after) {
  return wait_for_operation<Operation&>(operation, after);
}

}  // namespace brigade
