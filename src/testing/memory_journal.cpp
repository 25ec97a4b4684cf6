#include "pipeline/mark_ranges.hpp"

#include <brigade/testing/fakes.hpp>

#include <algorithm>
#include <utility>

namespace brigade::testing {

using ledger_detail::ranges_of;
using ledger_detail::subtract;
using ledger_detail::without;

struct memory_journal::pending final : detail::timer {
  pending(memory_journal& owner_, std::uint64_t number_) : owner(owner_), number(number_) {}
  void fire() noexcept override { owner.became_durable(*this); }

  memory_journal& owner;
  std::uint64_t number;
  detail::time_point due;
  std::vector<settlement> entries;
  std::vector<std::string> partitions;
  std::vector<sink_token> tokens;
  source_note note;
};

memory_journal::memory_journal(std::uint64_t seed, milliseconds delay_max)
    : random_(seed), delay_max_(delay_max) {}
memory_journal::~memory_journal() = default;

resume_point memory_journal::resume() const {
  resume_point point;
  for (const auto& [name, token] : sink_tokens_) point.sink_tokens.push_back({name, token});
  point.source_state = source_state_;
  point.has_history = has_history_;
  for (const auto& [name, each] : parts_) {
    const mark at = each.done.at();
    point.finished.push_back({name, at});
    point.accounted.push_back({name, without(at, each.recovered)});
  }
  return point;
}

void memory_journal::reconcile(std::span<const partition_mark> sink_marks) {
  for (const partition_mark& sink : sink_marks) {
    part_of_source& known = parts_[sink.partition];
    const mark here = known.done.at();
    const mark both = mark::merge(here, sink.at);
    mark all;
    all.above = known.recovered;
    for (const mark::range& each : subtract(ranges_of(both), ranges_of(here))) {
      all.above.push_back(each);
    }
    known.recovered = ranges_of(mark_builder(all).at());
    for (const mark::part& part : both.parts) {
      if (known.done.part_finished(part.begin, part.path)) continue;
      settlement recovered;
      recovered.id = sink.partition + ":" + std::to_string(part.begin) + "/" + part.path;
      recovered.begin = part.begin;
      recovered.part = part.path;
      rows_.push_back({run_, sink.partition, std::move(recovered)});
    }
    known.done = mark_builder(both);
  }
}

void memory_journal::keep(std::string source_state, std::span<const sink_token> first_tokens) {
  source_state_ = std::move(source_state);
  for (const sink_token& first : first_tokens) {
    if (!first.token.empty()) sink_tokens_.emplace(first.sink, first.token);
  }
}

std::uint64_t memory_journal::begin_run() {
  BRIGADE_ASSERT(pending_.empty(), "a run began while the one before it had not ended");
  last_ = 0;
  note_ = source_note{};
  breaks_at_ = 0;
  broken_ = false;
  return ++run_;
}

void memory_journal::keep_with_next(source_note note) {
  if (note.state) note_.state = std::move(note.state);
  note_.forgotten.insert(note_.forgotten.end(), note.forgotten.begin(), note.forgotten.end());
}

std::uint64_t memory_journal::record(settled_batch batch,
                                     const std::vector<std::string>& partitions,
                                     std::vector<sink_token> tokens) {
  auto made = std::make_unique<pending>(*this, ++last_);
  if (broken_) return last_;
  loop& here = loop::current();
  here.refresh_now();
  const auto most = static_cast<std::uint64_t>(delay_max_.count());
  made->due = here.now() + milliseconds(random_.below(most + 1));
  if (!pending_.empty()) made->due = std::max(made->due, pending_.back()->due);
  made->entries = std::move(batch.items);
  for (const delivered_item& each : batch.delivered) {
    settlement whole;
    whole.id = partitions[each.partition] + ":" + std::to_string(each.begin);
    whole.partition = each.partition;
    whole.begin = each.begin;
    whole.end = each.end;
    whole.attempts = 1;
    made->entries.push_back(std::move(whole));
  }
  made->partitions = partitions;
  made->tokens = std::move(tokens);
  made->note = std::exchange(note_, source_note{});
  here.timers().arm(*made, made->due, false);
  pending_.push_back(std::move(made));
  return last_;
}

void memory_journal::became_durable(pending& batch) {
  BRIGADE_ASSERT(pending_.front().get() == &batch, "batches become durable in order");
  const std::unique_ptr<pending> done = std::move(pending_.front());
  pending_.pop_front();
  if (done->number == breaks_at_) {
    broken_ = true;
    for (const auto& never : pending_) loop::current().timers().disarm(*never);
    pending_.clear();
    if (on_failed) on_failed("the journal's disk broke");
    return;
  }
  for (settlement& entry : done->entries) {
    const std::string& partition = done->partitions[entry.partition];
    add(std::move(entry), partition);
  }
  for (sink_token& each : done->tokens) sink_tokens_[each.sink] = std::move(each.token);
  if (done->note.state) source_state_ = std::move(*done->note.state);
  for (const std::string& name : done->note.forgotten) parts_.erase(name);
  if (on_durable) on_durable(done->number);
}

void memory_journal::add(settlement entry, const std::string& partition) {
  part_of_source& in = parts_[partition];
  if (entry.result == outcome::delivered) has_history_ = true;
  if (entry.result != outcome::returned && !entry.part.empty()) {
    in.done.finish_part(entry.begin, entry.part);
  } else if (entry.result != outcome::returned) {
    in.done.finish(entry.begin, entry.end);
    // What is given again comes in order: what lies before it in its range holds no item.
    const auto range = std::ranges::find_if(in.recovered, [&](const mark::range& each) {
      return each.begin <= entry.begin && entry.begin < each.end;
    });
    if (range != in.recovered.end()) {
      range->begin = std::min(entry.end, range->end);
      if (range->begin == range->end) in.recovered.erase(range);
    }
  }
  rows_.push_back({run_, partition, std::move(entry)});
}

void memory_journal::crash() { pending_.clear(); }

}  // namespace brigade::testing
