#include "connect/postgres_writer.hpp"

#include <brigade/async/cancel.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/log.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <unordered_set>

namespace brigade::postgres {
namespace {

using namespace std::chrono_literals;

// Nobody may cut off a COMMIT: what it came to must be known.
constexpr std::chrono::hours commit_shield{24};
const std::string check_constraints = "SET CONSTRAINTS ALL IMMEDIATE;";
constexpr int conflicts_max = 20;
constexpr std::chrono::milliseconds conflict_pause{5};
// When more than one row in so many is bad, they are tried one by one.
constexpr std::size_t bad_share = 20;

}  // namespace

/// What is known of a batch in which some rows are bad.
struct writer::search {
  search(loader& with_, std::span<const row_to_load> rows_)
      : with(with_), rows(rows_), why(rows_.size()) {}
  loader& with;
  std::span<const row_to_load> rows;
  reasons why;
  std::vector<std::size_t> deferred;  ///< failed by what is looked at only at the end
  std::size_t bad = 0;
  bool last_came_behind = false;
  std::string last_error;
};

writer::writer(writer_options options)
    : options_(std::move(options)),
      label_("postgres " + conninfo_label(options_.where.conninfo)),
      table_(options_.into) {
  loading_.copies = options_.copies;
  if (options_.dedupe) loading_.keys = table_.beside("_brigade_keys");
}

void writer::close() noexcept { base_.reset(); }

void writer::throw_for_engine(const error& why) const {
  const std::string message = label_ + ": " + why.what();
  if (why.kind() == error_kind::missing || why.kind() == error_kind::other ||
      why.kind() == error_kind::row) {
    throw fatal_error(message);
  }
  throw sink_down(message);
}

// --- a batch ---

task<writer::failures> writer::write(std::span<const sink_item> items,
                                     std::span<const partition_mark> marks) {
  bool has_reconnected = false;
  bool has_reloaded = false;
  for (int conflicts = 0;;) {
    if (!base_ || !base_->is_open()) co_await reconnect();
    mark_rows next = next_marks(marks, true);
    std::optional<error> why;
    try {
      auto attempt = write_once(items, next);
      co_return co_await std::move(attempt);
    } catch (const error& failed) {
      why.emplace(failed);
    }
    co_await roll_back();
    if (why->kind() == error_kind::lost) {
      if (std::exchange(has_reconnected, true)) throw_for_engine(*why);
    } else if (why->kind() == error_kind::conflict) {
      if (++conflicts == conflicts_max) throw sink_down(label_ + ": " + why->what());
      co_await sleep_for(conflict_pause * conflicts);
    } else if (why->kind() == error_kind::missing && !has_reloaded) {
      const std::vector<column> before = table_.columns();
      co_await table_.load(*base_);
      has_reloaded = table_.columns() == before;
      if (table_.exists()) continue;
      throw fatal_error(label_ + ": the table " + table_.label() +
                        " was changed or dropped while the run was on: " + why->what());
    } else {
      throw_for_engine(*why);
    }
  }
}

// A transaction that has rows has to change its marks, or nobody could tell whether it was
// committed; some items (of those that were joined to one, and parted again) have none of their
// own.
mark_rows writer::next_marks(std::span<const partition_mark> marks, bool has_rows) {
  mark_rows next = known_.with(marks);
  while (has_rows && next == known_) {
    next.rows[""].above = "[[0," + std::to_string(++commits_) + "]]";
  }
  return next;
}

task<> writer::roll_back() {
  if (!base_ || !base_->in_transaction()) co_return;
  try {
    co_await base_->script("ROLLBACK");
  } catch (const error&) {
    base_->close();  // then the transaction ends with its connection
  }
}

std::optional<std::string> writer::prepare(placed_row& to, const record& value) {
  std::string_view json = value.raw();
  if (value.what() != record::shape::json) {
    try {
      to.json = value.json_text();
    } catch (const permanent_error& why) {
      return why.what();
    }
    json = to.json;
  }
  if (auto why = to.cells.read(json, shape_)) return why;
  if (options_.into.key.empty()) return std::nullopt;
  for (const cell& each : to.cells.cells()) {
    if (each.name == options_.into.key && each.kind != json_text::kind::null) return std::nullopt;
  }
  return "it has no '" + options_.into.key + "', the key of its row";
}

std::optional<std::string> writer::problem_of(const placed_row& of) const {
  if (of.values.empty() && options_.dedupe) return "it has none of the table's columns";
  for (const auto& [index, value] : of.values) {
    if (auto why = value_problem(*value, table_.columns()[index].form)) return why;
  }
  return std::nullopt;
}

task<writer::failures> writer::write_once(std::span<const sink_item> items, const mark_rows& next) {
  failures result(items.size());
  reasons why(items.size());
  rows_.resize(items.size());
  const first_try came = co_await try_at_once(items, next);
  if (came == first_try::written) co_return result;
  for (std::size_t i = 0; i < items.size(); ++i) {
    why[i] = prepare(rows_[i], items[i].value->get<record>());
  }
  co_await table_.place(*base_, rows_, why);
  loader with(*base_, table_, loading_);
  if (with.stages_rows() && staged_for_ != table_.version() && table_.exists()) {
    co_await with.prepare_stage();
    staged_for_ = table_.version();
  }
  std::vector<row_to_load> rows;
  std::vector<std::size_t> from;  // which item a row is of
  std::unordered_set<std::string_view> keys;
  rows.reserve(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!why[i]) why[i] = problem_of(rows_[i]);
    if (why[i] || (options_.dedupe && !keys.insert(items[i].key).second)) continue;
    rows.push_back(row_to_load{&rows_[i], items[i].key});
    from.push_back(i);
  }
  const auto is_bad = [](const auto& each) { return each.has_value(); };
  if (came == first_try::bad_rows || std::ranges::any_of(why, is_bad)) {
    // The good ones come again; those that break a constraint are better known at once.
    with.queue("BEGIN");
    with.queue("SAVEPOINT all_rows");
  } else {
    const std::optional<error> failed = co_await try_all(with, rows, next);
    if (!failed) co_return result;
    with.queue("ROLLBACK TO all_rows");
  }
  const reasons found = co_await find_bad_rows(with, rows);
  for (std::size_t i = 0; i < found.size(); ++i) why[from[i]] = found[i];
  if (std::ranges::none_of(why, is_bad)) {
    auto end = commit_shielded(check_constraints, next);
    co_await std::move(end);
    co_return result;
  }
  co_await base_->script("ROLLBACK");
  co_await blame_no_row_for_a_change();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (why[i]) result[i].emplace(verdict::permanent, *std::move(why[i]));
  }
  co_return result;
}

// What a row is made of, and the temporary table, have the types that the columns had.
task<> writer::blame_no_row_for_a_change() {
  const bool is_another = co_await table_.has_changed(*base_);
  if (!is_another) co_return;
  throw error(error_kind::missing, {}, "its columns were changed while rows were written");
}

// Nothing: all is committed. Else why not, where a row is to blame.
task<std::optional<error>> writer::try_all(loader& with, std::span<const row_to_load> rows,
                                           const mark_rows& next) {
  with.queue("BEGIN");
  with.queue("SAVEPOINT all_rows");
  if (!rows.empty() && options_.copies) co_return co_await try_in_one(with, rows, next);
  try {
    if (rows.empty()) {
      co_await with.send();
    } else {
      co_await with.load(rows, {});
    }
  } catch (const error& why) {
    if (!with.blames_rows(why)) throw;
    co_return why;
  }
  try {
    auto end = commit_shielded(check_constraints, next);
    co_await std::move(end);
  } catch (const error& why) {
    if (why.kind() != error_kind::row || why.statement() != 0) throw;
    co_return why;
  }
  co_return std::nullopt;
}

task<std::optional<error>> writer::try_in_one(loader& with, std::span<const row_to_load> rows,
                                              const mark_rows& next) {
  const std::string end = check_constraints + marks_->change(known_, next) + "COMMIT";
  auto loading = with.load(rows, end);
  co_return co_await finish_in_one(with, std::move(loading), next);
}

// Most batches fit as they are: their rows are read while the server has those before.
task<writer::first_try> writer::try_at_once(std::span<const sink_item> items,
                                            const mark_rows& next) {
  loader with(*base_, table_, loading_);
  if (!with.takes_rows_one_by_one()) co_return first_try::unknown;
  with.queue("BEGIN");
  std::size_t at = 0;
  bool gave_up = false;
  std::function<const placed_row*()> rows = [&]() -> const placed_row* {
    placed_row& row = rows_[at];
    gave_up =
        prepare(row, items[at].value->get<record>()) || !table_.resolve(row) || problem_of(row);
    ++at;
    return gave_up ? nullptr : &row;
  };
  const std::string end = check_constraints + marks_->change(known_, next) + "COMMIT";
  auto loading = with.load_one_by_one(items.size(), std::move(rows), end);
  std::optional<error> failed;
  try {
    failed = co_await finish_in_one(with, std::move(loading), next);
  } catch (const error& why) {
    if (!gave_up || why.kind() == error_kind::lost) throw;
    failed.emplace(why);
  }
  if (!failed) co_return first_try::written;
  co_await base_->script("ROLLBACK");
  if (gave_up) co_return first_try::unknown;
  co_return first_try::bad_rows;
}

// The COMMIT is sent with the rows, so from the last of them on it must be found out what came of
// it, also when the wait is cancelled.
task<std::optional<error>> writer::finish_in_one(loader& with, task<> loading,
                                                 const mark_rows& next) {
  std::exception_ptr interrupted;
  try {
    auto inside = std::move(loading);
    co_await std::move(inside);
  } catch (const error& why) {
    if (with.blames_rows(why) && !with.came_far_behind(why)) co_return why;
    if (why.kind() != error_kind::lost || !with.has_sent_all()) throw;
    interrupted = std::current_exception();
  } catch (const cancelled&) {
    if (!with.has_sent_all()) throw;
    interrupted = std::current_exception();
  }
  if (interrupted) {
    uncertain_ = next;
    auto asks = was_committed(next);
    auto out_of_reach = shielded(commit_shield, std::move(asks));
    const bool was_done = co_await std::move(out_of_reach);
    if (!was_done) std::rethrow_exception(interrupted);
    co_return std::nullopt;
  }
  if (with.last_command() != "COMMIT") {
    throw error(error_kind::other, {}, "the transaction was rolled back");
  }
  known_ = next;
  co_return std::nullopt;
}

// --- the bad ones ---

// The rows that do not fit, by halves: a range that fits stays in, one that does not is taken out
// and divided. What is deferred is looked at behind each.
task<writer::reasons> writer::find_bad_rows(loader& with, std::span<const row_to_load> rows) {
  search in(with, rows);
  if (rows.empty()) {
    co_await with.send();
  } else if (rows.size() == 1) {
    co_await narrow(in, 0, 1);
  } else {
    co_await narrow(in, 0, rows.size() / 2);
    co_await narrow(in, rows.size() / 2, rows.size());
  }
  co_await retry_deferred(in);
  co_return std::move(in.why);
}

task<> writer::narrow(search& in, std::size_t from, std::size_t to) {
  const std::size_t count = to - from;
  if (count > 1 && in.bad * bad_share > in.rows.size()) {
    for (std::size_t i = from; i < to; ++i) co_await narrow(in, i, i + 1);
    co_return;
  }
  const bool does_fit = co_await fits(in, from, to);
  if (does_fit) co_return;
  if (count == 1) {
    ++in.bad;
    in.why[from] = in.last_error;
    if (in.last_came_behind) in.deferred.push_back(from);
    co_return;
  }
  co_await narrow(in, from, from + count / 2);
  co_await narrow(in, from + count / 2, to);
}

// Puts the rows in; false: it took them out again.
task<bool> writer::fits(search& in, std::size_t from, std::size_t to) {
  in.with.queue("SAVEPOINT some_rows");
  in.with.queue("SET CONSTRAINTS ALL DEFERRED");
  try {
    co_await in.with.load(in.rows.subspan(from, to - from), "SET CONSTRAINTS ALL IMMEDIATE");
  } catch (const error& why) {
    if (!in.with.blames_rows(why)) throw;
    in.last_error = why.what();
    in.last_came_behind = in.with.came_behind(why);
    in.with.queue("ROLLBACK TO some_rows");
    in.with.queue("RELEASE some_rows");
    co_return false;
  }
  in.with.queue("RELEASE some_rows");
  co_return true;
}

// A row may refer to one behind it. Rows that refer to each other in a circle fail together, in a
// batch that fails.
task<> writer::retry_deferred(search& in) {
  std::vector<std::size_t>& open = in.deferred;
  for (std::size_t before = open.size() + 1; before != open.size();) {
    before = open.size();
    std::vector<std::size_t> still;
    for (const std::size_t each : open) {
      const bool does_fit = co_await fits(in, each, each + 1);
      if (does_fit) {
        in.why[each].reset();
      } else {
        still.push_back(each);
      }
    }
    open = std::move(still);
  }
}

// --- the end of a transaction ---

// Nobody is told what came of it, so it may be cut off: whoever connects next reads it.
task<> writer::commit_marks(std::span<const partition_mark> marks) {
  if (!base_ || !base_->is_open()) co_await reconnect();
  mark_rows next = next_marks(marks, false);
  if (next == known_) co_return;
  const std::string sql = "BEGIN;" + marks_->change(known_, next) + "COMMIT";
  uncertain_ = next;
  std::optional<error> why;
  try {
    co_await base_->script(sql);
  } catch (const error& failed) {
    why.emplace(failed);
  }
  if (!why) {
    known_ = std::move(next);
    uncertain_.reset();
    co_return;
  }
  co_await roll_back();
  throw_for_engine(*why);
}

task<> writer::commit_shielded(std::string before, mark_rows next) {
  auto whole = commit(std::move(before), std::move(next));
  auto out_of_reach = shielded(commit_shield, std::move(whole));
  co_await std::move(out_of_reach);
}

task<> writer::commit(std::string before, mark_rows next) {
  std::string sql = std::move(before) + marks_->change(known_, next) + "COMMIT";
  std::optional<error> lost;
  try {
    const std::vector<result> all = co_await base_->script(std::move(sql));
    if (all.back().command() != "COMMIT") {
      throw error(error_kind::other, {}, "the transaction was rolled back");
    }
  } catch (const error& why) {
    if (why.kind() != error_kind::lost) throw;
    lost.emplace(why);
  }
  if (!lost) {
    known_ = std::move(next);
    co_return;
  }
  uncertain_ = next;
  const bool was_done = co_await was_committed(next);
  if (!was_done) throw error(*lost);
}

// Asks until there is an answer: the engine must not be told that nothing was written before that
// is so. Should that last too long, the run ends, and the next one reads it in the marks.
task<bool> writer::was_committed(const mark_rows& next) {
  constexpr std::chrono::milliseconds pause_max{2000};
  bool has_said = false;
  const auto lost_at = std::chrono::steady_clock::now();
  for (std::chrono::milliseconds pause{50};; pause = std::min(2 * pause, pause_max)) {
    std::string why;
    try {
      co_await reconnect();
    } catch (const sink_down& down) {
      why = down.what();
    }
    if (why.empty()) co_return known_ == next;
    if (!std::exchange(has_said, true)) {
      log_line(
          "The connection was lost while rows were committed; it is asked again whether "
          "they are: " +
          why);
    }
    const auto unknown_for = std::chrono::steady_clock::now() - lost_at;
    if (options_.give_up_after.count() > 0 && unknown_for >= options_.give_up_after) {
      throw fatal_error(
          label_ +
          " was down for too long after the connection was lost in a COMMIT; the next run " +
          "finds out whether it came to be: " + why);
    }
    co_await sleep_for(pause);
  }
}

}  // namespace brigade::postgres
