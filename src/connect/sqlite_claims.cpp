#include "connect/sqlite_claims.hpp"

#include <brigade/async/timeout.hpp>

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade::sqlite {
namespace {

// A lock is waited for this long; the lease must be renewed all the same.
constexpr std::chrono::milliseconds longest_busy{5000};
constexpr int busy_part = 6;

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

void claim_desk::key_closes::operator()(sqlite3_value* key) const { sqlite3_value_free(key); }

/// All of `work`, or nothing, with nobody else writing.
template <class Work>
auto claim_desk::in_transaction(Work work) -> decltype(work()) {
  database& in = table_->in();
  in.run("BEGIN IMMEDIATE");
  try {
    if constexpr (std::is_void_v<decltype(work())>) {
      work();
      in.run("COMMIT");
    } else {
      auto result = work();
      in.run("COMMIT");
      return result;
    }
  } catch (...) {
    for (auto* each : {&from_start_, &behind_}) {
      if (*each) (*each)->reset();
    }
    if (in.in_transaction()) {
      try {
        in.run("ROLLBACK");
      } catch (const error&) {
        // It is rolled back when the connection is closed, at the latest.
      }
    }
    throw;
  }
}

/// Errors say where.
template <class Work>
auto claim_desk::told(Work work) -> decltype(work()) {
  table_->check_file();
  try {
    return in_transaction(work);
  } catch (const error& failed) {
    rethrow(place_, failed);
  }
}

task<> claim_desk::open() {
  source_ = place_.options.front();
  try {
    const auto busy =
        std::min<std::chrono::milliseconds>(longest_busy, place_.options.lease / busy_part);
    table_.emplace(place_, busy);
    if (table_->in().is_read_only()) {
      throw std::runtime_error(
          "it can only be read, and claims are kept in it; 'by: cursor' "
          "reads without writing");
    }
    make_tables();
    prepare();
  } catch (const std::runtime_error& failed) {
    throw std::runtime_error(place_.path + ": " + failed.what());
  }
  co_return;
}

void claim_desk::make_tables() {
  in_transaction([&] {
    for (const char* const sql :
         {"CREATE TABLE IF NOT EXISTS _brigade_claims(pipeline TEXT NOT NULL, source TEXT NOT "
          "NULL, id NOT NULL, holder TEXT NOT NULL, token INTEGER NOT NULL, outcome TEXT, stage "
          "TEXT, error TEXT, claimed_at REAL NOT NULL, settled_at REAL, "
          "PRIMARY KEY(pipeline, source, id)) WITHOUT ROWID",
          "CREATE INDEX IF NOT EXISTS _brigade_claims_held ON _brigade_claims(holder, token)",
          "CREATE TABLE IF NOT EXISTS _brigade_holders(holder TEXT PRIMARY KEY, run INTEGER NOT "
          "NULL, last INTEGER NOT NULL, leased_until REAL NOT NULL, process TEXT NOT NULL) "
          "WITHOUT ROWID"}) {
      table_->in().run(sql);
    }
  });
}

void claim_desk::prepare() {
  database& in = table_->in();
  from_start_.emplace(in, claim_sql(true));
  behind_.emplace(in, claim_sql(false));
  insert_.emplace(in,
                  "INSERT INTO _brigade_claims(pipeline, source, id, holder, token, claimed_at) "
                  "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET holder = "
                  "excluded.holder, token = excluded.token, claimed_at = excluded.claimed_at "
                  "WHERE holder <> excluded.holder");
  update_.emplace(in,
                  "UPDATE _brigade_claims SET outcome = ?3, stage = ?4, error = ?5, settled_at = "
                  "?6 WHERE holder = ?1 AND token = ?2");
  give_back_.emplace(in, "UPDATE _brigade_claims SET holder = '' WHERE holder = ?1 AND token = ?2");
  lease_.emplace(in,
                 "UPDATE _brigade_holders SET leased_until = ?3, last = max(last, ?4) "
                 "WHERE holder = ?1 AND run = ?2");
}

// A plus takes a column's affinity: values are compared as they are stored, and by the index.
std::string claim_desk::claim_sql(bool from_start) const {
  const std::string& id = table_->id();
  const std::string& order = place_.options.order;
  const bool goes_on = !from_start && order.empty();
  return "SELECT " + id + ", 0, " + table_->columns() + " FROM " + table_->source() + " WHERE " +
         id + " IS NOT NULL" + (goes_on ? " AND " + id + " > ?6" : "") +
         " AND NOT EXISTS (SELECT 1 FROM _brigade_claims AS c LEFT JOIN _brigade_holders AS h ON "
         "h.holder = c.holder WHERE c.pipeline = ?1 AND c.source = ?2 AND c.id = +" +
         id + " AND (c.outcome IS NOT NULL OR c.holder = ?3 OR h.leased_until > ?4))" +
         table_->condition() + " ORDER BY " + (order.empty() ? id : order) + " LIMIT ?5";
}

task<std::vector<rows::row>> claim_desk::take_over(std::string holder) {
  holder_ = std::move(holder);
  co_return told([&] {
    statement enter(table_->in(),
                    "INSERT INTO _brigade_holders VALUES (?1, 1, 0, ?2, ?3) ON CONFLICT DO UPDATE "
                    "SET run = run + 1, leased_until = excluded.leased_until, process = "
                    "excluded.process RETURNING run, last");
    const std::string process = "process " + std::to_string(::getpid());
    enter.bind(1, holder_);
    enter.bind(2, now() + std::chrono::duration<double>(place_.options.lease).count());
    enter.bind(3, process);
    enter.step();
    run_ = enter.integer(0);
    last_ = static_cast<std::uint64_t>(enter.integer(1));
    enter.reset();
    return unsettled();
  });
}

task<std::uint64_t> claim_desk::last_number() { co_return last_; }

std::vector<rows::row> claim_desk::unsettled() {
  const std::string join = table_->source() + " ON " + table_->id() + " = c.id";
  statement gone(table_->in(),
                 "DELETE FROM _brigade_claims AS c WHERE holder = ?1 AND outcome IS NULL AND NOT "
                 "EXISTS (SELECT 1 FROM " +
                     table_->source() + " WHERE " + table_->id() + " = c.id)");
  gone.bind(1, holder_);
  gone.run();
  statement select(table_->in(), "SELECT " + table_->id() + ", c.token, " + table_->columns() +
                                     " FROM _brigade_claims AS c JOIN " + join +
                                     " WHERE c.holder = ?1 AND c.outcome IS NULL ORDER BY c.token");
  select.bind(1, holder_);
  std::vector<rows::row> found;
  std::optional<row_reader> reader;
  while (select.step()) {
    if (!reader) reader.emplace(select, 2);
    const auto number = static_cast<std::uint64_t>(select.integer(1));
    found.push_back(reader->read(select, number, key_text(select, 0)));
  }
  return found;
}

void claim_desk::renew_lease(std::uint64_t last) {
  lease_->bind(1, holder_);
  lease_->bind(2, run_);
  lease_->bind(3, now() + std::chrono::duration<double>(place_.options.lease).count());
  lease_->bind(4, static_cast<std::int64_t>(last));
  lease_->run();
  if (table_->in().changes() == 1) return;
  throw std::runtime_error(place_.path + ": another process claims with this pipeline's state (a " +
                           "copy of it?); what is claimed is that one's now");
}

task<std::vector<rows::row>> claim_desk::claim(std::uint64_t first, std::size_t rows_max,
                                               bool from_start) {
  co_return told([&] {
    renew_lease(first + rows_max - 1);
    return claim_rows(first, rows_max, from_start || last_key_ == nullptr);
  });
}

std::vector<rows::row> claim_desk::claim_rows(std::uint64_t first, std::size_t rows_max,
                                              bool from_start) {
  statement& select = from_start || !place_.options.order.empty() ? *from_start_ : *behind_;
  select.reset();
  select.bind(1, place_.options.pipeline);
  select.bind(2, source_);
  select.bind(3, holder_);
  select.bind(4, now());
  select.bind(5, static_cast<std::int64_t>(rows_max));
  if (&select == &*behind_) sqlite3_bind_value(select.handle(), 6, last_key_.get());
  std::vector<rows::row> claimed;
  std::optional<row_reader> reader;  // of this look: a table may be altered between two
  while (select.step()) {
    if (!reader) reader.emplace(select, 2);
    const std::uint64_t number = first + claimed.size();
    sqlite3_value* const key = sqlite3_column_value(select.handle(), 0);
    insert_->bind(1, place_.options.pipeline);
    insert_->bind(2, source_);
    sqlite3_bind_value(insert_->handle(), 3, key);
    insert_->bind(4, holder_);
    insert_->bind(5, static_cast<std::int64_t>(number));
    insert_->bind(6, now());
    insert_->run();
    // What was its own before is not looked at, so it is one of this look.
    if (table_->in().changes() == 0) {
      throw std::runtime_error(place_.path + ": two rows have the id '" + key_text(select, 0) +
                               "': a claim needs ids without repetitions");
    }
    last_key_.reset(sqlite3_value_dup(key));
    claimed.push_back(reader->read(select, number, key_text(select, 0)));
  }
  select.reset();
  return claimed;
}

task<std::size_t> claim_desk::settle(const std::vector<rows::settled_row>& rows) {
  co_return told([&] {
    std::size_t foreign = 0;
    for (const rows::settled_row& each : rows) foreign += settle_one(each) ? 0 : 1;
    return foreign;
  });
}

bool claim_desk::settle_one(const rows::settled_row& row) {
  const bool returned = row.result == to_string(outcome::returned);
  statement& change = returned ? *give_back_ : *update_;
  change.bind(1, holder_);
  change.bind(2, static_cast<std::int64_t>(row.number));
  if (!returned) {
    change.bind(3, row.result);
    change.bind(4, row.stage);
    if (!row.error.empty()) change.bind(5, row.error);
    change.bind(6, now());
  }
  change.run();
  return returned || table_->in().changes() == 1;
}

task<> claim_desk::renew() {
  told([&] { renew_lease(0); });
  co_return;
}

task<> claim_desk::release() {
  told([&] { give_back_all(); });
  co_return;
}

void claim_desk::give_back_all() {
  statement leave(table_->in(),
                  "UPDATE _brigade_holders SET leased_until = 0 WHERE holder = ?1 AND run = ?2");
  leave.bind(1, holder_);
  leave.bind(2, run_);
  leave.run();
  if (table_->in().changes() == 0) return;
  statement give(table_->in(),
                 "UPDATE _brigade_claims SET holder = '' WHERE holder = ?1 AND outcome IS NULL");
  give.bind(1, holder_);
  give.run();
}

// Looking claims, and claiming writes: where nobody has written, there is nothing to see but leases
// that have run out.
task<> claim_desk::wait(std::chrono::milliseconds most) {
  const auto until = std::chrono::steady_clock::now() + place_.options.lease / 2;
  do {
    co_await sleep_for(most);
  } while (std::chrono::steady_clock::now() < until && !table_->has_changed());
}

}  // namespace brigade::sqlite
