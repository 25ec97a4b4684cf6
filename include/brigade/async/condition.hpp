/// condition: waiting, with a mutex in hand, until somebody says that something has changed.
///
///     auto guard = co_await changed.lock();
///     co_await changed.wait(guard, [&] { return !shelf.empty(); });
///
/// `wait` lets go of the mutex, waits for a notification and always has the mutex again when it
/// returns or throws: a cancellation, of either kind, is held back until then. Who is notified
/// joins the mutex's line at once and runs when it holds it, so waking a thousand costs no
/// stampede. A notification whose receiver is cancelled goes to the next.
///
/// Thread safety: one loop. Lifetime: outlives its waiters (asserted), its mutex outlives it.
#pragma once
#include <brigade/async/mutex.hpp>
#include <brigade/async/task.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

struct condition_statistics {
  std::size_t waiting = 0;      ///< for a notification
  std::uint64_t notified = 0;   ///< waits that a notification ended
  std::uint64_t passed_on = 0;  ///< notifications whose receiver was cancelled
};

class condition {
 public:
  /// The name stands in reports.
  explicit condition(mutex& of, std::string name = "condition")
      : mutex_(of), name_(std::move(name)) {}
  ~condition();
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;

  class [[nodiscard]] wait_operation final : public detail::turn_waiter {
   public:
    static constexpr bool ends_in_its_own_time = true;
    wait_operation(condition& on, mutex::guard& held, std::source_location where)
        : turn_waiter(on.mutex_.turns_, 1, where), condition_(on), guard_(held) {}
    ~wait_operation();
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept;
    void await_resume();
    bool cancel() noexcept override;
    [[nodiscard]] std::string describe() const override;
    void add_blockers(std::vector<const detail::task_state*>& blockers) const override;

   private:
    friend class condition;
    void relock() noexcept;
    condition& condition_;
    mutex::guard& guard_;
    bool relocking_ = false;  ///< in the mutex's line, or holding it
    bool failing_ = false;    ///< cancelled; resumes by throwing
  };

  /// The mutex's lock.
  mutex::lock_operation lock(std::source_location where = std::source_location::current()) {
    return mutex_.lock(where);
  }
  [[nodiscard]] bool locked() const { return mutex_.locked(); }

  /// Waits for a notification. `guard` must hold the mutex (asserted) and stay where it is.
  ///
  /// Completes:  once notified, with the mutex locked by `guard` again. What was waited for may be
  ///             gone by then: look, or give a predicate.
  /// Cancelled:  throws `cancelled` once it has the mutex; of two reasons the last one.
  /// Resumes:    through the loop, never inside `notify` or `unlock`.
  wait_operation wait(mutex::guard& guard,
                      std::source_location where = std::source_location::current()) {
    return wait_operation(*this, guard, where);
  }
  /// Waits until `predicate` holds, looking first (then no lock is needed) and after each
  /// notification. Gives what the predicate gave.
  template <class Predicate>
    requires std::predicate<Predicate&>
  task<std::decay_t<std::invoke_result_t<Predicate&>>> wait(
      mutex::guard& guard, Predicate predicate,
      std::source_location where = std::source_location::current()) {
    auto held = std::invoke(predicate);
    while (!held) {
      wait_operation again(*this, guard, where);
      co_await again;
      held = std::invoke(predicate);
    }
    co_return held;
  }
  /// Wakes the `count` oldest waiters, or as many as there are. Somebody must hold the mutex
  /// (asserted).
  void notify(std::size_t count = 1) noexcept;
  void notify_all() noexcept { notify(std::numeric_limits<std::size_t>::max()); }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] condition_statistics statistics() const;

 private:
  void pass_on() noexcept;
  void wake_oldest() noexcept;
  mutex& mutex_;
  std::string name_;
  detail::link_list waiters_;
  std::uint64_t notified_ = 0;
  std::uint64_t passed_on_ = 0;
};

}  // namespace brigade
