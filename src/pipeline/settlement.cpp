// One outcome an item: counted, written down, and acknowledged once that is durable.
#include "pipeline/engine_state.hpp"

#include <brigade/async/detail/probe.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>

namespace brigade {

using detail::item;
using detail::journaled;
using detail::run_phase;
namespace probe = detail::probe;

namespace {

constexpr std::chrono::seconds state_kept_every{1};

// The worst outcome of an item's children is its own; filtered only when all are.
int badness(outcome result) {
  switch (result) {
    case outcome::returned:
      return 4;
    case outcome::dead_lettered:
      return 3;
    case outcome::dropped:
      return 2;
    case outcome::delivered:
      return 1;
    case outcome::filtered:
      return 0;
  }
  return 0;
}

}  // namespace

void engine::implementation::settle(item& work, outcome result, std::string_view stage,
                                    std::string error, std::unique_ptr<letter> dead) {
  if (work.lenient) [[unlikely]] {
    if (badness(result) > badness(outcome::dropped)) result = outcome::dropped;
    dead.reset();
  }
  stage_run* at = work.stage >= 0 ? stages_[static_cast<std::size_t>(work.stage)].get() : nullptr;
  const int in_sink = result == outcome::delivered ? work.stage : -1;
  put_down(work, result, stage, std::move(error), std::move(dead), in_sink);
  count_at_stage(work, result);
  if (work.order != nullptr) [[unlikely]]
    settled_in_order(work, result);
  part_with(work, result, in_sink);
  if (at != nullptr) close_if_drained(*at);
}

// The parent left its stage when it was split; here it gets the outcome of its children.
void engine::implementation::settle_parent(item& parent) {
  const outcome result = parent.worst_child;
  const std::string stage =
      parent.stage >= 0 ? stages_[static_cast<std::size_t>(parent.stage)]->name : plan.source_name;
  put_down(parent, result, stage, {}, nullptr, -1);
  part_with(parent, result, -1);
}

// Into the account, or, for what has none of its own, into that of the items it was made of.
void engine::implementation::put_down(item& work, outcome result, std::string_view stage,
                                      std::string error, std::unique_ptr<letter> dead,
                                      int in_sink) {
  if (work.is_accounted()) [[likely]] {
    if (dead != nullptr && dead_letters_.size() < report::dead_letters_max) {
      dead_letters_.push_back({std::string(work.id()), std::string(stage), error, work.attempts});
    }
    write_down(work, result, stage, std::move(error), std::move(dead), in_sink);
    return;
  }
  item* whole = &work;
  while (whole->joined == nullptr) whole = whole->parent;
  detail::joined_items& joined = *whole->joined;
  if (error.empty() || badness(result) <= badness(joined.worst)) return;
  joined.worst = result;
  joined.error = "in a batch, at stage '" + std::string(stage) + "': " + error;
}

// It is gone: what that means for its parent, its members and the count of the run.
void engine::implementation::part_with(item& work, outcome result, int in_sink) {
  const std::unique_ptr<detail::joined_items> joined = std::move(work.joined);
  item* const parent = work.parent;
  if (joined != nullptr) {
    for (item* member : joined->members) {
      member->failed_attempts.insert(member->failed_attempts.end(), work.failed_attempts.begin(),
                                     work.failed_attempts.end());
    }
  } else if (parent == nullptr) {
    count_outcome(work, result);
  }
  const bool minded = work.optional_open == nullptr;
  if (!minded) --*work.optional_open;
  release(work);
  if (joined != nullptr) settle_members(*joined, result, in_sink);
  if (parent == nullptr) return;
  const bool counts = minded || result == outcome::delivered;
  if (counts && badness(result) > badness(parent->worst_child)) parent->worst_child = result;
  if (--parent->children_open == 0) settle_parent(*parent);
}

// They left their stage as one, and have the outcome of that. Each has its own letter, from where
// it was joined with the others.
void engine::implementation::settle_members(detail::joined_items& joined, outcome result,
                                            int in_sink) {
  for (item* member : joined.members) {
    const stage_run& stage = *stages_[static_cast<std::size_t>(member->stage)];
    std::unique_ptr<letter> dead;
    if (result == outcome::dead_lettered) dead = letter_of(stage, *member);
    put_down(*member, result, stage.name, joined.error, std::move(dead), in_sink);
    part_with(*member, result, in_sink);
  }
}

void engine::implementation::count_outcome(const item& work, outcome result) {
  ++settled_[static_cast<std::size_t>(result)];
  ++sources_[partition_source_[work.partition]].settled[static_cast<std::size_t>(result)];
}

bool engine::implementation::outcomes_are_read() const {
  return plan.outcomes && plan.outcomes->has_reader();
}

bool engine::implementation::tells(const item& work) const {
  return (source_wants_outcomes_ || outcomes_are_read()) && !work.is_child();
}

std::unique_ptr<journaled::told_item> engine::implementation::what_to_tell(
    const item& work, outcome result, std::string_view stage, const std::string& error) const {
  auto told = std::make_unique<journaled::told_item>();
  told->begin = work.begin;
  told->in_doubt = result == outcome::returned && may_be_in_a_sink(work);
  told->what.result = result;
  told->what.stage = stage;
  told->what.error = error;
  if (outcomes_are_read()) {
    told->what.id = work.id();
    told->what.business_id = work.business_id;
    told->what.attempts = result == outcome::delivered ? std::max(work.tries, 1) : work.attempts;
  }
  return told;
}

// Of what is behind a fork one sink may have its part, and another not; of what was there in an
// earlier run too, though it has not come so far again.
bool engine::implementation::may_be_in_a_sink(const item& work) const {
  if (in_doubt_) return true;
  const bool was_forked = work.worst_child == outcome::returned ||
                          watermarks_[work.partition].has_finished_parts(work.slot);
  return was_forked && a_sink_keeps_marks();
}

void engine::implementation::tell(std::uint32_t partition, journaled::told_item& told) {
  const item_outcome& what = told.what;
  if (source_wants_outcomes_) {
    plan.from->settled({partition, told.begin, what.result, what.stage, what.error, told.in_doubt});
  }
  // One that came later was not meant: what it would read has no name.
  if (outcomes_are_read() && !what.id.empty()) plan.outcomes->tell(std::move(told.what));
}

void engine::implementation::count_at_stage(item& work, outcome result) {
  if (work.stage < 0) {
    ++settled_at_source_[static_cast<std::size_t>(result)];
    return;
  }
  stage_run& stage = *stages_[static_cast<std::size_t>(work.stage)];
  stage.inside -= work.weight;
  if (result == outcome::delivered) {
    stage.passed += work.weight;
  } else {
    stage.settled[static_cast<std::size_t>(result)] += work.weight;
  }
}

void engine::implementation::write_down(item& work, outcome result, std::string_view stage,
                                        std::string error, std::unique_ptr<letter> dead,
                                        int in_sink) {
  detail::journaled::entry& entry = outbox_entries_.emplace_back(
      journaled::entry{work.partition, in_sink, work.slot, work.bytes, result, nullptr, nullptr});
  if (work.is_child()) entry.part = std::make_unique<std::string>(work.part);
  if (tells(work)) [[unlikely]]
    entry.told = what_to_tell(work, result, stage, error);
  if (journal_ != nullptr && is_plain(work, result)) {
    outbox_.delivered.push_back({work.partition, work.begin, work.end});
  } else if (journal_ != nullptr) {
    outbox_.items.push_back(settlement_of(work, result, stage, std::move(error), std::move(dead)));
  }
  outbox_filled_.set();
}

// There is nothing to say of it but that it was delivered. What was never tried was in the sink
// before this run.
bool engine::implementation::is_plain(const item& work, outcome result) const {
  return !journal_keeps_delivered_ && result == outcome::delivered && work.tries == 1 &&
         !work.is_child() && work.failed_attempts.empty() && work.business_id.empty() &&
         work.replay == nullptr;
}

settlement engine::implementation::settlement_of(item& work, outcome result, std::string_view stage,
                                                 std::string error, std::unique_ptr<letter> dead) {
  settlement entry;
  entry.id = work.id();
  entry.business_id = work.business_id;
  entry.partition = work.partition;
  entry.begin = work.begin;
  entry.end = work.end;
  entry.part = work.part;
  entry.result = result;
  entry.stage = stage;
  entry.attempts = result == outcome::delivered ? std::max(work.tries, 1) : work.attempts;
  entry.error = std::move(error);
  entry.taken_at = work.taken_at;
  entry.settled_at = wall_now();
  entry.failed_attempts = std::move(work.failed_attempts);
  entry.dead = std::move(dead);
  if (work.replay != nullptr) entry.replay_of = work.replay->id;
  return entry;
}

// As old as the loop's clock: to look at that of the wall costs 40 ns, and there are several items
// to a turn of the loop.
wall_time engine::implementation::wall_now() {
  if (loop_->now() != wall_read_at_) {
    wall_read_at_ = loop_->now();
    wall_ = std::chrono::system_clock::now();
  }
  return wall_;
}

void engine::implementation::release(item& work) {
  if (work.order != nullptr) [[unlikely]]
    forget_order(work);
  work.live.unlink();
  delete &work;
}

// A sink whose items were parts of a batch has a token before any outcome is there to be recorded
// with it: it goes with the next, at the latest with that of the batch.
void engine::implementation::flush(sink_token token) {
  if (!token.token.empty()) {
    const auto same = [&](const sink_token& each) { return each.sink == token.sink; };
    std::erase_if(tokens_, same);
    tokens_.push_back(std::move(token));
  }
  if (outbox_entries_.empty()) return;
  static_cast<void>(note_source(source::state_kept::with_outcomes));
  record_outbox();
}

void engine::implementation::record_outbox() {
  journaled batch;
  batch.entries = std::exchange(outbox_entries_, {});
  if (journal_ == nullptr || journal_broken_) {
    batch.number = in_journal_.empty() ? 1 : in_journal_.back().number + 1;
    const std::uint64_t number = batch.number;
    in_journal_.push_back(std::move(batch));
    if (journal_ == nullptr) durable_up_to(number);
    return;
  }
  batch.number =
      journal_->record(std::exchange(outbox_, {}), partitions_, std::exchange(tokens_, {}));
  in_journal_.push_back(std::move(batch));
  if (!waits_for_journal_) {
    waits_for_journal_ = true;
    loop_->outside_wait_begins(false);
  }
  if (!probe::stands(probe::guard::acknowledge_after_ledger)) {
    durable_up_to(in_journal_.back().number);
  }
}

// Records what settles between the sink's batches; the sink's own go in together, with its token.
task<> engine::implementation::keep_books() {
  for (;;) {
    co_await outbox_filled_.wait();
    outbox_filled_.clear();
    co_await yield();  // what settles in the same turn is recorded together
    flush({});
  }
}

void engine::implementation::durable_up_to(std::uint64_t number) {
  if (journal_ != nullptr) fault_point("after_ledger_flush");
  if (plan.replay) fault_point("in_replay");
  std::vector<bool> moved(partitions_.size());
  while (!in_journal_.empty() && in_journal_.front().number <= number) {
    for (journaled::entry& entry : in_journal_.front().entries) {
      const bool done = entry.result != outcome::returned;
      watermark& at = watermarks_[entry.partition];
      if (entry.child()) {
        if (done) at.part_finished(entry.slot, std::move(*entry.part));
        continue;
      }
      if (done) at.finished(entry.slot);
      moved[entry.partition] = moved[entry.partition] || done;
      if (entry.told) [[unlikely]]
        tell(entry.partition, *entry.told);
      --window_items_;
      window_bytes_ -= entry.bytes;
    }
    in_journal_.pop_front();
  }
  for (std::uint32_t n = 0; n < moved.size(); ++n) {
    if (moved[n]) acknowledge(n);
  }
  window_moved_.set();
  if (in_journal_.empty()) {
    if (std::exchange(waits_for_journal_, false)) loop_->outside_wait_ends(false);
    journal_idle_.set();
  }
}

void engine::implementation::acknowledge(std::uint32_t partition) {
  try {
    plan.from->acknowledge(partition, watermarks_[partition]);
  } catch (const std::exception& failed) {
    stop_now(1, "source '" + plan.source_name + "': " + failed.what());
  }
}

// After a failed write nothing more is written; what is not durable goes back to the source.
void engine::implementation::journal_failed(const std::string& error) {
  journal_broken_ = true;
  if (std::exchange(waits_for_journal_, false)) loop_->outside_wait_ends(false);
  journal_idle_.set();
  stop_now(1, error);
}

// Waits for the journal, but in a stop no longer than the stop may take: a full disk can stay full.
task<> engine::implementation::all_durable() {
  bool hurried = false;
  while (!journal_broken_ && !in_journal_.empty()) {
    journal_idle_.clear();
    if (!stop_deadline_ || hurried) {
      co_await journal_idle_.wait();
      continue;
    }
    loop_->refresh_now();
    deadline_scope patience(*stop_deadline_ - loop_->now());
    try {
      co_await journal_idle_.wait();
    } catch (const cancelled&) {
      if (!patience.caused_cancellation()) throw;
      journal_->hurry();
      hurried = true;
    }
  }
  return_the_unrecorded();
}

// What a source that is idle has not had occasion to say with an outcome.
task<> engine::implementation::keep_state() {
  for (;;) {
    co_await sleep_for(state_kept_every);
    if (phase_ != run_phase::running || journal_broken_) continue;
    if (note_source(source::state_kept::with_outcomes)) record_outbox();
  }
}

// Once all else is durable.
task<> engine::implementation::keep_last_state() {
  if (journal_ == nullptr || journal_broken_) co_return;
  if (!note_source(source::state_kept::at_end)) co_return;
  record_outbox();
  co_await all_durable();
}

void engine::implementation::return_the_unrecorded() {
  for (journaled& batch : in_journal_) {
    for (journaled::entry& entry : batch.entries) {
      if (entry.child()) continue;
      if (entry.result != outcome::returned) {
        source_report& source = sources_[partition_source_[entry.partition]];
        const auto was = static_cast<std::size_t>(entry.result);
        constexpr auto is = static_cast<std::size_t>(outcome::returned);
        --settled_[was], ++settled_[is];
        --source.settled[was], ++source.settled[is];
      }
      if (!entry.told) continue;
      entry.told->in_doubt |= entry.result != outcome::returned && a_sink_keeps_marks();
      entry.told->what.result = outcome::returned;
      entry.told->what.error = "its outcome could not be recorded";
      tell(entry.partition, *entry.told);
    }
  }
}

bool engine::implementation::a_sink_keeps_marks() const {
  return std::ranges::any_of(stages_, [](const auto& stage) {
    return stage->is_sink() && stage->end->to->transactional();
  });
}

// A write that was destroyed, or ended without an answer, may have come to be all the same.
bool engine::implementation::a_sink_is_in_doubt() const {
  return std::ranges::any_of(stages_, [](const auto& stage) {
    return stage->is_sink() && stage->end->writing && stage->end->to->transactional();
  });
}

void engine::implementation::return_the_rest() {
  in_doubt_ = a_sink_is_in_doubt();
  // Read from where it cannot be asked for again: it belongs into the account all the same.
  while (!plan.from->replayable() && !in_hand_.empty()) {
    source_item left = in_hand_.take();
    static_cast<void>(receive(std::move(left)));
  }
  in_hand_ = {};
  arriving_ = nullptr;
  abandon_lanes();
  for (auto& stage : stages_) {
    static_cast<void>(stage->input.abort());
    stage->requeued = nullptr;
    for (detail::work_slot& slot : stage->slots) {
      slot.current = nullptr;
      slot.more.clear();
      slot.children.clear();
    }
  }
  // A parent is settled by its last child, and stands before its children.
  for (detail::link* node = live_.front(); node != live_.end();) {
    item& work = *static_cast<item::hook*>(node)->self;
    node = node->next;
    if (work.children_open != 0 || work.is_member) continue;
    if (work.retry_armed()) {
      work.disarm_retry();
    } else if (work.place.linked()) {
      work.place.unlink();
    }
    const std::string stage =
        work.stage >= 0 ? stages_[static_cast<std::size_t>(work.stage)]->name : plan.source_name;
    settle(work, outcome::returned, stage, stop_reason_.empty() ? "stopped" : stop_reason_);
  }
}

}  // namespace brigade
