// Into a stage that has rules of its own for who comes in when: queues by priority, queues that
// drop, and order.
//
// Order: items of one key (or of the whole source) go through each stage one behind the other. In a
// stage one of them is in the queue, in work or waiting for a retry: it has the key's lane. Those
// behind it are parked, outside the queue, and the next one follows when it has gone on or has its
// outcome. So they leave a stage as they came to it, and come to the next one as they left this.
//
// Where an item is returned, nothing behind it may pass, or the next run would deliver them in the
// wrong order: the lane is cut there. The same is how a key is held behind a dead letter.
#include "pipeline/engine_state.hpp"

#include <brigade/async/assert.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace brigade {

using detail::item;
using detail::order_key;

namespace {

// Of the window, for the items of one key.
constexpr std::size_t key_share = 10;

double urgency_of(const std::function<double(const payload&)>& priority, const payload& value) {
  constexpr double least = -std::numeric_limits<double>::infinity();
  try {
    const double urgency = priority(value);
    return std::isnan(urgency) ? least : urgency;
  } catch (const std::exception&) {
    return least;
  }
}

}  // namespace

void engine::implementation::prepare_entries() {
  const bool ordered = plan.rules.order != item_order::none;
  const bool has_key = plan.rules.order != item_order::by_key || plan.order_key;
  BRIGADE_ASSERT(has_key, "a pipeline in order by key has no order_key");
  for (auto& stage : stages_) {
    const bool drops = stage->policy.queue_full != when_full::wait;
    stage->selective = ordered || drops || stage->priority;
    stage->has_lanes = ordered && !(stage->is_sink() && sink_keeps_order(*stage));
    BRIGADE_ASSERT(!ordered || !stage->collects, "a pipeline in order joins items in a batch");
  }
  if (plan.rules.order == item_order::source) {
    source_order_ = std::make_unique<order_key>(std::string(), stages_.size());
  }
  for (const held_key& held : plan.held) {
    const int last = static_cast<int>(stages_.size()) - 1;
    const auto at = static_cast<std::size_t>(std::clamp(held.stage_index, 0, last));
    order_key& key = key_named(held.key);
    order_key::lane& lane = key.lanes[at];
    const bool is_first = !lane.cut || (lane.letter->partition == held.partition &&
                                        held.position < lane.letter->position);
    if (!is_first) continue;
    lane.cut = outcome::dead_lettered;
    lane.letter = &held;
    lane.why = "held: item " + held.letter + " of its key is a dead letter";
    key.cut = true;
  }
}

// Whether the sink may be given several items of a key at once.
bool engine::implementation::sink_keeps_order(const stage_run& stage) const {
  if (stage.end->to->transactional()) return true;
  return stage.end->to->fails_in_order() && plan.rules.after_letter != after_dead_letter::hold_key;
}

order_key& engine::implementation::key_named(const std::string& name) {
  auto& known = order_keys_[name];
  if (!known) known = std::make_unique<order_key>(name, stages_.size());
  return *known;
}

void engine::implementation::learn_order(item& work) {
  if (plan.rules.order == item_order::none) return;
  if (source_order_) {
    work.order = source_order_.get();
  } else {
    const std::string name =
        work.replay != nullptr ? work.replay->order_key : plan.order_key(work.value);
    if (name.empty()) return;
    work.order = &key_named(name);
  }
  ++work.order->items;
}

void engine::implementation::forget_order(item& work) {
  order_key& key = *std::exchange(work.order, nullptr);
  --key.items;
  window_moved_.set();
  if (key.items == 0 && !key.cut && !source_order_) order_keys_.erase(std::string(key.name));
}

bool engine::implementation::key_has_room(const item& work) const {
  if (work.order == nullptr || source_order_) return true;
  return work.order->items <= std::max<std::size_t>(plan.rules.window_items_max / key_share, 1);
}

// From `held`, where it stays until it is in: a worker's hands, or the intake's.
task<> engine::implementation::enter(stage_run* from, stage_run& to, item*& held) {
  item& work = *held;
  if (to.priority) work.urgency = urgency_of(to.priority, work.value);
  const bool in_order = work.order != nullptr;
  const bool cut = in_order && is_cut(work.order->lanes[to.number()], work);
  const bool needs_lane = in_order && to.has_lanes && !cut;
  if (needs_lane && work.order->lanes[to.number()].taken) {
    held = nullptr;
    move_on(from, to, work);
    work.order->lanes[to.number()].parked.push_back(&work);
    to.parked.push_back(&work.place);
    wait_for_no_company(to);
    co_return;
  }
  if (needs_lane) work.order->lanes[to.number()].taken = true;
  const bool stays_out = cut || !has_room(to, work);
  if (!stays_out) co_await to.input.put_from(held);
  held = nullptr;
  move_on(from, to, work);
  work.has_lane = needs_lane;
  if (cut) {
    settle_as_cut(to, work);
  } else if (stays_out) {
    drop(to, work);
  }
}

void engine::implementation::move_on(stage_run* from, stage_run& to, item& work) {
  if (work.has_lane) leave_lane(work);
  work.begun = loop_->now();
  if (from == nullptr) {
    arrive(to, work);
  } else {
    pass(*from, to, work);
  }
}

// Makes room where the queue drops what is in it. False: the item itself is dropped.
bool engine::implementation::has_room(stage_run& to, item& work) {
  if (to.policy.queue_full == when_full::wait) return true;
  while (to.input.full()) {
    if (to.input.statistics().granted != 0) return true;  // to idle workers: it waits a moment
    std::optional<item*> gone;
    if (to.policy.queue_full == when_full::drop_oldest) gone = to.input.displace(&work);
    if (!gone) return false;
    drop(to, **gone);
  }
  return true;
}

void engine::implementation::drop(stage_run& at, item& work) {
  settle(work, outcome::dropped, at.name, "the queue was full");
}

void engine::implementation::leave_lane(item& work) {
  stage_run& stage = *stages_[static_cast<std::size_t>(work.stage)];
  order_key& key = *work.order;
  work.has_lane = false;
  order_key::lane& lane = key.lanes[stage.number()];
  while (lane.parked.size() != 0) {
    item& next = *lane.parked.pop_front();
    next.place.unlink();
    if (is_cut(lane, next)) {
      settle_as_cut(stage, next);
      continue;
    }
    next.has_lane = true;
    stage.due.push_back(&next.place);
    stage.due_arrived.set();
    return;
  }
  lane.taken = false;
}

// The item has its outcome here; what that means for those behind it.
void engine::implementation::settled_in_order(item& work, outcome result) {
  if (work.stage < 0) return;
  order_key& key = *work.order;
  order_key::lane& lane = key.lanes[static_cast<std::size_t>(work.stage)];
  const bool holds =
      result == outcome::dead_lettered && plan.rules.after_letter == after_dead_letter::hold_key;
  if ((result == outcome::returned || holds) && !is_cut(lane, work)) {
    const std::string id(work.id());
    lane.cut = result;
    lane.letter = nullptr;
    lane.why = holds ? "held: item " + id + " of its key is a dead letter"
                     : "stopped: item " + id + " before it was returned";
    key.cut = true;
  }
  if (work.has_lane) leave_lane(work);
}

// A letter of a run before says nothing of what came before it and was not finished in that run.
bool engine::implementation::is_cut(const order_key::lane& lane, const item& work) const {
  if (!lane.cut || lane.letter == nullptr) return lane.cut.has_value();
  return partitions_[work.partition] != lane.letter->partition ||
         work.begin > lane.letter->position;
}

void engine::implementation::settle_as_cut(stage_run& stage, item& work) {
  const order_key::lane& lane = work.order->lanes[stage.number()];
  const std::string why = lane.why;
  if (*lane.cut != outcome::dead_lettered) {
    settle(work, *lane.cut, stage.name, why);
    return;
  }
  if (plan.observer.on_failure) {
    plan.observer.on_failure({work.id(), stage.name, why, work.attempts, true, work.lenient});
  }
  settle(work, outcome::dead_lettered, stage.name, why, letter_of(stage, work));
}

// For the sink that has no lanes: an item that came before the one that cut its key's way.
bool engine::implementation::settled_by_cut(stage_run& stage, item& work) {
  if (work.order == nullptr || !is_cut(work.order->lanes[stage.number()], work)) return false;
  settle_as_cut(stage, work);
  return true;
}

void engine::implementation::abandon_lanes() {
  const auto empty = [](order_key& key) {
    for (order_key::lane& lane : key.lanes) {
      while (lane.parked.size() != 0) static_cast<void>(lane.parked.pop_front());
    }
  };
  if (source_order_) empty(*source_order_);
  for (auto& [name, key] : order_keys_) empty(*key);
}

}  // namespace brigade
