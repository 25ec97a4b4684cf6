/// mutex: one task at a time, in the order they came. `auto guard = co_await m.lock();`
///
/// Who has the guard has the lock; it can be moved, also to another task. Unlocking hands the lock
/// to the oldest waiter at once, so nobody comes in between, and the mutex stays locked until that
/// one has left. A waiter cancelled after it was handed the lock hands it on.
///
/// A wait for it says who took it and where; a circle of tasks that wait for each other's locks is
/// named at once (not through guards that were moved: anybody may have those). A task that locks it
/// again, with the guard where `lock` put it, would wait for itself: that is a misuse and ends the
/// program, naming the line where the lock was taken. (After the guard was moved, the task may
/// rightly wait for it to come free; should nobody unlock it, the deadlock report names the line.)
///
/// Not for work between threads: tasks of one loop never race, and need it only to keep others out
/// across a wait.
///
/// Thread safety: one loop. Lifetime: outlives its guards and waiters (asserted).
#pragma once
#include <brigade/async/detail/turnstile.hpp>

#include <cstdint>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace brigade {

struct mutex_statistics {
  bool locked = false;
  line_statistics line;
};

class mutex {
 public:
  /// The name stands in reports.
  explicit mutex(std::string name = "mutex") : name_(std::move(name)) {}
  ~mutex();
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  /// The lock, while it is not empty. Unlocks when it goes.
  class [[nodiscard]] guard {
   public:
    guard() = default;
    guard(guard&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) { moved(); }
    guard& operator=(guard&& other) noexcept {
      if (this == &other) return *this;
      if (owner_ != nullptr) unlock();
      owner_ = std::exchange(other.owner_, nullptr);
      moved();
      return *this;
    }
    ~guard() {
      if (owner_ != nullptr) unlock();
    }
    /// Gives the lock up now; an empty guard is a misuse (asserted).
    void unlock() noexcept;
    [[nodiscard]] explicit operator bool() const { return owner_ != nullptr; }
    /// Whether it is the lock of `which`.
    [[nodiscard]] bool holds(const mutex& which) const { return owner_ == &which; }

   private:
    friend class mutex;
    friend class condition;
    explicit guard(mutex& owner) : owner_(&owner) {}
    void moved() noexcept;
    mutex* owner_ = nullptr;
    bool moved_ = false;
  };

  class [[nodiscard]] lock_operation final : public detail::turn_waiter {
   public:
    lock_operation(mutex& target, std::source_location where)
        : turn_waiter(target.turns_, 1, where), mutex_(target) {}
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      mutex_.refuse_the_holder();
      turn_waiter::await_suspend(handle);
      mutex_.look_for_circle(*this);
    }
    guard await_resume() {
      const bool at_once = state() == detail::wait_state::idle;
      go_in();
      if (at_once) mutex_.turns_.hold(loop::current().running());
      mutex_.guard_moved_ = false;
      return guard(mutex_);
    }
    [[nodiscard]] std::string describe() const override { return mutex_.describe(); }
    void add_blockers(std::vector<const detail::task_state*>& blockers) const override {
      mutex_.add_holder(blockers);
    }

   private:
    mutex& mutex_;
  };

  /// Completes:  with the lock; at once when it is free.
  /// Cancelled:  throws `cancelled`, without the lock; if it was handed over already, the next
  ///             waiter gets it.
  /// Resumes:    through the loop, never inside `unlock`.
  lock_operation lock(std::source_location where = std::source_location::current()) {
    return lock_operation(*this, where);
  }
  /// An empty guard when somebody has it or waits for it.
  guard try_lock(std::source_location where = std::source_location::current());
  /// Whether somebody has it, or was just handed it.
  [[nodiscard]] bool locked() const { return turns_.free() == 0; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] mutex_statistics statistics() const { return {locked(), turns_.statistics()}; }

 private:
  friend class condition;
  /// Knows who is in. Counted, for a task may end while its guard lives elsewhere.
  struct line final : detail::turnstile {
    line() : turnstile(1) {}
    ~line() { hold(nullptr); }
    void hand_on() noexcept override;
    void hold(detail::task_state* by) noexcept;
    detail::task_state* holder = nullptr;
  };
  void unlock() noexcept {
    guard_moved_ = false;
    turns_.hold(nullptr);
    turns_.give_back(1);
  }
  void refuse_the_holder() const noexcept;
  void look_for_circle(const detail::waiter& begun) const noexcept;
  void add_holder(std::vector<const detail::task_state*>& blockers) const;
  [[nodiscard]] std::string describe() const;

  line turns_;
  std::string name_;
  bool guard_moved_ = false;  ///< its place no longer says who has it
};

}  // namespace brigade
