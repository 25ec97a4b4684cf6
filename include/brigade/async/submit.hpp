/// submit(loop, f, args...): starts a task of a loop from another thread, and gives that thread
/// something to wait on.
///
/// `auto answer = submit(box, ask, 42); int value = answer.get();`
/// The callable and its arguments are moved to the loop; a loop that has nothing else to do until
/// then keeps an `outside_hold`. An error that nobody asks for is reported by the loop.
///
/// Thread safety: `submit` from any thread; a `submission` is used by one thread at a time, which
/// runs no loop where it blocks (asserted). Lifetime: it may outlive its loop, and the other way
/// round.
#pragma once
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace brigade {

namespace detail {

/// What the thread and the task have in common.
class submission_state {
 public:
  explicit submission_state(std::shared_ptr<mailbox> box) : box_(std::move(box)) {}

  // --- by the loop ---
  /// False: nobody will ever ask.
  bool settle(std::exception_ptr error);
  void began(const task_ref& task) { task_.emplace(task); }
  void ended();

  // --- by the thread ---
  /// False: the deadline has passed.
  bool wait(const std::optional<std::chrono::steady_clock::time_point>& deadline);
  void cancel(const std::shared_ptr<submission_state>& self);
  void forget();
  [[nodiscard]] bool settled();
  [[nodiscard]] bool ended_cancelled();
  void throw_error();

 private:
  std::shared_ptr<mailbox> box_;
  std::optional<task_ref> task_;  ///< the loop's thread only
  std::mutex mutex_;
  std::condition_variable changed_;
  bool settled_ = false;
  bool forgotten_ = false;
  bool error_seen_ = false;
  std::exception_ptr error_;
};

template <class T>
class submission_value : public submission_state {
 public:
  using submission_state::submission_state;
  std::optional<std::conditional_t<std::is_void_v<T>, char, T>> value;
};

/// Callable and arguments on their way to the loop. Dropped on the way, it says so.
template <class T, class F, class... Args>
class submitted_call {
 public:
  submitted_call(std::shared_ptr<submission_value<T>> result, F&& function, Args&&... args)
      : result_(std::move(result)), function_(std::move(function)), args_(std::move(args)...) {}
  submitted_call(const submitted_call&) = delete;
  submitted_call& operator=(const submitted_call&) = delete;
  ~submitted_call() { result_->ended(); }

  task<T> make() {
    auto call = [this](Args&... args) { return std::invoke(function_, std::move(args)...); };
    return std::apply(call, args_);  // coroutine_lint: this closure is no coroutine's
  }
  submission_value<T>& result() { return *result_; }

 private:
  std::shared_ptr<submission_value<T>> result_;
  F function_;
  std::tuple<Args...> args_;
};

template <class T, class Call>
task<> run_submitted(std::shared_ptr<Call> call) {
  std::exception_ptr error;
  bool was_cancelled = false;
  try {
    auto body = call->make();
    if constexpr (std::is_void_v<T>) {
      co_await std::move(body);
    } else {
      call->result().value.emplace(co_await std::move(body));
    }
  } catch (const cancelled&) {
    error = std::current_exception();
    was_cancelled = true;
  } catch (...) {
    error = std::current_exception();
  }
  const bool heard = call->result().settle(error);
  if (error && (was_cancelled || !heard)) std::rethrow_exception(error);
}

}  // namespace detail

/// The far end of a submitted task. Dropping it lets the task go on.
template <class T>
class [[nodiscard]] submission {
 public:
  explicit submission(std::shared_ptr<detail::submission_value<T>> state)
      : state_(std::move(state)) {}
  submission(submission&&) noexcept = default;
  submission& operator=(submission&&) = delete;
  ~submission() {
    if (state_ != nullptr) state_->forget();
  }

  /// Blocks until the task has ended. Throws its error; `cancelled` when it was cancelled, or its
  /// loop has gone. The value is moved out, once.
  T get() {
    state_->wait(std::nullopt);
    return result();
  }
  /// The same for a while: then the task is cancelled and `timed_out` thrown.
  T get_within(std::chrono::nanoseconds limit) {
    if (!wait_for(limit)) {
      cancel();
      throw timed_out(limit);
    }
    return result();
  }
  /// Blocks at most so long. True: the task has ended.
  bool wait_for(std::chrono::nanoseconds limit) {
    return state_->wait(detail::later(detail::loop_clock::now(), limit));
  }
  /// Cancels the task; nothing when it has ended.
  void cancel() { state_->cancel(state_); }
  [[nodiscard]] bool done() const { return state_->settled(); }
  /// True when it ended by cancellation.
  [[nodiscard]] bool is_cancelled() const { return state_->ended_cancelled(); }

 private:
  T result() {
    state_->throw_error();
    if constexpr (!std::is_void_v<T>) return std::move(*state_->value);
  }
  std::shared_ptr<detail::submission_value<T>> state_;
};

/// `box` is `loop::mailbox()`, which may be kept beyond the loop's life.
template <class F, class... Args>
auto submit(const std::shared_ptr<detail::mailbox>& box, F function, Args... args) {
  using result = typename std::invoke_result_t<F&, Args&&...>::value_type;
  using call = detail::submitted_call<result, F, Args...>;
  auto state = std::make_shared<detail::submission_value<result>>(box);
  auto job = std::make_shared<call>(state, std::move(function), std::move(args)...);
  box->post([job = std::move(job)] {
    auto handle = spawn(detail::run_submitted<result, call>, job);
    job->result().began(handle);
  });
  return submission<result>(std::move(state));
}

}  // namespace brigade
