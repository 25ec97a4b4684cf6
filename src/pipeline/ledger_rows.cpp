/// Settlements into rows: the part of the store that runs for every item.
#include "pipeline/ledger_schema.hpp"
#include "pipeline/ledger_store.hpp"
#include "pipeline/text.hpp"

#include <brigade/async/assert.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

namespace brigade::ledger_detail {
namespace {

std::optional<std::int64_t> milliseconds_of(wall_time at) {
  if (at == wall_time{}) return std::nullopt;
  return std::chrono::floor<std::chrono::milliseconds>(at).time_since_epoch().count();
}

std::optional<std::string_view> unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional<std::string_view>(text);
}

std::optional<std::string> error_text(const std::string& error) {
  return error.empty() ? std::nullopt : std::optional(detail::as_utf8(error));
}

/// True when the id says no more than the row's key does. Called for every item: allocates nothing.
bool follows_from_position(const settlement& item, const std::string& partition) {
  std::string_view rest = item.id;
  const auto skip = [&](std::string_view front) {
    if (!rest.starts_with(front)) return false;
    rest.remove_prefix(front.size());
    return true;
  };
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), item.begin).ptr;
  const std::string_view position(digits.data(), static_cast<std::size_t>(end - digits.data()));
  if (!skip(partition) || !skip(":") || !skip(position)) return false;
  if (!item.part.empty() && (!skip("/") || !skip(item.part))) return false;
  return rest.empty();
}

/// The last failed attempt of a dead letter was not followed by another.
std::uint64_t retries_of(const settlement& item) {
  const std::size_t failed = item.failed_attempts.size();
  return failed > 0 && item.result == outcome::dead_lettered ? failed - 1 : failed;
}

}  // namespace

void ledger_store::name_partitions(std::span<const std::string> names) {
  for (std::size_t index = partition_by_index_.size(); index < names.size(); ++index) {
    partition_by_index_.push_back(&find_partition(names[index]));
  }
}

ledger_store::partition& ledger_store::find_partition(const std::string& name) {
  const auto known = partition_by_name_.find(name);
  if (known != partition_by_name_.end()) return *known->second;
  partition& made = partitions_.emplace_back();
  made.name = name;
  made.number = static_cast<std::int64_t>(partitions_.size());
  made.is_replay = name == replay_partition;
  partition_by_name_.emplace(name, &made);
  return made;
}

std::optional<std::int64_t> ledger_store::stage_number(const std::string& name) {
  if (name.empty()) return std::nullopt;
  const auto known = std::ranges::find(stages_, name, &stage::name);
  if (known != stages_.end()) return known->number;
  return stages_.emplace_back(stage{name, static_cast<std::int64_t>(stages_.size()) + 1, false})
      .number;
}

std::vector<repeated_id> ledger_store::write(std::span<const queued_batch> batches) {
  std::vector<repeated_id> repeated;
  std::map<std::string_view, std::string_view> tokens;
  tally_ = {};
  letter_lines_.clear();
  transaction writing(database_);
  for (const queued_batch& batch : batches) {
    for (const settlement& item : batch.settled.items) write_settlement(item, repeated);
    for (const delivered_item& item : batch.settled.delivered) count_delivered(item);
    for (const sink_token& each : batch.tokens) tokens[each.sink] = each.token;
  }
  write_changes();
  for (const auto& [sink, token] : tokens) put_token(sink, token);
  statements_.tally.run(run_, tally_.items[0], tally_.items[1], tally_.items[2], tally_.items[3],
                        tally_.items[4], tally_.retries,
                        detail::iso_utc(std::chrono::system_clock::now()));
  commit_with_letters(writing);
  forget_changes();
  return repeated;
}

/// The lines are durable first, and gone again when the rest is written later, for want of room.
/// After any other error, as a failed sync, the ledger may turn out to have the letters: a line
/// twice is better than one that is not there.
void ledger_store::commit_with_letters(transaction& writing) {
  if (letter_lines_.empty()) return writing.commit();
  letters_->append(letter_lines_);
  try {
    writing.commit();
  } catch (const database_error& error) {
    if (error.code() == SQLITE_FULL) letters_->take_back();
    throw;
  }
}

void ledger_store::write_settlement(const settlement& item, std::vector<repeated_id>& repeated) {
  partition& in = partition_at(item.partition);
  if (keeps_row(item)) write_row(item, in);
  if (options_.mode != ledger_mode::off) {
    write_attempts(item, in);
    if (!item.business_id.empty() && !in.is_replay) write_business_id(item, in, repeated);
  }
  if (!item.replay_of.empty() && item.result != outcome::returned && item.part.empty()) {
    statements_.letter_replayed.run(item.replay_of, run_);
  }
  if (item.dead != nullptr) write_letter(item, in);
  advance_mark(item, in);
  if (item.part.empty()) ++tally_.items[static_cast<std::size_t>(item.result)];
  tally_.retries += retries_of(item);
}

ledger_store::partition& ledger_store::partition_at(std::uint32_t index) {
  BRIGADE_ASSERT(index < partition_by_index_.size(), "ledger: a partition without a name");
  return *partition_by_index_[index];
}

/// Of these the mark says all there is to say. What a sink had before the run comes as settlements.
void ledger_store::count_delivered(const delivered_item& item) {
  partition& in = partition_at(item.partition);
  in.mark_changed = true;
  in.done.finish(item.begin, item.end);
  ++tally_.items[static_cast<std::size_t>(outcome::delivered)];
}

bool ledger_store::keeps_row(const settlement& item) const {
  switch (options_.mode) {
    case ledger_mode::full:
      return true;
    case ledger_mode::off:
      return false;
    case ledger_mode::failures:
      break;
  }
  return item.result != outcome::delivered || item.attempts > 1 || !item.failed_attempts.empty() ||
         !item.replay_of.empty();
}

void ledger_store::write_row(const settlement& item, const partition& in) {
  const std::optional<std::string_view> id = follows_from_position(item, in.name)
                                                 ? std::nullopt
                                                 : std::optional<std::string_view>(item.id);
  statements_.item.run(in.number, item.begin, item.part, run_, stored(item.result),
                       stage_number(item.stage), item.attempts, error_text(item.error),
                       milliseconds_of(item.taken_at), milliseconds_of(item.settled_at),
                       unless_empty(item.business_id), id, unless_empty(item.replay_of));
}

void ledger_store::write_attempts(const settlement& item, const partition& in) {
  std::int64_t sequence = 0;
  for (const attempt_record& each : item.failed_attempts) {
    statements_.attempt.run(in.number, item.begin, item.part, run_, ++sequence,
                            stage_number(each.stage), each.number, each.worker,
                            error_text(each.error), milliseconds_of(each.at));
  }
}

void ledger_store::write_letter(const settlement& item, const partition& in) {
  const std::optional<std::uint64_t> replayed =
      in.is_replay ? std::optional(item.begin) : std::nullopt;
  statements_.letter.run(replayed, item.id, unless_empty(item.business_id), run_, item.stage,
                         item.dead->stage_index, item.attempts, detail::as_utf8(item.error),
                         item.dead->replayable, in.name, item.begin, item.part,
                         detail::iso_utc(item.settled_at), unless_empty(item.replay_of),
                         bytes{item.dead->payload}, bytes{item.dead->source_payload});
  if (letters_) letter_lines_ += letter_line(item, run_);
}

void ledger_store::write_business_id(const settlement& item, const partition& in,
                                     std::vector<repeated_id>& repeated) {
  statements_.business_id.run(item.business_id, in.number, item.begin);
  if (database_.changes() == 0) return;
  statement& elsewhere = statements_.business_id_elsewhere;
  elsewhere.bind_all(item.business_id, in.number, item.begin);
  if (!elsewhere.step()) return;
  const auto named = std::ranges::find(partitions_, elsewhere.integer(0), &partition::number);
  BRIGADE_ASSERT(named != partitions_.end(), "ledger: a position in a partition without a name");
  repeated.push_back({item.business_id, item.id,
                      fmt::format("{}:{}", named->name, elsewhere.unsigned_integer(1))});
  elsewhere.reset();
}

void ledger_store::advance_mark(const settlement& item, partition& in) {
  if (item.result == outcome::returned) return;
  in.mark_changed = true;
  if (!item.part.empty()) {
    in.done.finish_part(item.begin, item.part);
    return;
  }
  in.done.finish(item.begin, item.end);
  if (in.recovered.empty()) return;
  // What is given again comes in order: what lies before it in its range holds no item.
  const auto range = std::ranges::find_if(in.recovered, [&](const mark::range& each) {
    return each.begin <= item.begin && item.begin < each.end;
  });
  if (range == in.recovered.end()) return;
  range->begin = std::min(item.end, range->end);
  if (range->begin == range->end) in.recovered.erase(range);
  in.recovered_changed = true;
}

/// Names before the transaction ends; marks once for the whole of it.
void ledger_store::write_changes() {
  for (const stage& each : stages_) {
    if (!each.is_stored) {
      database_.prepare("INSERT INTO stages VALUES (?, ?)").run(each.number, each.name);
    }
  }
  for (const partition& each : partitions_) {
    if (!each.is_stored) {
      database_.prepare("INSERT INTO partitions VALUES (?, ?)").run(each.number, each.name);
    }
    if (each.mark_changed) {
      const mark at = each.done.at();
      statements_.mark.run(options_.pipeline, each.name, epoch_, at.low, at.encode_above());
    }
    if (each.recovered_changed) {
      database_.prepare("DELETE FROM recovered WHERE source = ? AND epoch = ?")
          .run(each.name, epoch_);
      for (const mark::range& range : each.recovered) {
        database_.prepare("INSERT INTO recovered VALUES (?, ?, ?, ?, ?, ?)")
            .run(each.name, epoch_, range.begin, range.end, run_ == 0 ? last_run() : run_,
                 detail::iso_utc(std::chrono::system_clock::now()));
      }
    }
  }
}

/// After a commit only: a failed transaction is tried again with the same changes.
void ledger_store::forget_changes() {
  for (stage& each : stages_) each.is_stored = true;
  for (partition& each : partitions_) {
    each.is_stored = true;
    each.mark_changed = false;
    each.recovered_changed = false;
  }
}

}  // namespace brigade::ledger_detail
