/// spawn(f, args...): starts a task of its own and gives a handle to it.
///
/// The callable and its arguments are copied (or moved) into the task, so nothing they are dangles;
/// pass `std::ref` for what is meant to be shared and outlives the task. The task belongs to the
/// loop; an error that nobody awaits is reported, never lost. In a `task_group` use its own
/// `spawn`.
///
/// Thread safety: the loop's thread.
#pragma once
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>

#include <functional>
#include <source_location>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace brigade {

namespace detail {

template <class T>
class spawned final : public task_state {
 public:
  spawned(loop& owner, cancel_scope* outer, std::string name, task<T> body)
      : task_state(owner, outer, std::move(name)), body_(std::move(body)) {
    frame_.promise().root = this;
    start(frame_);
  }
  ~spawned() override = default;
  T result() {
    if (!body_.frame()) throw cancelled("its frame was destroyed");
    return frame_.promise().take();
  }
  void destroy_frame() noexcept override { const task<T> gone = std::move(body_); }

 private:
  std::exception_ptr frame_error() noexcept override {
    if (!body_.frame()) return std::make_exception_ptr(cancelled("its frame was destroyed"));
    return frame_.promise().error;
  }
  task<T> body_;
  typename task<T>::handle frame_ = body_.frame();
};

/// Holds callable and arguments in a frame of their own while the coroutine runs on them.
template <class T, class F, class... Args>
task<T> hold_and_run(F function, Args... args) {
  co_return co_await std::invoke(function, static_cast<std::unwrap_reference_t<Args>&&>(args)...);
}

template <class F, class... Args>
using spawn_result = std::invoke_result_t<F&, std::unwrap_reference_t<Args>&&...>;

template <class F, class... Args>
auto make_root(F&& function, Args&&... args) {
  using result = spawn_result<std::decay_t<F>, std::decay_t<Args>...>;
  static_assert(is_task<result>, "spawn takes a coroutine: a callable that returns task<T>");
  return hold_and_run<typename result::value_type, std::decay_t<F>, std::decay_t<Args>...>(
      std::forward<F>(function), std::forward<Args>(args)...);
}

}  // namespace detail

/// Refers to a spawned task. Copyable. Dropping it does not end the task.
template <class T = void>
class task_handle {
 public:
  explicit task_handle(detail::spawned<T>& record) : record_(&record) { record_->retain(); }
  task_handle(const task_handle& other) : record_(other.record_) {
    if (record_ != nullptr) record_->retain();
  }
  task_handle(task_handle&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  task_handle& operator=(task_handle other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~task_handle() {
    if (record_ != nullptr) record_->release();
  }

  /// Cancels one wait, once (asyncio's cancel); false when the task is already done.
  bool cancel(std::string_view reason = "cancelled") { return record_->cancel(reason); }
  [[nodiscard]] bool done() const { return record_->done(); }
  /// True when it ended by its cancellation.
  [[nodiscard]] bool is_cancelled() const { return record_->ended_cancelled(); }
  [[nodiscard]] std::string name() const { return record_->name(); }
  void set_name(std::string name) { record_->set_name(std::move(name)); }
  /// Not counted as work in progress when the loop looks for a deadlock.
  void set_background() { record_->set_background(); }

  /// Completes:  when the task is done; throws its error; a result is moved out once.
  /// Cancelled:  this wait ends, the task goes on.
  auto join(std::source_location where = std::source_location::current()) {
    return joiner(*record_, where);
  }
  auto operator co_await() { return join(); }

  [[nodiscard]] T result() { return record_->result(); }
  [[nodiscard]] detail::task_state& record() { return *record_; }

 private:
  class joiner {
   public:
    joiner(detail::spawned<T>& record, std::source_location where)
        : record_(record), waiter_(record, where) {}
    [[nodiscard]] bool await_ready() const noexcept { return waiter_.await_ready(); }
    void await_suspend(std::coroutine_handle<> handle) noexcept { waiter_.await_suspend(handle); }
    T await_resume() {
      waiter_.await_resume();
      return record_.result();
    }

   private:
    detail::spawned<T>& record_;
    detail::join_waiter waiter_;
  };
  detail::spawned<T>* record_;
};

/// Starts `body` as a task of `where`; the loop keeps it until it is done.
template <class T>
task_handle<T> spawn_on(loop& where, task<T> body, std::string name = {}) {
  auto* record = new detail::spawned<T>(where, nullptr, std::move(name), std::move(body));
  task_handle<T> handle(*record);
  record->release();
  return handle;
}

loop& current_loop();

template <class F, class... Args>
auto spawn(F&& function, Args&&... args) {
  return spawn_on(current_loop(),
                  detail::make_root(std::forward<F>(function), std::forward<Args>(args)...));
}

}  // namespace brigade
