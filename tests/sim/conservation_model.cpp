#include "sim/conservation_model.hpp"

#include "sim/conservation_features.hpp"

#include <algorithm>

namespace brigade::sim {

namespace {

std::size_t beyond(std::size_t value, std::size_t limit) {
  return value > limit ? value - limit : 0;
}

std::string how_full(overflow what) {
  switch (what) {
    case overflow::wait:
      return "waits";
    case overflow::refuse:
      return "refuses";
    case overflow::drop_oldest:
      return "drops the oldest";
    case overflow::drop_newest:
      return "drops the newest";
  }
  return "?";
}

}  // namespace

std::string queue_terms::in_words() const {
  const char* const kind = order == taking_order::fifo   ? "queue '"
                           : order == taking_order::lifo ? "stack '"
                                                         : "priority queue '";
  std::string text = kind + name + "' ";
  text += items_max == no_bound ? "without a bound" : "of " + std::to_string(items_max);
  if (weight_max != 0) text += " (weight " + std::to_string(weight_max) + ")";
  text += ", which " + how_full(when_full) + " when full";
  if (notes_holders) text += " and notes its holders";
  return text;
}

queue_model::queue_model(oracle& judge, item_book& book, waiting_line& putters, queue_terms terms)
    : judge_(judge), book_(book), putters_(putters), terms_(std::move(terms)) {}

std::string queue_model::state_in_words() const {
  std::string text = "; by the model " + std::to_string(waiting_.size()) + " wait in it (weight " +
                     std::to_string(weight_) + "), " + std::to_string(held_) + " are held";
  if (closed_) text += aborted_ ? ", aborted" : ", closed";
  return text;
}

// --- what happened ---

bool queue_model::fits(std::size_t weight) const {
  if (waiting_.empty()) return true;
  if (waiting_.size() >= terms_.items_max) return false;
  return terms_.weight_max == 0 || weight_ + weight <= terms_.weight_max;
}

void queue_model::insert(item_record& item, bool before_its_equals) {
  item.where = place::queue;
  item.in = this;
  if (terms_.weight_max != 0) weight_ += item.weight;
  auto at = before_its_equals ? waiting_.begin() : waiting_.end();
  if (terms_.order == taking_order::lifo) at = waiting_.begin();
  if (terms_.order == taking_order::priority) {
    const auto equals = std::ranges::equal_range(waiting_, item.rank, {}, &item_record::rank);
    saw_if(!equals.empty(), feature::equals_kept_their_order);
    at = before_its_equals ? equals.begin() : equals.end();
  }
  waiting_.insert(at, &item);
}

void queue_model::catch_up() {
  while (item_record* const item = putters_.next_finished()) {
    require(terms_.when_full == overflow::wait, "a put was finished for who would not wait");
    saw(feature::put_was_finished);
    take_in(*item, queue_statistics());
  }
}

void queue_model::put(item_record& item, const queue_statistics& after) {
  catch_up();
  take_in(item, after);
}

void queue_model::take_in(item_record& item, const queue_statistics& after) {
  judge_.tell([&] { return "put " + item.name() + " into " + terms_.name; });
  require(!closed_, "a closed queue took an item");
  require(item.where == place::maker, "an item was put that was not with its maker");
  ++put_;
  if (terms_.drops()) {
    check_overflow(item, after);
    if (!item.alive) return;
  } else {
    require(vanished_.empty(), "an item was dropped, and nobody said that it may");
    require(item.alive, "an item that was put is nowhere");
  }
  saw_if(terms_.weight_max != 0 && item.weight > terms_.weight_max, feature::too_heavy_came_alone);
  insert(item, false);
}

// What was dropped for it, or it itself, or nothing because a taker is there for all.
void queue_model::check_overflow(item_record& item, const queue_statistics& now) {
  for (item_record* out : std::exchange(vanished_, {})) dropped_for(item, out, now);
  const bool room = fits(item.weight);
  if (item.alive) {
    require(room || now.granted >= waiting_.size(), "an item came in for which there was no room");
    saw_if(!room, feature::came_in_its_place);
    return;
  }
  require(!room, "an item was dropped for which there was room");
  require(now.getters_waiting == 0, "an item was dropped while a task waits for one");
  const bool outranked = terms_.order == taking_order::priority && !waiting_.empty() &&
                         waiting_.back()->rank < item.rank;
  require(terms_.when_full == overflow::drop_newest || outranked, "the wrong item was dropped");
  saw(outranked ? feature::dropped_itself : feature::dropped_newest);
  book_.ends(item, fate::dropped);
  ++dropped_;
}

void queue_model::dropped_for(const item_record& incoming, item_record* out,
                              const queue_statistics& now) {
  judge_.tell([&] { return terms_.name + " dropped " + out->name(); });
  require(terms_.when_full == overflow::drop_oldest, "an item in the queue was dropped");
  require(!fits(incoming.weight), "an item was dropped, and there was room");
  require(now.getters_waiting == 0, "an item was dropped while a task waits for one");
  const std::size_t expected = victim(now.granted);
  const bool right = expected < waiting_.size() && waiting_[expected] == out;
  require(right, "another item was dropped than the policy says");
  const bool urgent = terms_.order == taking_order::priority && out->rank < incoming.rank;
  require(!urgent, "a more urgent item gave way");
  if (std::erase(waiting_, out) != 0 && terms_.weight_max != 0) weight_ -= out->weight;
  book_.ends(*out, fate::dropped);
  ++dropped_;
  saw(feature::dropped_oldest);
}

std::size_t queue_model::victim(std::size_t promised) const {
  if (terms_.order == taking_order::fifo) return promised;
  if (waiting_.empty()) return 0;
  std::size_t at = waiting_.size() - 1;
  if (terms_.order == taking_order::lifo) return at;
  while (at > promised && waiting_[at - 1]->rank == waiting_[at]->rank) --at;
  return at;
}

void queue_model::refused(std::size_t asked, const detail::queue_core& queue) {
  judge_.tell([&] { return terms_.name + " refused weight " + std::to_string(asked); });
  require(terms_.when_full == overflow::refuse, "a queue refused an item, and was not told to");
  const std::size_t items = waiting_.size() + queue.reserved_;
  const std::size_t weight = weight_ + queue.reserved_weight_ + asked;
  const bool too_heavy = terms_.weight_max != 0 && weight > terms_.weight_max;
  require(items != 0 && (items >= terms_.items_max || too_heavy), "refused, and there was room");
  ++refused_;
  saw(feature::refused);
}

void queue_model::taken(item_record& item) {
  catch_up();
  judge_.tell([&] { return "took " + item.name() + " from " + terms_.name; });
  const bool next = !waiting_.empty() && waiting_.front() == &item;
  require(next, "an item was taken out of its turn");
  if (std::erase(waiting_, &item) != 0 && terms_.weight_max != 0) weight_ -= item.weight;
  item.where = place::taker;
  item.in = nullptr;
  ++held_;
}

void queue_model::settled(item_record& item, fate how) {
  judge_.tell([&] { return "settled " + item.name() + " of " + terms_.name; });
  --held_;
  book_.ends(item, how);
  switch (how) {
    case fate::done:
      ++done_;
      saw(feature::ticket_done);
      break;
    case fate::failed:
      ++failed_;
      saw(feature::ticket_failed);
      break;
    default:
      ++abandoned_;
      saw(feature::ticket_abandoned);
  }
}

void queue_model::given_back(item_record& item) {
  catch_up();
  judge_.tell([&] { return "gave " + item.name() + " back to " + terms_.name; });
  --held_;
  ++given_back_;
  ++items_came_back_;
  weight_came_back_ += item.weight;
  insert(item, true);
  saw(feature::given_back);
}

void queue_model::close() {
  catch_up();
  judge_.tell([&] { return "close " + terms_.name; });
  closed_ = true;
}

void queue_model::aborted(const std::vector<parcel>& left) {
  catch_up();
  judge_.tell([&] { return "abort " + terms_.name; });
  closed_ = aborted_ = true;
  const bool same = std::ranges::equal(left, waiting_, {}, [](const parcel& one) { return &*one; });
  require(same, "abort did not give back exactly what was in the queue, in order");
  for (const parcel& one : left) book_.ends(*one, fate::returned);
  saw_if(!left.empty(), feature::aborted_with_items);
  returned_ += left.size();
  waiting_.clear();
  weight_ = 0;
}

void queue_model::vanished(item_record& item) {
  if (!lets_go_) {
    vanished_.push_back(&item);
    return;
  }
  judge_.tell([&] { return item.name() + " was destroyed in " + terms_.name; });
  require(std::erase(waiting_, &item) != 0, "an item was destroyed that was not in the queue");
  if (terms_.weight_max != 0) weight_ -= item.weight;
  book_.ends(item, fate::destroyed);
  ++returned_;
  saw(feature::items_destroyed);
}

void queue_model::holds_no_more(const std::string& task, std::size_t items) {
  const auto found = std::ranges::find(holders_, holding(task, items));
  if (found != holders_.end()) holders_.erase(found);
}

// --- what must be ---

void queue_model::check(const detail::queue_core& queue, const waiting_line& takers) {
  const queue_statistics now = queue.statistics();
  check_numbers(now, queue.reserved_weight_);
  check_promises(now, takers);
  check_waiters(queue, now, takers);
}

void queue_model::check_numbers(const queue_statistics& now, std::size_t reserved_weight) {
  catch_up();
  require(vanished_.empty(), "an item in the queue was destroyed");
  check_counts(now);
  check_limits(now, reserved_weight);
  promised_ = now.granted;
}

void queue_model::check_counts(const queue_statistics& now) {
  require(now.size == waiting_.size(), "its size is not what was put less what was taken");
  require(now.weight == weight_, "it does not weigh what is in it");
  require(now.put == put_, "the count of items put is wrong");
  require(now.done == done_, "the count of items done is wrong");
  require(now.failed == failed_, "the count of items failed is wrong");
  require(now.abandoned == abandoned_, "the count of items abandoned is wrong");
  require(now.dropped == dropped_, "the count of items dropped is wrong");
  require(now.returned == returned_, "the count of items returned is wrong");
  require(now.refused == refused_, "the count of items refused is wrong");
  require(now.unfinished == unfinished(), "the count of unfinished items is wrong");
  const std::uint64_t ends = now.done + now.failed + now.abandoned + now.dropped + now.returned;
  require(now.put == now.unfinished + ends, "its own numbers do not add up");
}

// A queue that drops is checked at each put: beyond its limit goes only what takers wait for.
void queue_model::check_limits(const queue_statistics& now, std::size_t reserved_weight) {
  const std::size_t items = now.size + now.reserved;
  const std::size_t items_over = beyond(items, terms_.items_max);
  require(terms_.drops() || items_over <= items_over_ + items_came_back_,
          "more items than there is room for");
  // What is too heavy by itself comes in alone, and then other things may be given back.
  const std::size_t weight_over = beyond(now.weight + reserved_weight, terms_.weight_max);
  const std::size_t alone = items_came_back_ == 0 ? 0 : beyond(weight_most, terms_.weight_max);
  if (terms_.weight_max != 0 && items > 1) {
    require(terms_.drops() || weight_over <= weight_over_ + weight_came_back_ + alone,
            "heavier than it may be");
  }
  items_over_ = items_over;
  weight_over_ = weight_over;
  items_came_back_ = weight_came_back_ = 0;
}

void queue_model::check_promises(const queue_statistics& now, const waiting_line& takers) {
  require(now.granted <= now.size, "more items are promised than there are");
  if (!aborted_ && !takers.somebody_gathers()) {
    require(now.granted == takers.granted(), "items are promised to nobody");
  }
  const bool room_is_promised = terms_.when_full == overflow::wait;
  const std::size_t promised = room_is_promised ? putters_.granted() : 0;
  const std::size_t held = terms_.drops() ? 0 : slots_;
  require(now.reserved == promised + held, "room is promised to nobody");
}

void queue_model::check_waiters(const detail::queue_core& queue, const queue_statistics& now,
                                const waiting_line& takers) {
  require(now.getters_waiting == takers.waiting(), "it does not know who waits to take");
  require(now.putters_waiting == putters_.waiting(), "it does not know who waits to put");
  require(takers.waiting() == 0 || now.size == now.granted,
          "a task waits to take while there is an item for it");
  require(takers.waiting() == 0 || !closed_ || now.size != 0,
          "a task waits to take from a queue that is closed and empty");
  require(putters_.waiting() == 0 || !closed_, "a task waits to put into a closed queue");
  require(now.unfinished != 0 || queue.joiners_.empty(),
          "a task waits to join while everything is settled");
  if (putters_.waiting() == 0) return;
  const std::size_t items = now.size + now.reserved;
  const std::size_t weight = now.weight + queue.reserved_weight_ + putters_.weight_at_the_head();
  const bool too_heavy = terms_.weight_max != 0 && weight > terms_.weight_max;
  require(items != 0 && (items >= terms_.items_max || too_heavy),
          "a task waits to put while there is room for it");
}

void queue_model::check_joined(bool in_time) {
  catch_up();
  require(!in_time || unfinished() == 0, "join ended while there was work");
  require(in_time || unfinished() != 0, "join says that not all is settled, and it is");
}

void queue_model::check_holders(const join_result& told) {
  require(told.queued == waiting_.size(), "join is wrong about what is queued");
  require(told.held == held_, "join is wrong about what is held");
  if (!terms_.notes_holders || told) return;
  std::vector<holding> said;
  for (const item_holder& each : told.holders) said.emplace_back(each.task, each.items);
  const bool same = std::ranges::is_permutation(said, holders_);
  require(same, "join does not name exactly those who hold items");
  saw_if(!said.empty(), feature::join_named_holders);
  for (const holding& each : holders_) {
    require(told.text.find(each.first) != std::string::npos, "join's text does not name a holder");
  }
}

void queue_model::check_closed_and_empty() {
  catch_up();
  require(closed_, "an open queue said that it is closed");
  // Whoever heard of the end and had not run since may find what was given back promised to others.
  const bool promised = had_items_back() && waiting_.size() <= promised_;
  require(waiting_.empty() || promised,
          "a queue said closed and drained while there was an item in it");
}

}  // namespace brigade::sim
