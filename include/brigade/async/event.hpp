/// A flag that tasks wait for. `set` wakes all who wait, who return even if `clear` follows at
/// once.
///
/// Thread safety: one loop. Lifetime: outlives its waiters (asserted).
#pragma once
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/loop.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <utility>

namespace brigade {

struct event_statistics {
  bool set = false;
  std::size_t waiting = 0;
  std::uint64_t times_set = 0;  ///< from clear to set
  std::uint64_t woken = 0;      ///< waits that `set` ended
};

class event {
 public:
  /// The name stands in reports.
  explicit event(std::string name = "event") : name_(std::move(name)) {}
  ~event();
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  class [[nodiscard]] wait_operation final : public detail::waiter {
   public:
    wait_operation(event& target, std::source_location where) : waiter(where), event_(target) {}
    ~wait_operation() { leave(); }
    [[nodiscard]] bool await_ready() const noexcept { return event_.set_ && loop::spend(); }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      if (begin_wait(handle)) return;
      if (event_.set_) {
        wait_granted();  // a turn for the others
      } else {
        wait_in(event_.waiters_);
      }
    }
    void await_resume();
    [[nodiscard]] std::string describe() const override;

   private:
    event& event_;
  };

  /// Completes:  once the event is set; at once when it already is.
  /// Cancelled:  throws `cancelled`.
  /// Resumes:    through the loop, never inside `set`.
  wait_operation wait(std::source_location where = std::source_location::current()) {
    return wait_operation(*this, where);
  }
  /// Idempotent.
  void set() noexcept;
  /// From now on tasks wait again; those that `set` has woken do not.
  void clear() noexcept { set_ = false; }
  [[nodiscard]] bool is_set() const { return set_; }
  /// Whether a task waits for it.
  [[nodiscard]] bool awaited() const { return !waiters_.empty(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] event_statistics statistics() const;

 private:
  std::string name_;
  detail::link_list waiters_;
  std::uint64_t times_set_ = 0;
  std::uint64_t woken_ = 0;
  bool set_ = false;
};

}  // namespace brigade
