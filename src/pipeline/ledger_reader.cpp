#include "pipeline/ledger_database.hpp"
#include "pipeline/ledger_lock.hpp"
#include "pipeline/ledger_schema.hpp"
#include "pipeline/report_read.hpp"

#include <brigade/pipeline/ledger_reader.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <set>

namespace brigade {

using ledger_detail::database;
using ledger_detail::database_error;
using ledger_detail::statement;

namespace {

/// Where an item stands: its partition and position, and which child of it is meant.
struct place {
  std::string source;
  std::uint64_t position = 0;
  std::string part;
  friend auto operator<=>(const place&, const place&) = default;
  /// True for what the item there became.
  [[nodiscard]] bool holds(const place& other) const {
    return source == other.source && position == other.position && part != other.part &&
           (part.empty() || other.part.starts_with(part + '/'));
  }
};

/// `<partition>:<position>`, perhaps with `/<part>` behind it.
std::optional<place> parse_place(std::string_view id) {
  const std::size_t colon = id.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  place result;
  result.source = id.substr(0, colon);
  const std::string_view digits = id.substr(colon + 1);
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), result.position);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view rest = digits.substr(static_cast<std::size_t>(stop - digits.data()));
  if (!rest.empty() && rest.front() != '/') return std::nullopt;
  if (!rest.empty()) result.part = rest.substr(1);
  return result;
}

constexpr std::string_view letter_columns =
    "SELECT letter, id, business_id, run, stage, stage_index, attempts, error, status, replayable, "
    "at, replay_of, source, position FROM dead_letters ";

letter_row read_letter(const statement& row) {
  letter_row result;
  result.number = row.unsigned_integer(0);
  result.id = row.text(1);
  result.business_id = row.text(2);
  result.run = row.unsigned_integer(3);
  result.stage = row.text(4);
  result.stage_index = static_cast<int>(row.integer(5));
  result.attempts = static_cast<int>(row.integer(6));
  result.error = row.text(7);
  result.replayed = row.text(8) == "replayed";
  result.dropped = row.text(8) == "dropped";
  result.replayable = row.integer(9) != 0;
  result.at = row.text(10);
  result.replay_of = row.text(11);
  result.partition = row.text(12);
  result.position = row.unsigned_integer(13);
  return result;
}

outcome_row read_outcome(const statement& row) {
  outcome_row result;
  result.id = row.text(0);
  result.business_id = row.text(1);
  result.run = row.unsigned_integer(2);
  result.result = row.text(3);
  result.stage = row.text(4);
  result.attempts = static_cast<int>(row.integer(5));
  result.error = row.text(6);
  result.taken_at = row.text(7);
  result.settled_at = row.text(8);
  result.replay_of = row.text(9);
  return result;
}

}  // namespace

struct ledger_reader::state {
  explicit state(const std::filesystem::path& ledger)
      : file(ledger), rows(ledger_detail::open_for_reading(ledger)) {}

  /// Everything is read in here, so that an error names the file.
  template <class Read>
  auto reading(Read read) {
    try {
      return read();
    } catch (const database_error& error) {
      throw ledger_detail::explained(file, error);
    }
  }

  std::vector<run_record> read_runs();
  report recorded(const run_record& run);
  std::vector<failure_group> failures(std::uint64_t run);
  std::vector<dead_letter_report> first_letters(std::uint64_t run);
  std::set<place> places_of(std::string_view id);
  void add_outcomes(const place& at, std::vector<outcome_row>& to);
  std::vector<attempt_row> attempts(const place& at, std::uint64_t run);
  position_state state_of(const place& at);

  std::filesystem::path file;
  database rows;
  std::optional<statement> row_of_id;
};

ledger_reader::ledger_reader(const std::filesystem::path& ledger)
    : state_(std::make_unique<state>(ledger)) {}
ledger_reader::~ledger_reader() = default;

std::string ledger_reader::pipeline() const {
  return state_->reading([&] { return ledger_detail::meta(state_->rows, "pipeline"); });
}

std::filesystem::path ledger_reader::pipeline_file() const {
  return state_->reading([&] { return ledger_detail::meta(state_->rows, "pipeline_file"); });
}

std::vector<run_record> ledger_reader::runs() const {
  return state_->reading([&] { return state_->read_runs(); });
}

std::vector<run_record> ledger_reader::state::read_runs() {
  const bool is_running = ledger_detail::ledger_lock::is_held(file);
  std::vector<run_record> result;
  statement row = rows.prepare(
      "SELECT run, pipeline, epoch, pid, mode, started_at, coalesce(ended_at, active_at), ended, "
      "exit, error, delivered, filtered, dead_lettered, dropped, returned, retries "
      "FROM runs ORDER BY run");
  while (row.step()) {
    run_record& run = result.emplace_back();
    run.run = row.unsigned_integer(0);
    run.pipeline = row.text(1);
    run.epoch = row.unsigned_integer(2);
    run.pid = row.integer(3);
    run.mode = row.text(4);
    run.started_at = row.text(5);
    run.ended_at = row.text(6);
    if (row.text(7) != "normally") {
      run.state = row.is_null(7) && is_running ? run_state::running : run_state::killed;
    }
    if (!row.is_null(8)) run.exit_code = static_cast<int>(row.integer(8));
    run.error = row.text(9);
    for (std::size_t each = 0; each < outcome_count; ++each) {
      run.settled[each] = row.unsigned_integer(10 + static_cast<int>(each));
    }
    run.retries = row.unsigned_integer(15);
  }
  return result;
}

report ledger_reader::run_report(std::optional<std::uint64_t> number) const {
  return state_->reading([&] {
    const std::vector<run_record> all = state_->read_runs();
    if (all.empty()) throw ledger_error(state_->file.string() + ": no run has begun yet");
    const auto found =
        number ? std::ranges::find(all, *number, &run_record::run) : std::prev(all.end());
    if (found == all.end()) {
      throw ledger_error(fmt::format("{}: there is no run {}; the last is {}",
                                     state_->file.string(), *number, all.back().run));
    }
    report result = state_->recorded(*found);
    result.run = found->run;
    result.error = found->error;
    result.state = found->state;
    result.failures = state_->failures(found->run);
    return result;
  });
}

/// As it was written at the run's end, else put together from what was recorded.
report ledger_reader::state::recorded(const run_record& run) {
  statement query = rows.prepare(
      "SELECT report, (julianday(active_at) - julianday(started_at)) * 86400000 "
      "FROM runs WHERE run = ?");
  query.bind_all(run.run);
  query.step();
  if (run.state == run_state::ended) {
    try {
      return ledger_detail::read_report(query.text(0));
    } catch (const std::exception& error) {
      throw ledger_error(fmt::format("{}: the report of run {} is damaged: {}", file.string(),
                                     run.run, error.what()));
    }
  }
  report result;
  result.pipeline = run.pipeline;
  result.settled = run.settled;
  result.taken = std::accumulate(run.settled.begin(), run.settled.end(), std::uint64_t{0});
  result.retries = run.retries;
  result.seconds = static_cast<double>(query.integer(1)) / 1000;
  result.dead_letters = first_letters(run.run);
  return result;
}

std::vector<failure_group> ledger_reader::state::failures(std::uint64_t run) {
  std::vector<failure_group> result;
  // With min(), SQLite takes the other columns from the row that has the minimum.
  statement row = rows.prepare(
      "SELECT stage, error, count(*), id, min(letter) FROM dead_letters WHERE run = ? "
      "GROUP BY stage, error ORDER BY count(*) DESC, min(letter)");
  row.bind_all(run);
  while (row.step()) {
    result.push_back({row.text(0), row.text(1), row.unsigned_integer(2), row.text(3)});
  }
  return result;
}

std::vector<dead_letter_report> ledger_reader::state::first_letters(std::uint64_t run) {
  std::vector<dead_letter_report> result;
  statement row = rows.prepare(
      "SELECT id, stage, error, attempts FROM dead_letters WHERE run = ? ORDER BY letter LIMIT ?");
  row.bind_all(run, std::uint64_t{report::dead_letters_max});
  while (row.step()) {
    result.push_back({row.text(0), row.text(1), row.text(2), static_cast<int>(row.integer(3))});
  }
  return result;
}

item_history ledger_reader::history(std::string_view id) const {
  return state_->reading([&] {
    item_history result;
    const std::set<place> places = state_->places_of(id);
    std::set<std::string> ids = {std::string(id)};
    for (const place& each : places) {
      state_->add_outcomes(each, result.outcomes);
      result.state = std::max(result.state, state_->state_of(each));
      if (each.source != replay_partition) {
        ids.insert(fmt::format("{}:{}{}{}", each.source, each.position,
                               each.part.empty() ? "" : "/", each.part));
      }
    }
    for (const outcome_row& each : result.outcomes) ids.insert(each.id);
    std::ranges::sort(result.outcomes, {}, [](const outcome_row& each) {
      return std::pair(each.run, std::string_view(each.id));
    });
    letter_filter all;
    all.ids.assign(ids.begin(), ids.end());
    all.include_settled = true;
    result.letters = dead_letters(all);
    return result;
  });
}

bool ledger_reader::has_row(std::string_view id) const {
  return state_->reading([&] {
    std::optional<statement>& row = state_->row_of_id;
    if (!row) row.emplace(state_->rows.prepare("SELECT 1 FROM item_rows WHERE id = ? LIMIT 1"));
    row->bind_all(id);
    const bool found = row->step();
    row->reset();
    return found;
  });
}

/// The item may have been taken in several partitions: from its source, and it or items that it
/// became as replays. None of them lies in another.
std::set<place> ledger_reader::state::places_of(std::string_view id) {
  std::set<place> places;
  const auto add_stored_as = [&](std::string_view text) {
    statement row = rows.prepare(
        "SELECT p.name, i.position, i.part FROM item_rows i JOIN partitions p "
        "ON p.partition = i.partition "
        "WHERE i.id = ?1 OR (i.id > ?1 || '/' AND i.id < ?1 || '0')");  // '0' comes behind '/'
    row.bind_all(text);
    while (row.step()) places.insert({row.text(0), row.unsigned_integer(1), row.text(2)});
  };
  add_stored_as(id);
  if (const auto parsed = parse_place(id)) places.insert(*parsed);
  statement row = rows.prepare(
      "SELECT p.name, b.position FROM business_ids b JOIN partitions p "
      "ON p.partition = b.partition WHERE b.business_id = ?");
  row.bind_all(id);
  while (row.step()) {
    places.insert({row.text(0), row.unsigned_integer(1), {}});
    add_stored_as(fmt::format("{}:{}", row.text(0), row.unsigned_integer(1)));
  }
  std::erase_if(places, [&](const place& each) {
    return std::ranges::any_of(places, [&](const place& other) { return other.holds(each); });
  });
  return places;
}

void ledger_reader::state::add_outcomes(const place& at, std::vector<outcome_row>& to) {
  statement row = rows.prepare(
      "SELECT id, business_id, run, outcome, stage, attempts, error, taken_at, settled_at, "
      "replay_of, part FROM items WHERE source = ?1 AND position = ?2 "
      "AND (?3 = '' OR part = ?3 OR substr(part, 1, length(?3) + 1) = ?3 || '/') "
      "ORDER BY run, part");
  row.bind_all(at.source, at.position, at.part);
  while (row.step()) {
    outcome_row& each = to.emplace_back(read_outcome(row));
    each.failed_attempts = attempts({at.source, at.position, row.text(10)}, each.run);
  }
}

std::vector<attempt_row> ledger_reader::state::attempts(const place& at, std::uint64_t run) {
  std::vector<attempt_row> result;
  statement row = rows.prepare(
      "SELECT stage, attempt, worker, error, at FROM attempts "
      "WHERE source = ? AND position = ? AND part = ? AND run = ? ORDER BY sequence");
  row.bind_all(at.source, at.position, at.part, run);
  while (row.step()) {
    result.push_back({row.text(0), static_cast<int>(row.integer(1)),
                      static_cast<int>(row.integer(2)), row.text(3), row.text(4)});
  }
  return result;
}

position_state ledger_reader::state::state_of(const place& at) {
  if (at.source == replay_partition) return position_state::unknown;
  statement recovered = rows.prepare(
      "SELECT 1 FROM recovered WHERE source = ?1 AND position <= ?2 AND position_end > ?2 "
      "AND epoch = (SELECT max(epoch) FROM marks)");
  recovered.bind_all(at.source, at.position);
  if (recovered.step()) return position_state::recovered;

  statement row =
      rows.prepare("SELECT low, above FROM marks WHERE source = ? ORDER BY epoch DESC LIMIT 1");
  row.bind_all(at.source);
  if (!row.step()) return position_state::unknown;
  try {
    const mark_builder done(mark::decode(row.unsigned_integer(0), row.text(1)));
    return done.part_finished(at.position, at.part) ? position_state::finished
                                                    : position_state::unfinished;
  } catch (const std::invalid_argument& error) {
    throw ledger_error(
        fmt::format("{}: the mark of '{}' is damaged: {}", file.string(), at.source, error.what()));
  }
}

std::vector<letter_row> ledger_reader::dead_letters(const letter_filter& filter) const {
  return state_->reading([&] {
    constexpr std::string_view wanted =
        "WHERE (?1 OR status = 'new') AND (?2 = '' OR stage = ?2) AND instr(error, ?3) > 0 ";
    std::vector<letter_row> result;
    if (filter.ids.empty()) {
      statement row =
          state_->rows.prepare(fmt::format("{}{}ORDER BY letter", letter_columns, wanted));
      row.bind_all(filter.include_settled, filter.stage, filter.error);
      while (row.step()) result.push_back(read_letter(row));
      return result;
    }
    std::map<std::uint64_t, letter_row> named;
    // One by one, each by an index: there may be a hundred thousand letters. A letter without a
    // business id is no match for the empty one.
    statement row = state_->rows.prepare(
        fmt::format("{}{}AND (id = ?4 OR business_id = ?4)", letter_columns, wanted));
    for (const std::string& id : filter.ids) {
      row.bind_all(filter.include_settled, filter.stage, filter.error, id);
      while (row.step()) {
        letter_row each = read_letter(row);
        named.emplace(each.number, std::move(each));
      }
    }
    for (auto& [number, each] : named) result.push_back(std::move(each));
    return result;
  });
}

letter_row ledger_reader::letter(std::uint64_t number) const {
  return state_->reading([&] {
    statement row = state_->rows.prepare(std::string(letter_columns) + "WHERE letter = ?");
    row.bind_all(number);
    if (!row.step()) {
      throw ledger_error(fmt::format("{}: there is no dead letter {}; `brigade dlq ls` lists them",
                                     state_->file.string(), number));
    }
    letter_row result = read_letter(row);
    statement payloads =
        state_->rows.prepare("SELECT payload, source_payload FROM dead_letters WHERE letter = ?");
    payloads.bind_all(number);
    payloads.step();
    result.payload = payloads.text(0);
    result.source_payload = payloads.text(1);
    return result;
  });
}

}  // namespace brigade
