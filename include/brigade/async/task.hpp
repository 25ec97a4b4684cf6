/// task<T>: a lazy coroutine. It runs when awaited, inside the task that awaits it, or when
/// spawned, as a task of its own.
///
/// Move-only and [[nodiscard]]. Awaited in place it starts at once, without a turn of the loop; its
/// result or exception comes out of the `co_await`. Destroying one that is suspended destroys its
/// frame: every local is cleaned up, nothing it waited for is lost.
/// Parameters taken by reference must outlive it; `spawn` copies its arguments.
///
/// g++ 12 miscompiles some `co_await` expressions (braced aggregates, lambdas with owning captures,
/// `?:` of class type, a condition in a coroutine without locals): name things first.
///
/// Thread safety: one loop.
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/detail/frame_pool.hpp>
#include <brigade/async/detail/lifetime.hpp>

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#if !defined(__cpp_impl_coroutine)
#error \
    "brigade needs C++20 coroutines: compile with -std=c++20 (g++ 12 or newer, clang 16 or newer)"
#endif

namespace brigade {

template <class T>
class task;

namespace detail {

class task_state;
/// A spawned coroutine reached its end: its record learns of it.
void root_finished(task_state& record) noexcept;
/// How a frame's work came to its end, for what is left in it: its parameters.
enum class frame_end : std::uint8_t { well, failed, cut_short };
/// While above zero, a frame is being destroyed whose work did not end well; `frame_ended` says
/// how.
inline constinit thread_local int frames_being_destroyed = 0;
inline constinit thread_local frame_end frame_ended = frame_end::well;
/// For a frame that an exception leaves: by a cancellation, or by an error.
[[nodiscard]] frame_end end_by_exception() noexcept;

/// In each frame, so it is small: 16 bytes.
class promise_base : public pooled {
 public:
  /// The frame is the outermost of this task.
  void tell_end_to(task_state& record) noexcept {
    told_ = reinterpret_cast<std::uintptr_t>(&record) | is_record;
  }
  void tell_end_to(std::coroutine_handle<> parent) noexcept {
    told_ = reinterpret_cast<std::uintptr_t>(parent.address());
  }

  std::exception_ptr error;

  struct final_awaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> frame) const noexcept {
      const promise_base& self = frame.promise();
      const std::uintptr_t told = self.told_ & ~marks;
      if ((self.told_ & is_record) != 0) {
        root_finished(*reinterpret_cast<task_state*>(told));
        return std::noop_coroutine();
      }
      // Started inline and finished without suspending: whoever started it just goes on.
      if (told == 0) return std::noop_coroutine();
      return std::coroutine_handle<>::from_address(reinterpret_cast<void*>(told));
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  final_awaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept {
    error = std::current_exception();
    told_ |= static_cast<std::uintptr_t>(end_by_exception()) << end_shift;
  }
  [[nodiscard]] frame_end end() const noexcept {
    return static_cast<frame_end>((told_ & marks) >> end_shift);
  }

 private:
  static constexpr std::uintptr_t is_record = 1;
  static constexpr int end_shift = 1;
  static constexpr std::uintptr_t marks = 7;
  /// Who hears of the end: the frame that awaits this one, or the record of the task. Null: nobody,
  /// while it has not suspended yet. In the lowest bits: which of these, and its `frame_end`.
  std::uintptr_t told_ = 0;
};

template <class T>
struct promise : promise_base {
  std::optional<T> value;
  task<T> get_return_object() noexcept;
  template <class U>
    requires std::convertible_to<U&&, T>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
    return std::move(*value);
  }
};

template <>
struct promise<void> : promise_base {
  task<void> get_return_object() noexcept;
  void return_void() noexcept {}
  void take() {
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
  }
};

template <class T>
class task_awaiter {
 public:
  using handle = std::coroutine_handle<promise<T>>;
  explicit task_awaiter(handle child) : child_(child) {}
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  /// False (do not suspend) when the child finished at once: constant stack without tail calls.
  bool await_suspend(std::coroutine_handle<> parent) noexcept {
    child_.resume();
    if (child_.done()) return false;
    child_.promise().tell_end_to(parent);
    return true;
  }
  T await_resume() { return child_.promise().take(); }

 private:
  handle child_;
};

}  // namespace detail

template <class T = void>
class [[nodiscard(
    "a task does nothing until it is awaited or spawned")]] BRIGADE_LIFETIMEBOUND task {
 public:
  using promise_type = detail::promise<T>;
  using value_type = T;
  using handle = std::coroutine_handle<promise_type>;

  explicit task(handle frame) : frame_(frame) {}
  task(task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    if (this != &other) {
      destroy();
      frame_ = std::exchange(other.frame_, nullptr);
    }
    return *this;
  }
  ~task() { destroy(); }

  /// Completes:  with the coroutine's result.
  /// Cancelled:  the wait it is in fails; its `cancelled` comes out here.
  auto operator co_await() && noexcept {
    BRIGADE_ASSERT(frame_, "awaiting a task that was moved from");
    return detail::task_awaiter<T>(frame_);
  }

  /// From here on the frame is the caller's to destroy.
  [[nodiscard]] handle release() noexcept { return std::exchange(frame_, nullptr); }

 private:
  void destroy() noexcept {
    if (!frame_) return;
    const bool done = frame_.done();
    const detail::frame_end end = frame_.promise().end();
    if (done && end == detail::frame_end::well) {
      std::exchange(frame_, nullptr).destroy();
    } else {
      destroy_as(done ? end : detail::frame_end::cut_short);
    }
  }
  [[gnu::noinline]] void destroy_as(detail::frame_end end) noexcept {
    const detail::frame_end outer = std::exchange(detail::frame_ended, end);
    ++detail::frames_being_destroyed;
    std::exchange(frame_, nullptr).destroy();
    --detail::frames_being_destroyed;
    detail::frame_ended = outer;
  }
  handle frame_;
};

template <class T>
task<T> detail::promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<promise<T>>::from_promise(*this));
}
inline task<void> detail::promise<void>::get_return_object() noexcept {
  return task<void>(std::coroutine_handle<promise<void>>::from_promise(*this));
}

template <class T>
inline constexpr bool is_task = false;
template <class T>
inline constexpr bool is_task<task<T>> = true;

}  // namespace brigade
