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

void ranked_items::push(item* one, time_point now) {
  const auto at = by_urgency_.insert(entry{one->urgency, arrivals_, now, one}).first;
  by_age_.emplace(arrivals_++, at);
}

item* ranked_items::pop(time_point now) {
  const auto next = by_urgency_.begin();
  const auto oldest = by_age_.begin()->second;
  const bool ripe = now >= oldest->since + ripe_after;
  if (next == oldest || !ripe) {
    passed_over_ = 0;
  } else if (++passed_over_ == ripe_one_in) {
    passed_over_ = 0;
    return remove(oldest);
  }
  return remove(next);
}

item* ranked_items::remove_victim() { return remove(by_urgency_.lower_bound(least_urgency())); }

item* ranked_items::remove(ranking::iterator at) {
  item* const which = at->which;
  by_age_.erase(at->arrival);
  by_urgency_.erase(at);
  return which;
}

void stage_store::push_by_rank(item* one) { ranked_->push(one, now_if_any()); }

item* stage_store::pop_by_kind() { return ranked_ ? ranked_->pop(now_if_any()) : ring_.pop_back(); }

void stage_store::put_back(item*&& one) {
  if (ranked_) {
    push_by_rank(one);
  } else if (kind_ == queue_kind::lifo) {
    ring_.push_back(std::forward<item*>(one));
  } else {
    ring_.push_front(std::forward<item*>(one));
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
  return where.which != nullptr && where.which->urgency > newcomer->urgency;
}

item* stage_store::remove(const place& where) {
  if (!ranked_) return ring_.remove(where.index);
  return ranked_->remove_victim();
}

}  // namespace brigade::detail
