/// The one waiter core under every primitive: who waits, where it is linked, what it was promised.
///
/// A waiter is in one list at a time: that of the primitive it waits for, or the loop's ready list.
/// A promise (a grant) can be taken back until the waiter has resumed; that is what keeps an item
/// from being lost when its receiver is cancelled in between.
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/detail/link.hpp>
#include <brigade/async/detail/scheduler.hpp>

#include <coroutine>
#include <cstdint>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
class loop;
}

namespace brigade::detail {

enum class wait_state : std::uint8_t {
  idle,       ///< not suspended: it went through at once, or has resumed
  waiting,    ///< in the primitive's list
  granted,    ///< in the ready list with a promise that can still be taken back
  cancelled,  ///< in the ready list; resumes by failing
  ended,      ///< in the ready list; resumes with the primitive's end (closed)
  completed,  ///< in the ready list; what it waited to do has been done for it
};

class waiter : public runnable {
 public:
  explicit waiter(std::source_location where) : runnable(unset{}), where_(where) {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// Leaves its list and resumes by failing. False: this wait cannot be cancelled.
  virtual bool cancel() noexcept;
  /// What is waited for, for people: "take from queue 'orders' (0 of 19)".
  [[nodiscard]] virtual std::string describe() const = 0;
  /// Waits for something from outside the loop (a thread, a process, a descriptor).
  [[nodiscard]] virtual bool outside() const { return false; }
  /// Adds the tasks that must act before this wait can end: the holder of a lock, the task joined.
  /// What any of many could do (a put, a release of a semaphore) adds nobody.
  virtual void add_blockers(std::vector<const task_state*>& blockers) const;

  [[nodiscard]] wait_state state() const { return state_; }
  [[nodiscard]] task_state* task() const { return task_; }
  [[nodiscard]] const std::source_location& where() const { return where_; }

  /// Makes it runnable; only for one that waits.
  void wake(wait_state with) noexcept {
    BRIGADE_ASSERT(state_ == wait_state::waiting, "woke a waiter that does not wait");
    if (linked()) unlink();
    state_ = with;
    make_ready();
  }

 protected:
  ~waiter() = default;

  /// Registers the running task as the one that waits. True: the task is being cancelled, and the
  /// waiter is on its way to fail; the caller must not link it anywhere.
  bool begin_wait(std::coroutine_handle<> handle) noexcept {
    enter_wait(handle);
    return this_scheduler->running_part_->interrupted_ && fail_wait();
  }
  /// Registers the running task as the one that waits, cancelled or not.
  void enter_wait(std::coroutine_handle<> handle) noexcept {
    const scheduler* here = this_scheduler;
    BRIGADE_ASSERT(here != nullptr && here->running_ != nullptr, "a wait outside any task");
    mark_alone();
    task_ = here->running_;
    waiting_task& part = *here->running_part_;
    part.resumption_ = {this, handle, here->now_};
    part.cancellation_in_flight_ = false;
  }
  void wait_in(link_list& list) noexcept {
    state_ = wait_state::waiting;
    list.push_back(this);
  }
  /// Through the loop, with a promise kept: a forced turn of a task that never had to wait.
  void wait_granted() noexcept {
    state_ = wait_state::granted;
    make_ready();
  }
  /// For `await_resume`: gives the wait up and says how it ended; throws when it was cancelled.
  wait_state end_wait() {
    const wait_state how = std::exchange(state_, wait_state::idle);
    if (how == wait_state::cancelled) throw_cancelled();
    return how;
  }
  [[noreturn]] void throw_cancelled() const;
  /// For destructors of derived classes: a frame destroyed in the middle of its wait.
  void leave() noexcept {
    if (state_ != wait_state::idle) leave_wait();
  }
  /// Takes a grant back and hands it on. Called with the waiter in no list.
  virtual void revoke() noexcept {}
  /// Its frame was destroyed before it heard of the primitive's end. Called in no list.
  virtual void end_unheard() noexcept {}

  friend class brigade::loop;
  friend class task_state;
  friend class select_waiter;
  std::source_location where_;
  wait_state state_ = wait_state::idle;

 private:
  void make_ready() noexcept {
    scheduler* here = this_scheduler;
    if (here == nullptr) return make_ready_from_outside();
    here->ready_.push_back(this);
    ++here->ready_count_;
  }
  void make_ready_from_outside() noexcept;
  bool fail_wait() noexcept;
  void leave_wait() noexcept;
};

}  // namespace brigade::detail
