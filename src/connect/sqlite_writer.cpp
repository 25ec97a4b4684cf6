#include "connect/sqlite_writer.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace brigade::sqlite {
namespace {

constexpr std::size_t statements_max = 64;
constexpr std::chrono::milliseconds busy_pause{20};

class brief_wait {
 public:
  brief_wait(sqlite3* base, std::chrono::milliseconds usual) : base_(base), usual_(usual) {
    constexpr int milliseconds = 250;
    sqlite3_busy_timeout(base_, milliseconds);
  }
  ~brief_wait() { sqlite3_busy_timeout(base_, static_cast<int>(usual_.count())); }
  brief_wait(const brief_wait&) = delete;
  brief_wait& operator=(const brief_wait&) = delete;

 private:
  sqlite3* base_;
  std::chrono::milliseconds usual_;
};

[[noreturn]] void throw_for_engine(const std::string& path, const error& cause) {
  const std::string message = path + ": " + cause.what();
  if (cause.is_outage()) throw sink_down(message);
  throw fatal_error(message);
}

}  // namespace

writer::writer(const writer_options& options, const sink_resume& resume) try
    : options_(options),
      pipeline_(resume.pipeline),
      epoch_(static_cast<std::int64_t>(resume.epoch)),
      database_(options.path, options.busy_timeout) {
  prepare_database();
  begin();
  check_history(resume.has_history);
  check_table();
  database_.run("COMMIT");
  inode_ = inode_of(options_.path);
} catch (const error& cause) {
  const bool is_busy = (cause.code() & 0xFF) == SQLITE_BUSY;
  throw std::runtime_error("cannot open " + options.path + ": " + cause.what() +
                           (is_busy ? "; another program holds it: run again when that one has "
                                      "ended its transaction"
                                    : ""));
}

void writer::prepare_database() {
  if (database_.is_read_only()) {
    throw std::runtime_error("cannot open " + options_.path +
                             ": it is read-only, or its file system is");
  }
  if (journal_mode() != "wal") {
    throw std::runtime_error("cannot open " + options_.path +
                             ": its file system does not support SQLite's WAL mode");
  }
  database_.run("PRAGMA synchronous=FULL");
  database_.run("PRAGMA foreign_keys=ON");
}

// SQLite's own busy timeout does not hold for a change of the mode.
std::string writer::journal_mode() {
  const auto give_up = std::chrono::steady_clock::now() + options_.busy_timeout;
  for (;;) {
    try {
      statement mode(database_, "PRAGMA journal_mode=WAL");
      return mode.step() ? mode.text(0) : std::string();
    } catch (const error& cause) {
      const bool is_busy = (cause.code() & 0xFF) == SQLITE_BUSY;
      if (!is_busy || std::chrono::steady_clock::now() >= give_up) throw;
    }
    std::this_thread::sleep_for(busy_pause);
  }
}

// In the transaction of the opening, so that nothing is left behind where it is refused.
void writer::check_history(bool has_history) {
  database_.run(
      "CREATE TABLE IF NOT EXISTS _brigade_marks (pipeline TEXT NOT NULL, source TEXT NOT NULL, "
      "epoch INTEGER NOT NULL, low INTEGER NOT NULL, above TEXT NOT NULL, "
      "PRIMARY KEY (pipeline, source, epoch))");
  if (options_.dedupe) {
    database_.run(
        "CREATE TABLE IF NOT EXISTS _brigade_keys (\"table\" TEXT NOT NULL, key TEXT NOT NULL, "
        "PRIMARY KEY (\"table\", key)) WITHOUT ROWID");
  }
  load_forgotten_units();
  if (has_history && marks().empty() && forgotten_units_ == 0) {
    throw std::runtime_error(options_.path + " holds no marks of the pipeline '" + pipeline_ +
                             "', but items were delivered to it: the database was replaced or "
                             "emptied; restore it, or run with --fresh to begin again");
  }
}

std::vector<partition_mark> writer::marks() {
  statement select(database_,
                   "SELECT source, low, above FROM _brigade_marks WHERE pipeline = ?1 AND epoch = "
                   "?2 AND source <> '' ORDER BY source");
  select.bind(1, pipeline_);
  select.bind(2, epoch_);
  std::vector<partition_mark> found;
  while (select.step()) {
    const auto low = static_cast<std::uint64_t>(select.integer(1));
    try {
      found.push_back(partition_mark{select.text(0), mark::decode(low, select.text(2))});
    } catch (const std::invalid_argument& cause) {
      throw std::runtime_error(options_.path + ": the marks of '" + select.text(0) +
                               "' are damaged: " + cause.what());
    }
  }
  return found;
}

void writer::begin() {
  database_.run("BEGIN IMMEDIATE");
  if (!schema_changed_) return;  // or it was rolled back
  load_columns();
  schema_changed_ = false;
}

// What is written to a file without its name, nobody will find again.
void writer::commit() {
  if (inode_of(options_.path) != inode_) {
    throw fatal_error(options_.path +
                      " was moved away or deleted while the run was on: put it back, or run with "
                      "--fresh to begin again");
  }
  database_.run("COMMIT");
}

void writer::roll_back() noexcept {
  if (!database_.in_transaction()) return;
  try {
    database_.run("ROLLBACK");
  } catch (const error&) {
    // Where even that fails, the transaction ends with the connection, uncommitted.
  }
}

std::vector<std::optional<failure>> writer::write(const std::vector<row_to_write>& items,
                                                  const std::vector<partition_mark>& marks) try {
  std::vector<std::optional<failure>> failures(items.size());
  rows_.resize(items.size());
  bool failed = false;
  const auto fail = [&](std::size_t at, const std::string& why) {
    failures[at].emplace(verdict::permanent, why);
  };
  begin();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (const auto why = prepare(rows_[i], items[i].value)) fail(i, *why);
  }
  add_columns(rows_, failures);
  database_.run("SAVEPOINT before_rows");
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!failures[i]) {
      if (const auto why = insert(items[i], rows_[i])) fail(i, *why);
      // Some triggers end the transaction; the rows behind them are still to be looked at.
      if (!database_.in_transaction()) begin();
    }
    failed = failed || failures[i].has_value();
  }
  if (!failed && database_.has_open_references()) {
    fail_open_references(items, rows_, failures);
    failed = true;
  }
  if (failed) {
    roll_back();
    return failures;
  }
  write_marks(marks);
  commit();
  schema_changed_ = false;
  return failures;
} catch (const error& cause) {
  roll_back();
  throw_for_engine(options_.path, cause);
} catch (...) {
  roll_back();
  throw;
}

// A deferred foreign key is looked at when the transaction is to end, and then no row is named. So
// the rows are put in one at a time, and those that leave a reference open are taken out; again, as
// long as that helps, for a row may refer to one behind it. Rows that refer to each other in a
// circle fail together, in a batch that fails.
void writer::fail_open_references(const std::vector<row_to_write>& items,
                                  const std::vector<prepared_row>& rows,
                                  std::vector<std::optional<failure>>& failures) {
  database_.run("ROLLBACK TO before_rows");
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < items.size(); ++i) open.push_back(i);
  for (std::size_t before = open.size() + 1; before != open.size();) {
    before = open.size();
    std::erase_if(open, [&](std::size_t i) {
      database_.run("SAVEPOINT one_row");
      const bool is_in = !insert(items[i], rows[i]) && !database_.has_open_references();
      if (!is_in) database_.run("ROLLBACK TO one_row");
      database_.run("RELEASE one_row");
      return is_in;
    });
  }
  for (const std::size_t i : open) {
    failures[i].emplace(verdict::permanent, "FOREIGN KEY constraint failed");
  }
}

// The last marks of a run that ends, which must not wait for others: the ledger has them as well.
void writer::commit_marks(const std::vector<partition_mark>& marks) try {
  const brief_wait briefly(database_.handle(), options_.busy_timeout);
  begin();
  write_marks(marks);
  commit();
} catch (const error& cause) {
  roll_back();
  throw_for_engine(options_.path, cause);
} catch (...) {
  roll_back();
  throw;
}

std::optional<std::string> writer::prepare(prepared_row& to, const record& value) {
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
  if (options_.key.empty()) return std::nullopt;
  for (const cell& each : to.cells.cells()) {
    if (same_column(each.name, options_.key) && each.type != cell_type::null) return std::nullopt;
  }
  return "it has no '" + options_.key + "', the key of its row";
}

std::optional<std::string> writer::insert(const row_to_write& item, const prepared_row& row) {
  if (options_.dedupe && !is_new(item.key)) return std::nullopt;
  statement& into = insert_for(row);
  try {
    int at = 0;
    for (const auto& [index, value] : row.values) {
      ++at;
      switch (value->type) {
        case cell_type::null:
          into.bind_null(at);
          break;
        case cell_type::integer:
          into.bind(at, value->integer);
          break;
        case cell_type::real:
          into.bind(at, value->real);
          break;
        case cell_type::text:
          into.bind(at, value->text);
          break;
      }
    }
    into.run();
  } catch (const error& cause) {
    into.reset();
    if (!cause.is_about_the_row()) throw;
    if ((cause.code() & 0xFF) == SQLITE_ERROR && table_changed()) {
      throw fatal_error(options_.path + ": the table " + options_.table +
                        " was changed or dropped while the run was on: " + cause.what());
    }
    return cause.what();
  }
  return std::nullopt;
}

bool writer::is_new(const std::string& key) {
  if (!insert_key_) {
    insert_key_.emplace(database_,
                        "INSERT INTO _brigade_keys VALUES (?1, ?2) ON CONFLICT DO NOTHING");
  }
  const std::string table = folded(options_.table);
  insert_key_->bind(1, table);
  insert_key_->bind(2, key);
  insert_key_->run();
  return database_.changes() > 0;
}

// Rows in a row mostly have the same columns.
statement& writer::insert_for(const prepared_row& row) {
  const auto is_for_row = [&](const std::vector<std::size_t>& columns) {
    return std::ranges::equal(columns, row.values, {}, {},
                              [](const auto& each) { return each.first; });
  };
  if (last_insert_ != nullptr && is_for_row(last_insert_->first)) return last_insert_->second;
  std::vector<std::size_t> signature;
  signature.reserve(row.values.size());
  for (const auto& [index, value] : row.values) signature.push_back(index);
  auto found = inserts_.find(signature);
  if (found == inserts_.end()) {
    last_insert_ = nullptr;
    if (inserts_.size() >= statements_max) inserts_.clear();
    statement made(database_, insert_sql(row));
    found = inserts_.emplace(std::move(signature), std::move(made)).first;
  }
  last_insert_ = &*found;
  return found->second;
}

std::string writer::insert_sql(const prepared_row& row) const {
  std::string sql = "INSERT INTO " + quoted_name(options_.table);
  if (row.values.empty()) return sql + " DEFAULT VALUES";
  std::string names;
  std::string places;
  std::string updates;
  for (const auto& [index, value] : row.values) {
    const std::string name = quoted_name(columns_[index]);
    names += (names.empty() ? "" : ", ") + name;
    places += places.empty() ? "?" : ", ?";
    if (same_column(columns_[index], options_.key)) continue;
    updates += (updates.empty() ? "" : ", ") + name + " = excluded." + name;
  }
  sql += " (" + names + ") VALUES (" + places + ")";
  if (options_.key.empty()) return sql;
  sql += " ON CONFLICT (" + quoted_name(options_.key) + ") DO ";
  return sql + (updates.empty() ? "NOTHING" : "UPDATE SET " + updates);
}

void writer::write_marks(const std::vector<partition_mark>& marks) {
  if (!insert_mark_) {
    insert_mark_.emplace(database_,
                         "INSERT INTO _brigade_marks VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO "
                         "UPDATE SET low = excluded.low, above = excluded.above");
  }
  for (const partition_mark& each : marks) {
    if (each.forgotten) {
      forget_mark(each.partition);
      continue;
    }
    const std::string above = each.at.encode_above();
    insert_mark_->bind(1, pipeline_);
    insert_mark_->bind(2, each.partition);
    insert_mark_->bind(3, epoch_);
    insert_mark_->bind(4, static_cast<std::int64_t>(each.at.low));
    insert_mark_->bind(5, above);
    insert_mark_->run();
  }
}

// What it covered stays in the sum, which never becomes less.
void writer::forget_mark(const std::string& partition) {
  for (const char* const sql :
       {"INSERT INTO _brigade_marks SELECT pipeline, '', epoch, low, '[]' FROM _brigade_marks "
        "WHERE pipeline = ?1 AND epoch = ?2 AND source = ?3 "
        "ON CONFLICT DO UPDATE SET low = low + excluded.low",
        "DELETE FROM _brigade_marks WHERE pipeline = ?1 AND epoch = ?2 AND source = ?3"}) {
    statement change(database_, sql);
    change.bind(1, pipeline_);
    change.bind(2, epoch_);
    change.bind(3, partition);
    change.run();
  }
  load_forgotten_units();
}

void writer::load_forgotten_units() {
  statement select(database_,
                   "SELECT low FROM _brigade_marks WHERE pipeline = ?1 AND epoch = ?2 AND "
                   "source = ''");
  select.bind(1, pipeline_);
  select.bind(2, epoch_);
  forgotten_units_ = select.step() ? static_cast<std::uint64_t>(select.integer(0)) : 0;
}

}  // namespace brigade::sqlite
