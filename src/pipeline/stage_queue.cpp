#include "pipeline/stage_queue.hpp"

#include "pipeline/engine_state.hpp"

namespace brigade::detail {

namespace {
// A run that is torn down may have no loop any more; then nothing is old.
time_point now_if_any() {
  const loop* const here = loop::current_if_any();
  return here == nullptr ? time_point::min() : here->now();
}
}  // namespace

bool ranked_items::more_urgent::operator()(const item* a, const item* b) const {
  if (a->rank.urgency != b->rank.urgency) return a->rank.urgency > b->rank.urgency;
  return a->rank.arrival < b->rank.arrival;
}

bool ranked_items::more_urgent::operator()(const item* a, double urgency) const {
  return a->rank.urgency > urgency;
}

bool ranked_items::more_urgent::operator()(double urgency, const item* b) const {
  return urgency > b->rank.urgency;
}

bool ranked_items::older::operator()(const item* a, const item* b) const {
  return a->rank.arrival < b->rank.arrival;
}

void ranked_items::push(item* one, time_point now) {
  one->rank.arrival = arrivals_++;
  one->rank.since = now;
  by_urgency_.insert(one);
  by_age_.insert(one);
}

item* ranked_items::pop(time_point now) {
  item* next = *by_urgency_.begin();
  item* const oldest = *by_age_.begin();
  const bool ripe = now >= oldest->rank.since + ripe_after;
  if (next == oldest || !ripe) {
    passed_over_ = 0;
  } else if (++passed_over_ == ripe_one_in) {
    passed_over_ = 0;
    next = oldest;
  }
  remove(next);
  return next;
}

void ranked_items::remove(item* one) {
  by_urgency_.erase(one);
  by_age_.erase(one);
}

// Of the least urgent ones the oldest.
item* ranked_items::victim() const {
  const item* const least = *by_urgency_.rbegin();
  return *by_urgency_.lower_bound(least->rank.urgency);
}

void stage_store::push_by_rank(item* one) { ranked_->push(one, now_if_any()); }

item* stage_store::pop_by_kind() { return ranked_ ? ranked_->pop(now_if_any()) : ring_.pop_back(); }

void stage_store::put_back(item*&& one) {
  if (ranked_) {
    push_by_rank(one);
  } else if (kind_ == queue_kind::lifo) {
    ring_.push_back(std::move(one));
  } else {
    ring_.push_front(std::move(one));
  }
}

stage_store::place stage_store::victim(std::size_t promised) const {
  place where;
  if (ranked_) {
    where.which = ranked_->victim();
  } else {
    where.index = kind_ == queue_kind::lifo ? 0 : promised;
  }
  return where;
}

bool stage_store::stays(const place& where, item* newcomer) const {
  return where.which != nullptr && where.which->rank.urgency > newcomer->rank.urgency;
}

item* stage_store::remove(const place& where) {
  if (!ranked_) return ring_.remove(where.index);
  ranked_->remove(where.which);
  return where.which;
}

}  // namespace brigade::detail
