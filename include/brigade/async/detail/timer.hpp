/// Timers of a loop: a 4-ary heap with back-indices, so that disarming is O(log n) and exact.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace brigade {
class loop;
}

namespace brigade::detail {

using loop_clock = std::chrono::steady_clock;
using time_point = loop_clock::time_point;

/// As good as never, when that is past the end of the clock.
[[nodiscard]] constexpr time_point later(time_point now, std::chrono::nanoseconds by) {
  return by > time_point::max() - now ? time_point::max() : now + by;
}
/// From the loop's clock, which it looks at.
[[nodiscard]] time_point deadline_in(loop& owner, std::chrono::nanoseconds timeout);

class timer {
 public:
  timer() = default;
  timer(const timer&) = delete;
  timer& operator=(const timer&) = delete;
  [[nodiscard]] bool armed() const { return index_ != unarmed; }

  /// Called by the loop once the time has come, disarmed.
  virtual void fire() noexcept = 0;

 protected:
  ~timer() = default;

 private:
  friend class timer_heap;
  static constexpr std::size_t unarmed = static_cast<std::size_t>(-1);
  std::size_t index_ = unarmed;
  bool background_ = false;
};

class timer_heap {
 public:
  /// A background timer does not keep a loop from being found deadlocked.
  void arm(timer& entry, time_point when, bool background);
  void disarm(timer& entry);
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] bool any_foreground() const { return heap_.size() > background_; }
  [[nodiscard]] time_point next() const { return heap_.front().when; }
  /// Fires everything due, earliest first, ties in the order they were armed.
  void fire_due(time_point now);

 private:
  struct entry {
    time_point when;
    std::uint64_t order;
    timer* owner;
    [[nodiscard]] bool before(const entry& other) const {
      return when < other.when || (when == other.when && order < other.order);
    }
  };
  void place(std::size_t index, entry value);
  void up(std::size_t index);
  void down(std::size_t index);
  std::vector<entry> heap_;
  std::uint64_t armed_count_ = 0;
  std::size_t background_ = 0;
};

}  // namespace brigade::detail
