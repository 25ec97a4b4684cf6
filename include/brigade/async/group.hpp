/// with_group: children that do not outlive the block that started them.
///
/// `co_await with_group([&](task_group& group) { group.spawn(work, 1); group.spawn(work, 2); });`
/// The body may be a plain function or a coroutine; it counts as a child. The first error cancels
/// the other children and the body; when all have ended, the errors come out as one
/// `exception_group`, always a group, in the order they came. A child that ends by cancellation is
/// no error. Cancelling the task that waits here cancels the children and waits for them.
///
/// Thread safety: one loop. Lifetime: the group ends when its block does; it cannot be left behind.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <concepts>
#include <coroutine>
#include <exception>
#include <functional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

class task_group;

/// Runs `body` and all children it starts to their end; see above for errors and cancellation.
template <std::invocable<task_group&> Body>
task<> with_group(Body body, std::source_location where = std::source_location::current());

class task_group {
 public:
  explicit task_group(std::source_location where = std::source_location::current());
  ~task_group();
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;

  /// Starts a child. In a group that is being cancelled the child runs to its first wait.
  template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, eager_t>)
  auto spawn(F&& function, Args&&... args) {
    return adopt({}, false, std::forward<F>(function), std::forward<Args>(args)...);
  }
  /// The same; it runs up to its first wait inside the call.
  template <class F, class... Args>
  auto spawn(eager_t, F&& function, Args&&... args) {
    return adopt({}, true, std::forward<F>(function), std::forward<Args>(args)...);
  }
  /// The same with a name, for reports.
  template <class F, class... Args>
  auto spawn_named(std::string name, F&& function, Args&&... args) {
    return adopt(std::move(name), false, std::forward<F>(function), std::forward<Args>(args)...);
  }
  /// Ends the group early, without an error: children and body are cancelled.
  void cancel(std::string_view reason = "group cancelled") { scope_.cancel(reason); }
  [[nodiscard]] bool cancel_called() const { return scope_.cancel_called(); }
  [[nodiscard]] std::size_t size() const { return alive_; }

 private:
  template <std::invocable<task_group&> Body>
  friend task<> with_group(Body body, std::source_location where);
  friend class detail::task_state;

  class all_ended final : public detail::waiter {
   public:
    all_ended(task_group& group, std::source_location where) : waiter(where), group_(group) {}
    ~all_ended() { leave(); }
    [[nodiscard]] bool await_ready() const noexcept { return group_.alive_ == 0; }
    void await_suspend(std::coroutine_handle<> handle) noexcept;
    void await_resume() const noexcept {}
    /// The children are cancelled instead; the wait for them goes on.
    bool cancel() noexcept override;
    [[nodiscard]] std::string describe() const override;
    void add_blockers(std::vector<const detail::task_state*>& blockers) const override;

   private:
    friend class task_group;
    task_group& group_;
  };

  template <class F, class... Args>
  auto adopt(std::string name, bool eagerly, F&& function, Args&&... args) {
    return detail::spawn_call(
        loop_of_owner(), &scope_, [this](detail::task_state& child) { take_in(child); },
        std::move(name), eagerly, std::forward<F>(function), std::forward<Args>(args)...);
  }
  [[nodiscard]] loop& loop_of_owner() const;
  void take_in(detail::task_state& child);
  void child_ended(detail::task_state& child) noexcept;
  void body_ended(std::exception_ptr error);
  all_ended wait_for_all() { return all_ended(*this, where_); }
  void finish();

  cancel_scope scope_;
  std::source_location where_;
  detail::task_state* owner_;
  all_ended* waiter_ = nullptr;
  std::size_t alive_ = 0;
  std::vector<std::exception_ptr> errors_;
  std::exception_ptr body_cancelled_;
  bool cancelled_alone_ = false;  ///< the body was, and the group was not
  bool outer_request_ = false;    ///< a one-shot cancel arrived while waiting for the children
};

template <std::invocable<task_group&> Body>
task<> with_group(Body body, std::source_location where) {
  task_group group(where);
  std::exception_ptr failed;
  try {
    if constexpr (std::same_as<std::invoke_result_t<Body&, task_group&>, void>) {
      std::invoke(body, group);
    } else {
      co_await std::invoke(body, group);
    }
  } catch (...) {
    failed = std::current_exception();
  }
  group.body_ended(failed);
  // Again when somebody started another child between the last one's end and this task's turn.
  while (group.size() != 0) co_await group.wait_for_all();
  group.finish();
}

}  // namespace brigade
