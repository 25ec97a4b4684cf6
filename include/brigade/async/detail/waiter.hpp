/// The one waiter core under every primitive: who waits, where it is linked, what it was promised.
///
/// A waiter is in one list at a time: that of the primitive it waits for, or the loop's ready list.
/// A promise (a grant) can be taken back until the waiter has resumed; that is what keeps an item
/// from being lost when its receiver is cancelled in between.
#pragma once
#include <coroutine>
#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

namespace brigade {
class loop;
}

namespace brigade::detail {

class task_state;

/// A node of an intrusive ring. Alone: both pointers null.
struct link {
  link* prev = nullptr;
  link* next = nullptr;

  [[nodiscard]] bool linked() const { return next != nullptr; }
  void unlink() {
    prev->next = next;
    next->prev = prev;
    prev = nullptr;
    next = nullptr;
  }
};

/// First in, first out; constant time to leave from anywhere.
class link_list {
 public:
  link_list() { head_.prev = head_.next = &head_; }
  link_list(const link_list&) = delete;
  link_list& operator=(const link_list&) = delete;

  [[nodiscard]] bool empty() const { return head_.next == &head_; }
  [[nodiscard]] link* front() const { return head_.next; }
  [[nodiscard]] const link* end() const { return &head_; }
  void push_back(link* node) {
    node->prev = head_.prev;
    node->next = &head_;
    head_.prev->next = node;
    head_.prev = node;
  }

 private:
  link head_;
};

enum class wait_state : std::uint8_t {
  idle,       ///< not suspended: it went through at once, or has resumed
  waiting,    ///< in the primitive's list
  granted,    ///< in the ready list with a promise that can still be taken back
  cancelled,  ///< in the ready list; resumes by failing
  ended,      ///< in the ready list; resumes with the primitive's end (closed)
};

class waiter : public link {
 public:
  explicit waiter(std::source_location where) : where_(where) {}
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
  void wake(wait_state with) noexcept;

 protected:
  ~waiter() = default;

  /// Registers the running task as the one that waits. True: the task is being cancelled, and the
  /// waiter is on its way to fail; the caller must not link it anywhere.
  bool begin_wait(std::coroutine_handle<> handle) noexcept;
  /// Registers the running task as the one that waits, cancelled or not.
  void enter_wait(std::coroutine_handle<> handle) noexcept;
  void wait_in(link_list& list) noexcept {
    state_ = wait_state::waiting;
    list.push_back(this);
  }
  /// Through the loop, with a promise kept: a forced turn of a task that never had to wait.
  void wait_granted() noexcept;
  /// For destructors of derived classes: a frame destroyed in the middle of its wait.
  void leave() noexcept;
  /// Takes a grant back and hands it on. Called with the waiter in no list.
  virtual void revoke() noexcept {}

  friend class brigade::loop;
  friend class task_state;
  std::coroutine_handle<> handle_;
  task_state* task_ = nullptr;
  std::source_location where_;
  wait_state state_ = wait_state::idle;
};

}  // namespace brigade::detail
