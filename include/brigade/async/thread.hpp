/// to_thread: a blocking or busy call on a thread of its own, awaited like any other wait.
///
/// Callable and arguments are moved to the heap; no reference into a frame crosses. A callable that
/// takes a `std::stop_token` first is told when nobody waits for it any more. Threads are kept for
/// reuse, at most `threads_max` run at once, further calls queue up.
///
/// Thread safety: called on a loop's thread. Lifetime: the call may outlive its waiter and its
/// loop.
#pragma once
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>

#include <atomic>
#include <chrono>
#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

namespace detail {

class thread_wait;
enum class call_state : std::uint8_t { running, abandoned, returned };

/// One call, shared by the thread that makes it and the task that waits for it.
class thread_job {
 public:
  explicit thread_job(std::source_location from) : where(from) {}
  virtual ~thread_job() = default;
  virtual void call() noexcept = 0;

  std::stop_source stop;
  std::source_location where;
  thread_wait* waiting = nullptr;  ///< the loop's thread only
  std::atomic<call_state> state{call_state::running};
};

template <class F, class... Args>
class thread_call final : public thread_job {
 public:
  static constexpr bool takes_token = std::invocable<F&, std::stop_token, Args...>;
  static auto invoke(F& function, std::stop_token token, Args&&... args) {
    if constexpr (takes_token) {
      return std::invoke(function, std::move(token), std::move(args)...);
    } else {
      return std::invoke(function, std::move(args)...);
    }
  }
  using result = decltype(invoke(std::declval<F&>(), std::stop_token{}, std::declval<Args>()...));

  thread_call(std::source_location from, F function, Args... args)
      : thread_job(from), function_(std::move(function)), args_(std::move(args)...) {}

  void call() noexcept override {
    // Gone before anybody hears of the end: what they own may not outlive what they refer to.
    F function = std::move(function_);
    std::tuple<Args...> arguments = std::move(args_);
    try {
      auto go = [&](Args&... args) {
        return invoke(function, stop.get_token(), std::move(args)...);
      };
      if constexpr (std::is_void_v<result>) {
        std::apply(go, arguments);
      } else {
        value_.emplace(std::apply(go, arguments));
      }
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  result take() {
    if (error_) std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<result>) return std::move(*value_);
  }

 private:
  F function_;
  std::tuple<Args...> args_;
  std::conditional_t<std::is_void_v<result>, std::optional<char>, std::optional<result>> value_;
  std::exception_ptr error_;
};

class thread_wait final : public waiter {
 public:
  explicit thread_wait(std::shared_ptr<thread_job> job)
      : waiter(job->where), job_(std::move(job)) {}
  ~thread_wait();
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume();
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override { return "call on a thread"; }
  [[nodiscard]] bool outside() const override { return true; }

 private:
  friend void call_returned(thread_job& job);
  void let_go() noexcept;
  std::shared_ptr<thread_job> job_;
  bool background_ = false;
};

template <class F, class... Args>
task<typename thread_call<F, Args...>::result> run_on_thread(
    std::shared_ptr<thread_call<F, Args...>> job) {
  thread_wait wait(job);
  co_await wait;
  co_return job->take();
}

}  // namespace detail

inline constexpr std::size_t threads_max = 64;

/// Completes:  with what the call returns; throws what it throws.
/// Cancelled:  asks the call to stop (its token) and throws `cancelled` at once; the thread goes on
///             unseen until the call returns. Where that must not be, wait inside `shielded`. Once
///             the result has come it is given; the cancellation strikes at the next wait.
template <class F, class... Args>
auto to_thread(F function, Args... args) {
  auto job = std::make_shared<detail::thread_call<F, Args...>>(
      std::source_location::current(), std::move(function), std::move(args)...);
  return detail::run_on_thread<F, Args...>(std::move(job));
}

/// Calls whose waiter has gone and that have not returned, in this process.
[[nodiscard]] std::size_t abandoned_threads() noexcept;

}  // namespace brigade
