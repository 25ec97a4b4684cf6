#include <brigade/async/assert.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/loop.hpp>

namespace brigade::detail {

time_point deadline_in(loop& owner, std::chrono::nanoseconds timeout) {
  owner.refresh_now();
  return later(owner.now(), timeout);
}

void timer_heap::arm(timer& entry_owner, time_point when, bool background) {
  BRIGADE_ASSERT(!entry_owner.armed(), "a timer was armed twice");
  entry_owner.background_ = background;
  background_ += background ? 1 : 0;
  heap_.push_back(entry{when, armed_count_++, &entry_owner});
  entry_owner.index_ = heap_.size() - 1;
  up(heap_.size() - 1);
}

void timer_heap::disarm(timer& entry_owner) {
  BRIGADE_ASSERT(entry_owner.armed(), "a timer was disarmed that was not armed");
  const std::size_t index = entry_owner.index_;
  background_ -= entry_owner.background_ ? 1 : 0;
  entry_owner.index_ = timer::unarmed;
  const entry last = heap_.back();
  heap_.pop_back();
  if (index == heap_.size()) return;
  place(index, last);
  down(index);
  up(last.owner->index_);
}

void timer_heap::fire_due(time_point now) {
  while (!heap_.empty() && heap_.front().when <= now) {
    timer& due = *heap_.front().owner;
    disarm(due);
    due.fire();
  }
}

void timer_heap::place(std::size_t index, entry value) {
  heap_[index] = value;
  value.owner->index_ = index;
}

void timer_heap::up(std::size_t index) {
  const entry value = heap_[index];
  while (index != 0) {
    const std::size_t parent = (index - 1) / 4;
    if (!value.before(heap_[parent])) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, value);
}

void timer_heap::down(std::size_t index) {
  const entry value = heap_[index];
  for (;;) {
    const std::size_t first = index * 4 + 1;
    if (first >= heap_.size()) break;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < first + 4 && child < heap_.size(); ++child) {
      if (heap_[child].before(heap_[least])) least = child;
    }
    if (!heap_[least].before(value)) break;
    place(index, heap_[least]);
    index = least;
  }
  place(index, value);
}

}  // namespace brigade::detail
