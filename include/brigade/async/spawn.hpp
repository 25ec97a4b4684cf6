/// spawn(f, args...): starts a task of its own and gives a handle to it.
///
/// The callable and its arguments are copied (or moved) into the task, so nothing they are dangles;
/// pass `std::ref` for what is meant to be shared and outlives the task. They are destroyed with
/// the task's frame, when it ends. The task belongs to the loop; an error that nobody awaits is
/// reported, never lost. In a `task_group` use its own `spawn`.
///
/// Lazy by default: the task takes its first step when its turn comes. `spawn(eager, f, args...)`
/// runs it up to its first wait inside the call, as asyncio's eager tasks.
///
/// Thread safety: the loop's thread.
#pragma once
#include <brigade/async/detail/spawned.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>

#include <concepts>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

/// Spells that a task runs up to its first wait inside `spawn`.
struct eager_t {
  explicit eager_t() = default;
};
inline constexpr eager_t eager{};

/// Refers to a task of whatever result. Copyable. Dropping it does not end the task.
class task_ref {
 public:
  explicit task_ref(detail::task_state& record) : record_(&record) { record_->retain(); }
  task_ref(const task_ref& other) noexcept : record_(other.record_) {
    if (record_ != nullptr) record_->retain();
  }
  task_ref(task_ref&& other) noexcept : record_(std::exchange(other.record_, nullptr)) {}
  task_ref& operator=(task_ref other) noexcept {
    std::swap(record_, other.record_);
    return *this;
  }
  ~task_ref() {
    if (record_ != nullptr) record_->release();
  }
  friend bool operator==(const task_ref& a, const task_ref& b) { return a.record_ == b.record_; }

  /// Cancels one wait, once (asyncio's cancel); false when the task is already done.
  bool cancel(std::string_view reason = "cancelled") { return record_->cancel(reason); }
  /// How many cancellations were asked for and not taken back.
  [[nodiscard]] int cancelling() const { return record_->cancelling(); }
  /// Takes one back, for who has caught `cancelled` and goes on; gives how many are left. Where
  /// there is a choice use a scope (`timeout`, a group), which needs no count.
  int uncancel() { return record_->uncancel(); }

  [[nodiscard]] bool done() const { return record_->done(); }
  /// True when it ended by its cancellation.
  [[nodiscard]] bool cancelled() const { return record_->ended_cancelled(); }
  /// The error it ended by; null when there is none, a `cancelled` when it was cancelled. Throws
  /// `invalid_state` while it runs.
  [[nodiscard]] std::exception_ptr error() const;
  [[nodiscard]] std::uint64_t id() const { return record_->id(); }
  [[nodiscard]] std::string name() const { return record_->name(); }
  void set_name(std::string name) { record_->set_name(std::move(name)); }
  /// The task that spawned it; none when it was no task, or one that has ended.
  [[nodiscard]] std::optional<task_ref> parent() const;
  /// The tasks that cannot go on before it acts: they join it, wait for its group, or for a lock it
  /// holds. Looks at every task of the loop.
  [[nodiscard]] std::vector<task_ref> awaited_by() const;
  /// Not counted as work in progress when the loop looks for a deadlock.
  void set_background() { record_->set_background(); }

  [[nodiscard]] detail::task_state& record() const { return *record_; }

 protected:
  detail::task_state* record_;
};

/// Refers to a spawned task with its result. Copyable; may be awaited by several.
///
/// `co_await handle` treats the task as a call: cancelling who awaits cancels the task, and the
/// wait lasts until it has ended (as in asyncio). `co_await handle.join()` only waits: cancelled,
/// the wait ends and the task goes on. Both throw the task's error, or `cancelled` if it was
/// cancelled; awaiting a task of another loop, or oneself, throws `invalid_state`.
///
/// A result that can be copied is copied for each who asks; one that cannot is moved out, once.
template <class T = void>
class task_handle : public task_ref {
 public:
  explicit task_handle(detail::spawned<T>& record) : task_ref(record) {}

  auto operator co_await() const {
    return joiner(typed(), detail::on_waiter_cancel::pass_on, std::source_location{});
  }
  auto join(std::source_location where = std::source_location::current()) const {
    return joiner(typed(), detail::on_waiter_cancel::leave, where);
  }
  /// The result, or throws the task's error; `invalid_state` while it runs.
  [[nodiscard]] T result() const {
    if (!done()) throw invalid_state("the result of task '" + name() + "', which still runs");
    if (const std::exception_ptr failed = error()) std::rethrow_exception(failed);
    return typed().result();
  }

 private:
  class [[nodiscard("what is joined is awaited")]] joiner {
   public:
    joiner(detail::spawned<T>& record, detail::on_waiter_cancel mode, std::source_location where)
        : record_(record), waiter_(record, mode, where) {}
    [[nodiscard]] bool await_ready() const noexcept { return waiter_.await_ready(); }
    /// The default argument is the line of the `co_await`.
    void await_suspend(std::coroutine_handle<> handle,
                       std::source_location where = std::source_location::current()) noexcept {
      waiter_.await_suspend(handle, where);
    }
    T await_resume() {
      waiter_.await_resume();
      return record_.result();
    }

   private:
    detail::spawned<T>& record_;
    detail::join_waiter waiter_;
  };
  [[nodiscard]] detail::spawned<T>& typed() const {
    return static_cast<detail::spawned<T>&>(*record_);
  }
};

/// Starts `body` as a task of `where`; the loop keeps it until it is done.
template <class T>
task_handle<T> spawn_on(loop& where, task<T> body, std::string name = {}) {
  auto* record = new detail::spawned<T>(where, nullptr, std::move(name));
  task_handle<T> handle(*record);
  record->release();
  record->run(std::move(body), false);
  return handle;
}

loop& current_loop();

template <class F, class... Args>
  requires(!std::same_as<std::remove_cvref_t<F>, eager_t>)
auto spawn(F&& function, Args&&... args) {
  return detail::spawn_call(current_loop(), nullptr, nullptr, {}, false, std::forward<F>(function),
                            std::forward<Args>(args)...);
}
template <class F, class... Args>
auto spawn(eager_t, F&& function, Args&&... args) {
  return detail::spawn_call(current_loop(), nullptr, nullptr, {}, true, std::forward<F>(function),
                            std::forward<Args>(args)...);
}

/// The task that runs. Asserted: there is one.
[[nodiscard]] task_ref current_task();
/// All unfinished tasks of this thread's loop, oldest first.
[[nodiscard]] std::vector<task_ref> all_tasks();

template <class T>
auto detail::handle_of(detail::spawned<T>& record) {
  return task_handle<T>(record);
}

}  // namespace brigade
