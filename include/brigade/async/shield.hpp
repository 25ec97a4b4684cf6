/// shield: waits for something and keeps one's own cancellation away from it.
///
///   auto report = co_await shield(handle);     // cancelled, this wait ends; the task goes on
///
/// The counterpart of `co_await handle`, which passes cancellation on. If what is shielded is
/// cancelled itself, so is the wait. An error that nobody is left to hear of is reported, once,
/// when the last handle goes. To shield a stretch of one's own code, with a deadline, use
/// `shielded`.
///
/// Completes:  with the result; throws its error; at once when it is done already.
/// Cancelled:  throws `cancelled`; what is shielded goes on.
/// Resumes:    through the loop.
///
/// Thread safety: one loop.
#pragma once
#include <brigade/async/future.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <coroutine>
#include <source_location>
#include <utility>

namespace brigade {

template <class T>
auto shield(const task_handle<T>& handle,
            std::source_location where = std::source_location::current()) {
  return handle.join(where);
}
template <class T>
auto shield(const future<T>& value) {
  return value.wait();
}

/// Waits for a task that belongs to the loop.
template <class T>
class [[nodiscard]] shield_operation {
 public:
  shield_operation(task_handle<T> handle, std::source_location where)
      : handle_(std::move(handle)), join_(handle_.join(where)) {}
  [[nodiscard]] bool await_ready() const noexcept { return join_.await_ready(); }
  void await_suspend(std::coroutine_handle<> waits) noexcept { join_.await_suspend(waits); }
  T await_resume() { return join_.await_resume(); }

 private:
  task_handle<T> handle_;
  decltype(std::declval<const task_handle<T>&>().join()) join_;
};

/// Starts `body` as a task of the loop, then as above. What its parameters refer to must outlive
/// that task, not only this wait.
template <class T>
shield_operation<T> shield(task<T> body,
                           std::source_location where = std::source_location::current()) {
  return shield_operation<T>(spawn_on(current_loop(), std::move(body)), where);
}

}  // namespace brigade
