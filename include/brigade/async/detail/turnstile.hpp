/// First come, first served: the one line in which the tasks wait that want a lock, a permit, a
/// token. Mutex, condition, semaphore and limiter are made of it.
///
/// There are units, free or taken. The oldest waiter is handed its units as soon as they are free;
/// until it has resumed it can still give them back, and then the next one is handed them. So a
/// unit is never lost to a cancellation, and nobody is overtaken: newcomers stand in line while
/// anybody waits, or was handed units and has not gone in yet.
///
/// Invariants:   a waiter waits  =>  fewer units are free than the oldest one wants
#pragma once
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/loop.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace brigade {

/// What every primitive with a line tells of it.
struct line_statistics {
  std::size_t waiting = 0;     ///< now
  std::uint64_t acquired = 0;  ///< times somebody got what he asked for
  std::uint64_t waited = 0;    ///< times somebody had to wait first
  std::uint64_t given_up = 0;  ///< waits that ended by a cancellation
};

namespace detail {

class turn_waiter;

class turnstile {
 public:
  explicit turnstile(std::int64_t units) : free_(units) {}
  turnstile(const turnstile&) = delete;
  turnstile& operator=(const turnstile&) = delete;

  [[nodiscard]] std::int64_t free() const { return free_; }
  /// Somebody was handed units and has not gone in yet.
  [[nodiscard]] bool handing_over() const { return handed_ != 0; }
  /// Somebody waits, or was handed units and has not gone in yet.
  [[nodiscard]] bool awaited() const { return handing_over() || !waiters_.empty(); }
  /// Whether one who asks now need not wait.
  [[nodiscard]] bool open_to(std::int64_t units) const { return free_ >= units && !awaited(); }
  void take(std::int64_t units, const std::source_location& where) noexcept {
    free_ -= units;
    ++acquired_;
    taken_at_ = where;
  }
  /// Units that were taken; or new ones, or fewer, and then what is free may fall below zero.
  void give_back(std::int64_t units) noexcept {
    free_ += units;
    if (!waiters_.empty()) hand_on();
  }
  void stand_in_line(turn_waiter& entry) noexcept;
  /// What the oldest waiters can be handed, they are.
  virtual void hand_on() noexcept;

  /// Where units were taken last.
  [[nodiscard]] const std::source_location& taken_at() const { return taken_at_; }
  [[nodiscard]] line_statistics statistics() const;

 protected:
  ~turnstile() = default;
  friend class turn_waiter;
  void left_the_line(turn_waiter& entry) noexcept;
  [[nodiscard]] std::int64_t wanted_by_oldest() const;

  std::int64_t free_;
  link_list waiters_;
  std::size_t waiting_ = 0;
  std::size_t in_foreground_ = 0;  ///< of those who wait
  std::size_t handed_ = 0;
  std::uint64_t acquired_ = 0;
  std::uint64_t waited_ = 0;
  std::uint64_t given_up_ = 0;
  std::source_location taken_at_{};
};

/// A wait for units. What derives from it says what they are for.
class turn_waiter : public waiter {
 public:
  turn_waiter(turnstile& at, std::int64_t units, std::source_location where)
      : waiter(where), at_(at), units_(units) {}
  [[nodiscard]] bool await_ready() const noexcept {
    return at_.open_to(units_) && loop::current().spend();
  }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (!begin_wait(handle)) at_.stand_in_line(*this);
  }
  bool cancel() noexcept override;

 protected:
  ~turn_waiter() { step_out(); }
  /// Goes in with the units, or throws `cancelled`.
  void go_in() {
    const wait_state how = end_wait();
    if (how == wait_state::granted) {
      --at_.handed_;
    } else {
      at_.take(units_, where_);
    }
  }
  /// For destructors: a frame destroyed in the middle of its wait.
  void step_out() noexcept;
  void revoke() noexcept override;

  friend class turnstile;
  turnstile& at_;
  std::int64_t units_;
  bool in_line_ = false;
  bool in_foreground_ = false;
};

/// "kitchen.cpp:12".
[[nodiscard]] std::string place_text(const std::source_location& where);

}  // namespace detail
}  // namespace brigade
