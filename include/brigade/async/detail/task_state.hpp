/// The record of a spawned task: who it is, what it waits on, how it ended. Counted by its handles
/// and, until it is finished, its loop.
///
/// There may be a million, so it is small: 128 bytes without a result. What is never needed at the
/// same time shares its place; what few tasks have is allocated when it is needed.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/frame_pool.hpp>
#include <brigade/async/detail/task_context.hpp>
#include <brigade/async/detail/waiter.hpp>

#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {
class loop;
class task_group;
}  // namespace brigade

namespace brigade::detail {

class task_state : public completion, public scope_member, public pooled, private waiting_task {
 public:
  task_state(loop& owner, cancel_scope* outer, std::string_view name);
  ~task_state() override;

  /// Strikes one wait, once; true unless the task is already done.
  bool cancel(std::string_view reason) final;
  /// How many requests of `cancel` nobody has taken back.
  [[nodiscard]] int cancelling() const { return extras_ ? extras_->requests : 0; }
  /// Takes one request back; at the last, also the strike it has not led to yet.
  int uncancel() noexcept;
  /// A scope around it was cancelled.
  void interrupt() noexcept;
  /// Its wait is being told of a cancellation, and passes it on: it has come round in a circle.
  [[nodiscard]] bool interrupting() const { return interrupting_; }
  /// Whether the next wait must fail.
  [[nodiscard]] bool interrupted() const { return interrupted_; }
  /// The wait that is about to begin fails: counts it, uses up a one-shot request.
  void note_interrupted_wait() noexcept;
  /// The one-shot request is served by what the current wait does with it, not by its failing.
  bool use_up_request() noexcept;
  void refresh_interrupted() noexcept;
  [[nodiscard]] std::string cancel_reason() const final;
  /// How a cancelled wait ends.
  [[noreturn]] void throw_cancelled();
  /// `cancelled` was thrown into it since its last wait.
  [[nodiscard]] bool cancellation_in_flight() const { return cancellation_in_flight_; }

  [[nodiscard]] std::string describe() const final { return "task '" + name() + "'"; }
  [[nodiscard]] bool belongs_to(const loop& here) const final { return loop_ == &here; }
  [[nodiscard]] const task_state* as_task() const noexcept final { return this; }
  [[nodiscard]] std::string name() const;
  void set_name(std::string name) { extras().name = std::move(name); }
  [[nodiscard]] loop& owner() const { return *loop_; }
  [[nodiscard]] waiter* waiting_on() const;
  /// On the loop's clock, when the wait it is in began.
  [[nodiscard]] time_point waiting_since() const {
    return waits_to_start_ ? start_.start_waits_since() : resumption_.since;
  }
  [[nodiscard]] std::uint64_t id() const { return id_; }
  /// The id of the task that spawned it; 0: none did, or four billion tasks were started since.
  [[nodiscard]] std::uint64_t parent_id() const {
    return younger_than_parent_ == 0 ? 0 : id_ - younger_than_parent_;
  }
  [[nodiscard]] bool background() const { return background_; }
  void set_background() { background_ = true; }
  [[nodiscard]] task_context& context() { return extras().context; }
  [[nodiscard]] const task_context* context_if_any() const {
    return extras_ ? &extras_->context : nullptr;
  }

  /// Destroys what is left of the frame, with everything in it. Only while it does not run.
  virtual void destroy_frame() noexcept = 0;

 protected:
  void start(std::coroutine_handle<> frame, bool eagerly);
  /// Takes the result or the error out of the frame, which has reached its end or is destroyed.
  virtual std::exception_ptr collect() noexcept = 0;

 private:
  friend class waiter;
  friend class brigade::loop;
  friend class brigade::task_group;
  friend class brigade::cancel_scope;
  friend class join_waiter;
  friend void root_finished(task_state& record) noexcept;

  /// What few tasks have.
  struct rare : pooled {
    std::string name;
    std::string cancel_reason;
    task_context context;
    int requests = 0;  ///< calls of cancel() that were not taken back
  };

  void finish(std::exception_ptr error) noexcept;
  /// False: it is another error.
  bool note_cancelled(const std::exception_ptr& error) noexcept;
  void report_unseen_error() noexcept;
  rare& extras();
  /// The task whose first step `entry` is, which is no more in the ready list.
  static task_state& begin(runnable& entry) noexcept;
  void end_wait_to_start() noexcept;
  [[nodiscard]] bool shielded() const;

  // First, where they fill up the base's last word.
  std::uint16_t failed_waits_ : 11 = 0;  ///< since it was last not being cancelled
  bool waits_to_start_ : 1 = false;
  bool request_pending_ : 1 = false;
  bool background_ : 1 = false;
  bool interrupting_ : 1 = false;
  std::uint32_t younger_than_parent_ = 0;  ///< in ids
  loop* loop_;
  cancel_scope* scope_;  ///< innermost
  task_group* group_ = nullptr;
  std::unique_ptr<rare> extras_;
  std::uint64_t id_;

 protected:
  std::coroutine_handle<> frame_;  ///< outermost
};

/// What cancelling a task does to the task whose end it waits for.
enum class on_waiter_cancel : std::uint8_t {
  leave,    ///< the wait ends, the task goes on
  pass_on,  ///< the task is cancelled, and the wait lasts until it has ended
};

/// Waits for a task's end.
class join_waiter final : public waiter {
 public:
  join_waiter(task_state& target, on_waiter_cancel mode, std::source_location where)
      : waiter(where), target_(&target), mode_(mode) {}
  ~join_waiter() { leave(); }
  [[nodiscard]] bool await_ready() const noexcept;
  void await_suspend(std::coroutine_handle<> handle) noexcept;
  /// Throws the task's error, or `cancelled` when it, or this wait, was cancelled; `invalid_state`
  /// when the task can never be waited for from here.
  void await_resume();
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override;
  void add_blockers(std::vector<const task_state*>& blockers) const override;

 private:
  void pass_on() noexcept;
  task_state* target_;
  on_waiter_cancel mode_;
  bool passed_on_ = false;
};

}  // namespace brigade::detail
