/// The record of a spawned task: who it is, what it waits on, how it ended. Counted by its handles,
/// its group and, until it is finished, its loop.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/frame_pool.hpp>
#include <brigade/async/detail/waiter.hpp>

#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

namespace brigade {
class loop;
class task_group;
}  // namespace brigade

namespace brigade::detail {

class task_state : public link, public pooled {
 public:
  task_state(loop& owner, cancel_scope* outer, std::string name);
  task_state(const task_state&) = delete;
  task_state& operator=(const task_state&) = delete;
  virtual ~task_state();

  void retain() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

  /// Strikes one wait, once; true unless the task is already done.
  bool cancel(std::string_view reason);
  /// A scope around it was cancelled.
  void interrupt() noexcept;
  /// Whether the next wait must fail.
  [[nodiscard]] bool interrupted() const { return interrupted_; }
  /// The wait that is about to begin fails: counts it, uses up a one-shot request.
  void note_interrupted_wait() noexcept;
  void refresh_interrupted() noexcept;
  [[nodiscard]] std::string cancel_reason() const;
  /// How a cancelled wait ends.
  [[noreturn]] void throw_cancelled();
  /// `cancelled` was thrown into it since its last wait.
  [[nodiscard]] bool cancellation_in_flight() const { return cancellation_in_flight_; }

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] bool ended_cancelled() const { return ended_cancelled_; }
  [[nodiscard]] const std::exception_ptr& error() const { return error_; }
  [[nodiscard]] std::string name() const;
  void set_name(std::string name) { name_ = std::make_unique<std::string>(std::move(name)); }
  [[nodiscard]] loop& owner() const { return *loop_; }
  [[nodiscard]] waiter* waiting_on() const { return wait_; }
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] bool background() const { return background_; }
  void set_background() { background_ = true; }

  /// Destroys what is left of the frame, with everything in it. Only while it does not run.
  virtual void destroy_frame() noexcept = 0;

 protected:
  void start(std::coroutine_handle<> frame) noexcept;
  void finish(std::exception_ptr error) noexcept;
  friend void root_finished(task_state& record) noexcept;
  void report_unseen_error() noexcept;
  virtual std::exception_ptr frame_error() noexcept = 0;

 private:
  friend class waiter;
  friend class brigade::loop;
  friend class brigade::task_group;
  friend class brigade::cancel_scope;
  friend class join_waiter;

  struct start_waiter final : waiter {
    start_waiter() : waiter(std::source_location{}) {}
    bool cancel() noexcept override { return false; }  // a task always runs to its first wait
    [[nodiscard]] std::string describe() const override { return "not started yet"; }
    friend class task_state;
  };

  loop* loop_;
  waiter* wait_ = nullptr;
  cancel_scope* scope_;  ///< innermost
  cancel_scope root_scope_;
  task_group* group_ = nullptr;
  link_list joiners_;
  start_waiter start_;
  std::exception_ptr error_;
  std::unique_ptr<std::string> name_;
  std::unique_ptr<std::string> request_reason_;
  std::uint64_t id_;
  std::uint32_t references_ = 1;
  std::uint32_t failed_waits_ = 0;  ///< since it was last not being cancelled
  int requests_ = 0;                ///< calls of cancel()
  int shields_ = 0;
  bool request_pending_ = false;
  bool interrupted_ = false;
  bool done_ = false;
  bool ended_cancelled_ = false;
  bool error_seen_ = false;
  bool background_ = false;
  bool cancellation_in_flight_ = false;
};

/// Waits for a task's end.
class join_waiter final : public waiter {
 public:
  join_waiter(task_state& target, std::source_location where) : waiter(where), target_(&target) {}
  ~join_waiter() { leave(); }
  [[nodiscard]] bool await_ready() const noexcept { return target_->done(); }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (!begin_wait(handle)) wait_in(target_->joiners_);
  }
  /// Throws the task's error, or `cancelled` when it, or this wait, was cancelled.
  void await_resume();
  [[nodiscard]] std::string describe() const override;

 private:
  task_state* target_;
};

}  // namespace brigade::detail
