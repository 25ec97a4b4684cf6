/// One call on a thread, shared by the thread that makes it and the task that waits for it.
#pragma once
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/task.hpp>

#include <atomic>
#include <concepts>
#include <coroutine>
#include <cstdint>
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

namespace brigade::detail {

class mailbox;
class thread_team;
class thread_wait;

enum class call_state : std::uint8_t {
  queued,
  withdrawn,  ///< its waiter went before it began: it never will
  running,
  abandoned,  ///< its waiter went, or its pool gave it up, while it ran
  returned,
};

class thread_job {
 public:
  explicit thread_job(std::source_location from) : where(from) {}
  virtual ~thread_job() = default;
  virtual void call() noexcept = 0;

  std::stop_source stop;
  std::source_location where;
  std::string name;  ///< of the task that waits
  std::shared_ptr<mailbox> box;
  thread_wait* waiting = nullptr;  ///< the loop's thread only
  std::exception_ptr given_up;     ///< the loop's thread only: by the pool
  std::atomic<call_state> state{call_state::queued};
};

/// On the waiter's loop: it goes on, if it is still there.
void call_ended(thread_job& job);

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
  thread_wait(std::shared_ptr<thread_team> team, std::shared_ptr<thread_job> job)
      : waiter(job->where), team_(std::move(team)), job_(std::move(job)) {}
  ~thread_wait();
  [[nodiscard]] bool await_ready() const;
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume();
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override;
  [[nodiscard]] bool outside() const override { return true; }

 private:
  friend void call_ended(thread_job& job);
  void let_go() noexcept;
  std::shared_ptr<thread_team> team_;
  std::shared_ptr<thread_job> job_;
  bool background_ = false;
};

template <class F, class... Args>
task<typename thread_call<F, Args...>::result> wait_for_call(
    std::shared_ptr<thread_team> team, std::shared_ptr<thread_call<F, Args...>> job) {
  thread_wait wait(std::move(team), job);
  co_await wait;
  co_return job->take();
}

template <class F, class... Args>
auto call_on_thread(std::shared_ptr<thread_team> team, std::source_location where, F function,
                    Args... args) {
  auto job =
      std::make_shared<thread_call<F, Args...>>(where, std::move(function), std::move(args)...);
  return wait_for_call<F, Args...>(std::move(team), std::move(job));
}

}  // namespace brigade::detail
