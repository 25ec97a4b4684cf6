/// Timers of a loop, exact to the nanosecond: armed, disarmed, fired earliest first.
///
/// They are kept in a 4-ary heap with back-indices. A loop with thousands of them has most in slots
/// of a millisecond, unsorted, and only those of the next one in the heap: a million sleeps cost
/// 820 ns each from one heap, which is too large for the cache, and 710 with slots (W7).
#pragma once
#include <array>
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
  friend class timer_slots;
  friend class timer_queue;
  static constexpr std::size_t unarmed = static_cast<std::size_t>(-1);
  static constexpr std::uint16_t no_slot = static_cast<std::uint16_t>(-1);
  std::size_t index_ = unarmed;  ///< in its slot, or in the heap
  std::uint16_t slot_ = no_slot;
  bool background_ = false;
};

struct timer_entry {
  time_point when;
  std::uint64_t order;
  timer* owner;
  [[nodiscard]] bool before(const timer_entry& other) const {
    return when < other.when || (when == other.when && order < other.order);
  }
};

class timer_heap {
 public:
  void add(const timer_entry& entry);
  void remove(const timer& owner) noexcept;
  [[nodiscard]] const timer_entry& front() const { return entries_.front(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  void place(std::size_t index, const timer_entry& value);
  void up(std::size_t index);
  void down(std::size_t index);
  std::vector<timer_entry> entries_;
};

/// Of what is due within half a second or so, and not in this millisecond.
class timer_slots {
 public:
  /// False: not within reach.
  bool add(const timer_entry& entry);
  void remove(const timer& owner) noexcept;
  [[nodiscard]] std::size_t size() const { return size_; }
  /// When the first slot that is not empty begins. Only while there is one.
  [[nodiscard]] time_point begin() const;
  /// Moves that slot into `heap`.
  void empty_first_into(timer_heap& heap) noexcept;
  /// Nothing is in the slots before `now`; from here on they reach further. Those are empty.
  void advance(time_point now) noexcept;

 private:
  static constexpr std::size_t count = 512;
  static constexpr int tick_bits = 20;  ///< of nanoseconds: a tick is 1.05 ms
  static std::int64_t tick_of(time_point when) {
    return when.time_since_epoch().count() >> tick_bits;
  }
  [[nodiscard]] std::int64_t first_tick() const;
  static std::size_t slot_of(std::int64_t tick) { return static_cast<std::size_t>(tick) % count; }

  std::int64_t passed_ = 0;  ///< the last tick whose slot is not in use any more
  std::size_t size_ = 0;
  std::vector<std::vector<timer_entry>> slots_;  ///< none before the first is needed
  std::array<std::uint64_t, count / 64> used_{};
};

class timer_queue {
 public:
  /// A background timer does not keep a loop from being found deadlocked.
  void arm(timer& entry, time_point when, bool background);
  void disarm(timer& entry) noexcept;
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] bool any_foreground() const { return size() > background_; }
  [[nodiscard]] time_point next() noexcept;
  /// Fires everything due, earliest first, ties in the order they were armed.
  void fire_due(time_point now) noexcept;

 private:
  /// From so many on the heap is relieved.
  static constexpr std::size_t crowd = 4096;
  [[nodiscard]] std::size_t size() const { return heap_.size() + slots_.size(); }
  timer_heap heap_;
  timer_slots slots_;
  std::uint64_t armed_count_ = 0;
  std::size_t background_ = 0;
};

}  // namespace brigade::detail
