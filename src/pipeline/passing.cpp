// From one stage to the next, alone or as children: what an item becomes where it is split, or
// where a tee sends it several ways.
#include "pipeline/engine_state.hpp"

#include <algorithm>

namespace brigade {

using detail::item;
using detail::work_slot;

void engine::implementation::pass(stage_run& from, stage_run& to, item& work) {
  from.passed += work.weight;
  from.inside -= work.weight;
  arrive(to, work);
  work.attempts = work.tries = work.kills = 0;
  close_if_drained(from);
}

// The item becomes its children; those a run before has settled already are not made again.
task<> engine::implementation::pass_children(stage_run& stage, work_slot& own,
                                             std::vector<payload> values) {
  item& parent = *own.current;
  make_children(stage, own, std::move(values));
  own.current = nullptr;
  if (own.children.empty()) {
    stage.passed += parent.weight;
    stage.inside -= parent.weight;
    if (parent.has_lane) leave_lane(parent);
    settle_parent(parent);
    close_if_drained(stage);
    co_return;
  }
  share_weight(stage, parent, own.children);
  own.children.back()->has_lane = std::exchange(parent.has_lane, false);
  std::reverse(own.children.begin(), own.children.end());
  while (!own.children.empty()) {
    item& child = *own.children.back();
    stage_run& next = *child.way;
    if (child.optional_open != nullptr && !has_room_to_spare(next, child)) {
      own.children.pop_back();
      move_on(&stage, next, child);
      drop(next, child);
      continue;
    }
    if (next.selective) [[unlikely]] {
      own.current = own.children.back();
      own.children.pop_back();
      co_await enter(&stage, next, own.current);
      continue;
    }
    co_await next.input.put_from(own.children.back());
    own.children.pop_back();
    pass(stage, next, child);
  }
}

void engine::implementation::make_children(stage_run& stage, work_slot& own,
                                           std::vector<payload> values) {
  item& parent = *own.current;
  const bool keeps_origin = !parent.is_child() && parent.joined == nullptr;
  if (parent.origin.empty() && keeps_origin) parent.origin = std::move(parent.value);
  const bool is_tee = stage.fork != nullptr;
  for (std::size_t n = 0; n < values.size(); ++n) {
    fork_run::branch* const branch =
        is_tee && n < stage.fork->branches.size() ? &stage.fork->branches[n] : nullptr;
    item* const child = make_child(stage, parent, n, std::move(values[n]));
    if (child == nullptr) continue;
    child->way = branch != nullptr ? branch->to : stage.next;
    if (branch != nullptr && !branch->required) {
      child->lenient = true;
      child->optional_open = &branch->open;
      ++branch->open;
    }
    own.children.push_back(child);
  }
  parent.children_open = static_cast<std::uint32_t>(own.children.size());
}

// None when a run before has settled it.
item* engine::implementation::make_child(stage_run& stage, item& parent, std::size_t n,
                                         payload value) {
  std::string path = parent.part.empty() ? std::string() : parent.part + "/";
  path += std::to_string(n);
  if (parent.is_accounted() && watermarks_[parent.partition].is_part_finished(parent.slot, path)) {
    parent.worst_child = std::min(parent.worst_child, outcome::delivered);
    return nullptr;
  }
  auto* child = new item(std::move(value));
  child->parent = &parent;
  child->part = std::move(path);
  child->names = parent.names;
  child->set_key(parent.key() + "/" + std::to_string(n));
  child->business_id = parent.business_id;
  child->partition = parent.partition;
  child->begin = parent.begin;
  child->end = parent.end;
  child->slot = parent.slot;
  child->taken = parent.taken;
  child->taken_at = parent.taken_at;
  child->replay = parent.replay;
  child->order = parent.order;
  if (child->order != nullptr) ++child->order->items;
  child->stage = stage.index;
  child->begun = loop_->now();
  child->lenient = parent.lenient;
  child->of_joined = !parent.is_accounted();
  live_.push_back(&child->live);
  return child;
}

// What the parent counted for its children count for together, and at least one each; behind a tee
// each for as much as the parent.
void engine::implementation::share_weight(stage_run& stage, const item& parent,
                                          std::vector<item*>& children) {
  std::uint64_t sum = 0;
  const auto count = static_cast<std::uint32_t>(children.size());
  for (std::uint32_t n = 0; n < count; ++n) {
    const std::uint32_t share = parent.weight / count + (n < parent.weight % count ? 1 : 0);
    children[n]->weight = stage.fork != nullptr ? parent.weight : std::max(share, 1U);
    sum += children[n]->weight;
  }
  stage.born += sum - parent.weight;
  stage.inside += sum - parent.weight;
}

// For an item that may be dropped: what is not required must not keep what is.
bool engine::implementation::has_room_to_spare(stage_run& to, const item& work) const {
  return !to.input.full() && *work.optional_open <= optional_open_max_;
}

}  // namespace brigade
