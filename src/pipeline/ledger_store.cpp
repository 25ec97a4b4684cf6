#include "pipeline/ledger_store.hpp"

#include "pipeline/ledger_schema.hpp"
#include "pipeline/text.hpp"

#include <brigade/async/assert.hpp>

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace brigade::ledger_detail {
namespace {

std::string now_text() { return detail::iso_utc(std::chrono::system_clock::now()); }

std::string_view to_string(ledger_mode mode) {
  switch (mode) {
    case ledger_mode::full:
      return "full";
    case ledger_mode::failures:
      return "failures";
    case ledger_mode::off:
      return "off";
  }
  BRIGADE_ASSERT(false, "a ledger mode that does not exist");
}

constexpr std::string_view token_of_old = "sink_token";
constexpr std::string_view token_front = "sink_token:";

const std::filesystem::path& prepared(const std::filesystem::path& file) {
  prepare_folder(file);
  return file;
}

std::uint64_t number_of(const std::string& text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

ledger_store::statements::statements(database& in)
    : item(in.prepare("INSERT INTO item_rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")),
      attempt(in.prepare("INSERT INTO attempt_rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")),
      letter(in.prepare(
          "INSERT INTO dead_letters (id, business_id, run, stage, stage_index, attempts, error, "
          "replayable, source, position, part, at, replay_of, payload, source_payload) "
          "VALUES (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
          "coalesce((SELECT source FROM dead_letters WHERE letter = ?1), ?10), "
          "coalesce((SELECT position FROM dead_letters WHERE letter = ?1), ?11), "
          "?12, ?13, ?14, ?15, ?16)")),
      letter_replayed(in.prepare("UPDATE dead_letters SET status = 'replayed' "
                                 "WHERE id = ? AND status = 'new' AND run < ?")),
      business_id(in.prepare("INSERT OR IGNORE INTO business_ids VALUES (?, ?, ?)")),
      business_id_elsewhere(
          in.prepare("SELECT partition, position FROM business_ids WHERE business_id = ?1 AND NOT "
                     "(partition = ?2 AND position = ?3) LIMIT 1")),
      mark(in.prepare("INSERT INTO marks VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                      "low = excluded.low, above = excluded.above")),
      tally(in.prepare("UPDATE runs SET delivered = delivered + ?2, filtered = filtered + ?3, "
                       "dead_lettered = dead_lettered + ?4, dropped = dropped + ?5, "
                       "returned = returned + ?6, retries = retries + ?7, active_at = ?8 "
                       "WHERE run = ?1")) {}

ledger_store::ledger_store(const ledger_options& options) try
    : options_(options),
      lock_(prepared(options_.path)),
      database_(open_for_writing(options_.path)),
      statements_(database_) {
  if (!options_.letters.empty()) open_letters();
  transaction opening(database_);
  check_identity();
  close_killed_runs();
  load_names();
  load_marks();
  opening.commit();
  if (options_.bytes_max > 0) {
    database_.execute(fmt::format("PRAGMA max_page_count = {}",
                                  std::max<std::uint64_t>(options_.bytes_max / 4096, 1))
                          .c_str());
  }
} catch (const database_error& error) {
  throw explained(options.path, error);
}

void ledger_store::open_letters() {
  try {
    letters_.emplace(options_.letters, options_.letters_bytes_max);
  } catch (const std::runtime_error& error) {
    throw ledger_error(error.what());
  }
}

/// A ledger belongs to one pipeline with one source and one way to name items.
void ledger_store::check_identity() {
  const std::string file = options_.path.string();
  const std::string pipeline = meta(database_, "pipeline");
  if (!pipeline.empty() && pipeline != options_.pipeline) {
    throw ledger_error(
        fmt::format("{}: is the ledger of pipeline '{}', not of '{}'; name another "
                    "file or rename the pipeline",
                    file, pipeline, options_.pipeline));
  }
  const std::string epoch = meta(database_, "epoch");
  const bool is_new = epoch.empty();
  epoch_ = is_new ? 1 : number_of(epoch);
  const bool has_identity = !options_.source_fingerprint.empty();
  const auto check = [&](std::string_view key, std::string_view what, const std::string& given) {
    const std::string known = meta(database_, key);
    if (!is_new && !options_.fresh && has_identity && known != given) {
      throw ledger_error(fmt::format(
          "{}: the {} of pipeline '{}' is '{}' now and was '{}' in the last run, so its marks mean "
          "nothing; run with --fresh to begin again, or change it back",
          file, what, options_.pipeline, given, known));
    }
    if (is_new || has_identity) set_meta(database_, key, given);
  };
  check("source", "source", options_.source_fingerprint);
  check("id", "id expression", options_.id_expression);
  set_meta(database_, "pipeline", options_.pipeline);
  if (!options_.pipeline_file.empty()) {
    set_meta(database_, "pipeline_file",
             std::filesystem::absolute(options_.pipeline_file).lexically_normal().string());
  }
  if (is_new) {
    set_meta(database_, "created_at", now_text());
    begin_epoch(1);
  } else if (options_.fresh) {
    begin_epoch(epoch_ + 1);
  }
}

/// Partitions stay known, so that a file keeps its token and its items their ids.
void ledger_store::begin_epoch(std::uint64_t epoch) {
  database_
      .prepare(
          "INSERT INTO marks SELECT pipeline, source, ?, 0, '[]' FROM marks "
          "WHERE epoch = ? AND source <> ?")
      .run(epoch, epoch_, replay_partition);
  epoch_ = epoch;
  set_meta(database_, "epoch", std::to_string(epoch));
  database_.execute("DELETE FROM meta WHERE key = 'sink_token' OR key GLOB 'sink_token:*'");
}

void ledger_store::close_killed_runs() {
  database_.execute("UPDATE runs SET ended = 'killed', ended_at = active_at WHERE ended IS NULL");
}

void ledger_store::load_names() {
  statement last = database_.prepare("SELECT max(partition) FROM partitions");
  if (last.step()) last_partition_ = last.integer(0);
  statement stage_rows = database_.prepare("SELECT stage, name FROM stages ORDER BY 1");
  while (stage_rows.step()) stages_.push_back({stage_rows.text(1), stage_rows.integer(0), true});
}

void ledger_store::load_marks() {
  statement marks = database_.prepare(
      "SELECT m.source, m.low, m.above FROM marks m LEFT JOIN partitions p ON p.name = m.source "
      "WHERE m.epoch = ? ORDER BY p.partition");
  marks.bind_all(epoch_);
  while (marks.step()) {
    try {
      find_partition(marks.text(0)).done =
          mark_builder(mark::decode(marks.unsigned_integer(1), marks.text(2)));
    } catch (const std::invalid_argument& error) {
      throw ledger_error(fmt::format("{}: the mark of '{}' is damaged: {}", options_.path.string(),
                                     marks.text(0), error.what()));
    }
  }
  statement rows = database_.prepare(
      "SELECT source, position, position_end FROM recovered WHERE epoch = ? ORDER BY 1, 2");
  rows.bind_all(epoch_);
  while (rows.step()) {
    find_partition(rows.text(0))
        .recovered.push_back({rows.unsigned_integer(1), rows.unsigned_integer(2)});
  }
}

/// What a run returned may have been written by its sink all the same.
bool ledger_store::ended_well() {
  statement last = database_.prepare(
      "SELECT ended = 'normally' AND returned = 0 FROM runs ORDER BY run DESC "
      "LIMIT 1");
  return last.step() && last.integer(0) != 0;
}

resume_point ledger_store::resume() {
  resume_point point;
  point.epoch = epoch_;
  point.sink_tokens = sink_tokens();
  point.source_state = meta(database_, "source_state");
  statement delivered =
      database_.prepare("SELECT 1 FROM runs WHERE epoch = ? AND delivered > 0 LIMIT 1");
  delivered.bind_all(epoch_);
  point.has_history = delivered.step();
  point.ended_well = ended_well();
  for (const partition& each : partitions_) {
    const mark at = each.done.at();
    if (each.is_replay) {
      point.replayed = at;
    } else {
      point.finished.push_back({each.name, at});
      point.accounted.push_back({each.name, without(at, each.recovered)});
    }
  }
  return point;
}

/// One without a name is of a ledger from before pipelines had several sinks.
std::vector<sink_token> ledger_store::sink_tokens() {
  std::vector<sink_token> found;
  const std::string unnamed = meta(database_, token_of_old);
  if (!unnamed.empty()) found.push_back({"", unnamed});
  statement rows = database_.prepare(
      "SELECT substr(key, length(?1) + 1), value FROM meta "
      "WHERE substr(key, 1, length(?1)) = ?1 AND value <> '' ORDER BY 1");
  rows.bind_all(token_front);
  while (rows.step()) found.push_back({rows.text(0), rows.text(1)});
  return found;
}

void ledger_store::put_token(std::string_view sink, std::string_view token) {
  set_meta(database_, fmt::format("{}{}", token_front, sink), token);
}

/// What the sinks have now is what they were opened with; so a ledger of old gives its token a
/// name.

void ledger_store::keep(std::string_view source_state, std::span<const sink_token> first_tokens) {
  try {
    set_meta(database_, "source_state", source_state);
    for (const sink_token& first : first_tokens) {
      const bool is_new = meta(database_, fmt::format("{}{}", token_front, first.sink)).empty();
      if (is_new && !first.token.empty()) put_token(first.sink, first.token);
    }
    if (!meta(database_, token_of_old).empty()) set_meta(database_, token_of_old, "");
  } catch (const database_error& error) {
    throw explained(options_.path, error);
  }
}

void ledger_store::reconcile(std::span<const partition_mark> sink_marks) {
  try {
    transaction following(database_);
    for (const partition_mark& sink : sink_marks) {
      partition& known = find_partition(sink.partition);
      const mark here = known.done.at();
      const mark both = mark::merge(here, sink.at);
      if (both == here) continue;
      const ranges news = subtract(ranges_of(both), ranges_of(here));
      if (known.is_replay) {
        recover_letters(known, news);
      } else if (!news.empty()) {
        mark all;
        all.above = known.recovered;
        all.above.insert(all.above.end(), news.begin(), news.end());
        known.recovered = ranges_of(mark_builder(all).at());
        known.recovered_changed = true;
      }
      for (const mark::part& part : both.parts) {
        if (!known.done.part_finished(part.begin, part.path)) recover_part(known, part);
      }
      known.done = mark_builder(both);
      known.mark_changed = true;
    }
    write_changes();
    following.commit();
    forget_changes();
  } catch (const database_error& error) {
    throw explained(options_.path, error);
  }
}

std::int64_t ledger_store::last_run() {
  statement query = database_.prepare("SELECT max(run) FROM runs");
  return query.step() ? query.integer(0) : 0;
}

/// The sink had these letters before the last run was killed, or stopped not knowing it. What they
/// are is known to the letter. Who dropped one since then did not know that it was delivered.
void ledger_store::recover_letters(partition& replay, const ranges& letters) {
  const std::int64_t run = last_run();
  for (const mark::range& each : letters) {
    if (options_.mode == ledger_mode::full) {
      database_
          .prepare(
              "INSERT OR REPLACE INTO item_rows SELECT ?1, letter, '', ?2, ?3, NULL, 0, NULL, "
              "NULL, NULL, business_id, id, id FROM dead_letters "
              "WHERE letter >= ?4 AND letter < ?5 AND status <> 'replayed'")
          .run(replay.number, run, stored(outcome::delivered), each.begin, each.end);
    }
    statement mark_replayed = database_.prepare(
        "UPDATE dead_letters SET status = 'replayed' WHERE letter >= ? AND letter < ? "
        "AND status <> 'replayed'");
    mark_replayed.run(each.begin, each.end);
    database_.prepare("UPDATE runs SET delivered = delivered + ? WHERE run = ?")
        .run(database_.changes(), run);
  }
}

/// The last run may have a row for it: it was returned, and its sink has it all the same.
void ledger_store::recover_part(partition& in, const mark::part& part) {
  if (options_.mode != ledger_mode::full) return;
  const std::int64_t run = last_run();
  statement correct = database_.prepare(
      "UPDATE item_rows SET outcome = ?, error = NULL WHERE partition = ? AND position = ? AND "
      "part = ? AND run = ?");
  correct.run(stored(outcome::delivered), in.number, part.begin, part.path, run);
  if (database_.changes() != 0) return;
  statements_.item.run(in.number, part.begin, part.path, run, stored(outcome::delivered),
                       std::nullopt, 0, std::nullopt, std::nullopt, std::nullopt, std::nullopt,
                       std::nullopt, std::nullopt);
}

std::uint64_t ledger_store::begin_run() {
  BRIGADE_ASSERT(run_ == 0, "ledger: a run was begun already");
  try {
    transaction beginning(database_);
    delete_old_rows();
    run_ = last_run() + 1;
    const std::string now = now_text();
    database_
        .prepare(
            "INSERT INTO runs (run, pipeline, epoch, pid, mode, started_at, active_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)")
        .run(run_, options_.pipeline, epoch_, getpid(), to_string(options_.mode), now, now);
    beginning.commit();
    return static_cast<std::uint64_t>(run_);
  } catch (const database_error& error) {
    throw explained(options_.path, error);
  }
}

/// Dead letters, marks and the runs themselves are never too old.
void ledger_store::delete_old_rows() {
  if (options_.keep.count() == 0) return;
  const std::string before = detail::iso_utc(std::chrono::system_clock::now() - options_.keep);
  for (const char* sql :
       {"DELETE FROM item_rows WHERE run IN (SELECT run FROM runs WHERE ended_at < ?)",
        "DELETE FROM attempt_rows WHERE run IN (SELECT run FROM runs WHERE ended_at < ?)"}) {
    database_.prepare(sql).run(before);
  }
}

void ledger_store::end_run(const report& account) {
  transaction ending(database_);
  database_
      .prepare(
          "UPDATE runs SET ended = 'normally', ended_at = ?, exit = ?, error = ?, report = ? "
          "WHERE run = ?")
      .run(now_text(), account.exit_code,
           account.error.empty() ? std::nullopt : std::optional(detail::as_utf8(account.error)),
           account.json(), run_);
  ending.commit();
}

}  // namespace brigade::ledger_detail
