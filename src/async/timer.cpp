#include <brigade/async/assert.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/loop.hpp>

#include <algorithm>
#include <bit>

namespace brigade::detail {

time_point deadline_in(loop& owner, std::chrono::nanoseconds timeout) {
  owner.refresh_now();
  return later(owner.now(), timeout);
}

// --- the heap ---

void timer_heap::add(const timer_entry& entry) {
  entries_.push_back(entry);
  entry.owner->slot_ = timer::no_slot;
  entry.owner->index_ = entries_.size() - 1;
  up(entries_.size() - 1);
}

void timer_heap::remove(const timer& owner) noexcept {
  const std::size_t index = owner.index_;
  const timer_entry last = entries_.back();
  entries_.pop_back();
  if (index == entries_.size()) return;
  place(index, last);
  down(index);
  up(last.owner->index_);
}

void timer_heap::place(std::size_t index, const timer_entry& value) {
  entries_[index] = value;
  value.owner->index_ = index;
}

void timer_heap::up(std::size_t index) {
  const timer_entry value = entries_[index];
  while (index != 0) {
    const std::size_t parent = (index - 1) / 4;
    if (!value.before(entries_[parent])) break;
    place(index, entries_[parent]);
    index = parent;
  }
  place(index, value);
}

void timer_heap::down(std::size_t index) {
  const timer_entry value = entries_[index];
  for (;;) {
    const std::size_t first = index * 4 + 1;
    if (first >= entries_.size()) break;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < first + 4 && child < entries_.size(); ++child) {
      if (entries_[child].before(entries_[least])) least = child;
    }
    if (!entries_[least].before(value)) break;
    place(index, entries_[least]);
    index = least;
  }
  place(index, value);
}

// --- the slots ---

bool timer_slots::add(const timer_entry& entry) {
  const std::int64_t tick = tick_of(entry.when);
  if (tick <= passed_ || tick - passed_ > static_cast<std::int64_t>(count)) return false;
  if (slots_.empty()) slots_.resize(count);
  const std::size_t at = slot_of(tick);
  slots_[at].push_back(entry);
  entry.owner->slot_ = static_cast<std::uint16_t>(at);
  entry.owner->index_ = slots_[at].size() - 1;
  used_[at / 64] |= std::uint64_t{1} << (at % 64);
  ++size_;
  return true;
}

void timer_slots::remove(const timer& owner) noexcept {
  std::vector<timer_entry>& slot = slots_[owner.slot_];
  slot[owner.index_] = slot.back();
  slot[owner.index_].owner->index_ = owner.index_;
  slot.pop_back();
  if (slot.empty()) used_[owner.slot_ / 64] &= ~(std::uint64_t{1} << (owner.slot_ % 64));
  --size_;
}

std::int64_t timer_slots::first_tick() const {
  const std::size_t from = slot_of(passed_ + 1);
  for (std::size_t passed = 0; passed <= count;) {
    const std::size_t at = (from + passed) % count;
    const std::uint64_t rest = used_[at / 64] >> (at % 64);
    if (rest != 0) {
      return passed_ + 1 + static_cast<std::int64_t>(passed) + std::countr_zero(rest);
    }
    passed += 64 - at % 64;
  }
  BRIGADE_ASSERT(false, "the timers in slots are in none of them");
  return passed_;
}

time_point timer_slots::begin() const {
  return time_point(std::chrono::nanoseconds(first_tick() << tick_bits));
}

void timer_slots::empty_first_into(timer_heap& heap) noexcept {
  passed_ = first_tick();
  const std::size_t at = slot_of(passed_);
  for (const timer_entry& entry : slots_[at]) heap.add(entry);
  size_ -= slots_[at].size();
  slots_[at].clear();
  used_[at / 64] &= ~(std::uint64_t{1} << (at % 64));
}

void timer_slots::advance(time_point now) noexcept {
  const std::int64_t tick = size_ == 0 ? tick_of(now) : std::min(tick_of(now), first_tick() - 1);
  passed_ = std::max(passed_, tick);
}

// --- both ---

void timer_queue::arm(timer& entry_owner, time_point when, bool background) {
  BRIGADE_ASSERT(!entry_owner.armed(), "a timer was armed twice");
  const timer_entry entry{when, armed_count_++, &entry_owner};
  if (heap_.size() < crowd || !slots_.add(entry)) heap_.add(entry);
  entry_owner.background_ = background;
  background_ += background ? 1 : 0;
}

void timer_queue::disarm(timer& entry_owner) noexcept {
  BRIGADE_ASSERT(entry_owner.armed(), "a timer was disarmed that was not armed");
  if (entry_owner.slot_ == timer::no_slot) {
    heap_.remove(entry_owner);
  } else {
    slots_.remove(entry_owner);
  }
  background_ -= entry_owner.background_ ? 1 : 0;
  entry_owner.index_ = timer::unarmed;
}

time_point timer_queue::next() noexcept {
  while (slots_.size() != 0 && (heap_.size() == 0 || slots_.begin() <= heap_.front().when)) {
    slots_.empty_first_into(heap_);
  }
  return heap_.front().when;
}

void timer_queue::fire_due(time_point now) noexcept {
  slots_.advance(now);
  while (!empty() && next() <= now) {
    timer& due = *heap_.front().owner;
    disarm(due);
    due.fire();
  }
}

}  // namespace brigade::detail
