/// Cleanup that waits: C++ has no `co_await` in destructors and `catch` blocks.
///
///   auto connection = co_await open(address);
///   auto talk = [&]() -> task<int> { ... };
///   auto hang_up = [&]() -> task<> { co_await connection.close(); };
///   const int answer = co_await with_cleanup(talk, hang_up, 5s);
///
/// `body` runs; then `cleanup` runs, however the body ended, once; then the body's value, error or
/// cancellation goes on. Nest them for several. Both are callables that return a task; `cleanup`
/// may be a plain function, and `body` a task.
///
/// The cleanup is out of reach of cancellation from outside for at most `deadline`; then its waits
/// fail, and `timed_out` is its error. When both fail, `exception_group` has both, the body's
/// first. When the body was cancelled and the cleanup fails, the cleanup's error leaves, and a
/// request by `task.cancel()` strikes again at the next wait: a scope does so anyway.
/// A body that is already cancelled when it comes to its first wait is cleaned up after, too. When
/// the frame is destroyed no cleanup runs that would have to wait, for nobody is there to wait.
///
/// Completes:  when both have ended.
/// Cancelled:  the body's wait fails; then the cleanup runs; then `cancelled` leaves.
/// Thread safety: the loop's thread.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>
#include <brigade/async/timeout.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

namespace brigade {

namespace detail {

template <class Body>
auto begin_body(Body& body) {
  if constexpr (is_task<Body>) {
    return std::move(body);
  } else {
    return std::invoke(body);
  }
}

/// How a body and its cleanup end as one.
class cleanup_end {
 public:
  cleanup_end();
  void body_failed(std::exception_ptr error);
  /// Throws what there is to throw; `cleanup` is null when it went well.
  void settle(std::exception_ptr cleanup);

 private:
  int requests_before_;
  std::exception_ptr body_;
  bool struck_ = false;  ///< the body's wait was cancelled, not what it awaited
};

/// The cleanup alone: shielded, with a deadline that is an error.
template <class Cleanup>
task<> run_cleanup(Cleanup& cleanup, std::chrono::nanoseconds deadline) {
  cancel_scope shield;
  shield.shield();
  auto inside = std::invoke(cleanup);
  co_await timeout(deadline, std::move(inside));
}

}  // namespace detail

template <class Body, class Cleanup>
[[nodiscard]] auto with_cleanup(Body body, Cleanup cleanup, std::chrono::nanoseconds deadline)
    -> task<typename decltype(detail::begin_body(body))::value_type> {
  using value = typename decltype(detail::begin_body(body))::value_type;
  using cleaning = std::invoke_result_t<Cleanup&>;
  std::optional<std::conditional_t<std::is_void_v<value>, bool, value>> result;
  detail::cleanup_end end;
  try {
    auto inside = detail::begin_body(body);
    if constexpr (std::is_void_v<value>) {
      co_await std::move(inside);
    } else {
      auto given = co_await std::move(inside);
      result.emplace(std::move(given));
    }
  } catch (...) {
    end.body_failed(std::current_exception());
  }
  std::exception_ptr failed;
  try {
    if constexpr (is_task<cleaning>) {
      co_await detail::run_cleanup(cleanup, deadline);
    } else {
      std::invoke(cleanup);
    }
  } catch (...) {
    failed = std::current_exception();
  }
  end.settle(failed);
  if constexpr (!std::is_void_v<value>) co_return std::move(*result);
}

}  // namespace brigade
