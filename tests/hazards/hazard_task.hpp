// The least coroutine type there is, and something that owns: what the hazard cases are made of. It
// is not brigade's own task, so that a verdict is about the compiler alone.
#pragma once
#include <coroutine>
#include <exception>
#include <memory>
#include <stdexcept>
#include <utility>

namespace hazards {

inline int alive = 0;

// Owns something, so that a bitwise copy of it shows.
class owner {
 public:
  explicit owner(int value = 1) : value_(std::make_unique<int>(value)) { ++alive; }
  owner(const owner& other) : value_(std::make_unique<int>(*other.value_)) { ++alive; }
  owner(owner&& other) noexcept : value_(std::move(other.value_)) { ++alive; }
  owner& operator=(owner&& other) noexcept = default;
  ~owner() { --alive; }
  [[nodiscard]] int value() const { return *value_; }

 private:
  std::unique_ptr<int> value_;
};

template <class T>
struct result_slot {
  T value{};
  void return_value(T given) { value = std::move(given); }
  T take() { return std::move(value); }
};
template <>
struct result_slot<void> {
  void return_void() {}
  void take() {}
};

template <class T = void>
struct task {
  struct promise_type : result_slot<T> {
    std::coroutine_handle<> next = std::noop_coroutine();
    std::exception_ptr error;
    task get_return_object() {
      return task{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct final_awaiter {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return h.promise().next;
      }
      void await_resume() noexcept {}
    };
    final_awaiter final_suspend() noexcept { return {}; }
    void unhandled_exception() { error = std::current_exception(); }
  };

  explicit task(std::coroutine_handle<promise_type> handle_) : handle(handle_) {}
  task(task&& other) noexcept : handle(std::exchange(other.handle, {})) {}
  ~task() {
    if (handle) handle.destroy();
  }
  bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    handle.promise().next = awaiting;
    return handle;
  }
  T await_resume() {
    if (handle.promise().error) std::rethrow_exception(handle.promise().error);
    return handle.promise().take();
  }
  std::coroutine_handle<promise_type> handle;
};

inline void expect(bool holds) {
  if (!holds) throw std::runtime_error("wrong value");
}

inline task<int> number(int n) { co_return n; }
inline task<owner> owned(int n) { co_return owner(n); }

}  // namespace hazards
