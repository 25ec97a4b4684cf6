/// Cancellation by scope: while a scope is cancelled, every wait inside it fails.
///
/// Scopes nest, within a task and from a group to its children. A cancelled scope stays cancelled
/// (as in Trio): swallowing the exception does not help, the next wait fails too. A shielded scope
/// keeps outer cancellation out, for cleanup that has to wait; give it a deadline.
/// `task_handle::cancel` is the other kind (as in asyncio): it strikes one wait, once.
///
/// A failing wait goes through the loop before it throws `cancelled`. What it was about to receive
/// stays with, or goes back to, whoever gives it: an item in its queue, a slot to the next putter.
///
/// Thread safety: the loop's thread. Lifetime: a local of a coroutine; scopes end in reverse order.
#pragma once
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace brigade {

namespace detail {
/// What a scope reaches directly: the tasks that were started in it.
struct scope_member : link {};
}  // namespace detail

class cancel_scope : private detail::link {
 public:
  /// Opens a scope inside the running task's innermost one.
  cancel_scope();
  ~cancel_scope();
  cancel_scope(const cancel_scope&) = delete;
  cancel_scope& operator=(const cancel_scope&) = delete;

  /// Idempotent; the first reason stays.
  void cancel(std::string_view reason);
  [[nodiscard]] bool cancel_called() const { return cancelled_; }
  /// From now on, cancellation from outside this scope does not reach in.
  void shield();
  /// True in the handler of a `cancelled` that this scope, and nothing outside it, caused.
  [[nodiscard]] bool caused_cancellation() const;
  [[nodiscard]] const std::string& reason() const { return reason_; }
  /// The `cancelled` that this scope caused was caught and goes no further.
  void cancellation_ended() const noexcept;

 private:
  friend class detail::task_state;
  friend class task_group;
  friend class loop;
  struct root_tag {};
  /// The outermost of a loop.
  explicit cancel_scope(root_tag) {}
  void attach(cancel_scope* parent);
  void leave_the_middle();
  void reach_in(std::string_view reason);
  /// Whether this scope or one around it, up to the nearest shield, is cancelled.
  [[nodiscard]] const cancel_scope* effective() const;
  /// Whether this scope or one around it, of this task, is shielded.
  [[nodiscard]] bool shields(const detail::task_state& task) const;

 protected:
  struct apart_tag {};
  /// Inside the running task's innermost scope, for tasks started in it; that task itself, and what
  /// it waits for from now on, stays outside.
  explicit cancel_scope(apart_tag);
  [[nodiscard]] loop& owner() const;

 private:
  cancel_scope* parent_ = nullptr;
  detail::task_state* owner_ = nullptr;
  detail::link_list inner_;
  detail::link_list members_;
  std::string reason_;
  int requests_at_entry_ = 0;
  bool cancelled_ = false;
  bool shielded_ = false;
};

/// A scope that is cancelled when its deadline passes.
class deadline_scope : public cancel_scope, private detail::timer {
 public:
  explicit deadline_scope(std::chrono::nanoseconds after);
  ~deadline_scope();
  [[nodiscard]] std::chrono::nanoseconds after() const { return after_; }

 private:
  void fire() noexcept override;
  std::chrono::nanoseconds after_;
};

namespace detail {
struct shielded_scope : deadline_scope {
  explicit shielded_scope(std::chrono::nanoseconds deadline) : deadline_scope(deadline) {
    shield();
  }
};
}  // namespace detail

/// Runs `body` out of reach of outer cancellation, for at most `deadline`; then it is cancelled
/// after all, and `cancelled` leaves. What was kept out strikes at the next wait after it.
template <class T>
task<T> shielded(std::chrono::nanoseconds deadline, task<T> body) {
  detail::shielded_scope scope(deadline);
  task<T> inside = std::move(body);  // a parameter would outlive the scope in a destroyed frame
  co_return co_await std::move(inside);
}

}  // namespace brigade
