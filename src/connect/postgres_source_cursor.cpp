#include "connect/postgres_source_cursor.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <stdexcept>
#include <utility>

namespace brigade::postgres {
namespace {

constexpr std::array<unsigned, 3> integers = {20, 21, 23};
constexpr std::uint64_t largest_id = std::numeric_limits<std::int64_t>::max();

// Holders of the lock that writers of the table take: $1 is its name, under which there may be
// another by now; any table's where it is none. One that writes to a part of it, or to what it is a
// part of, counts too. The name of a prepared transaction says nothing of who it was before.
constexpr const char* writers_sql =
    "WITH RECURSIVE it AS (SELECT oid FROM pg_class WHERE oid = to_regclass(nullif($1, '')) AND "
    "relkind IN ('r', 'p')), family(member) AS (SELECT oid FROM it UNION SELECT CASE WHEN inhrelid "
    "= member "
    "THEN inhparent ELSE inhrelid END FROM family JOIN pg_inherits ON member IN (inhrelid, "
    "inhparent)) SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}'), "
    "coalesce(string_agg(DISTINCT coalesce(pid::text, 'prepared'), ', '), '') FROM pg_locks "
    "WHERE locktype = 'relation' AND granted AND mode IN ('RowExclusiveLock', "
    "'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND pid IS DISTINCT FROM "
    "pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = "
    "current_database()) AND CASE WHEN EXISTS (SELECT 1 FROM it) THEN relation IN (SELECT "
    "member FROM family) ELSE relation >= 16384 END";

std::vector<parameter> numbers(std::vector<std::uint64_t> values) {
  std::vector<parameter> made;
  for (const std::uint64_t each : values) made.emplace_back(std::to_string(each));
  return made;
}

}  // namespace

task<> cursor_desk::open() {
  try {
    co_await table_.learn(session_, place_);
    co_await check_ids();
    if (!place_.notify.empty()) co_await listener_.listen();
  } catch (const rows::outage& down) {
    throw std::runtime_error(down.what());
  }
}

void cursor_desk::check_id_type(const std::string& type) const {
  if (std::ranges::find(integers, table_.id_type_oid) != integers.end()) return;
  throw std::runtime_error("column '" + table_.key + "' is of type " + type +
                           ": a cursor needs integers that grow; 'by: claim' needs none");
}

task<> cursor_desk::check_ids() {
  check_id_type(table_.id_type);
  auto looking = session_.query("SELECT min(" + table_.id + ") FROM " + table_.source);
  const result least = co_await std::move(looking);
  if (!least.is_null(0, 0) && least.integer(0, 0) < 0) {
    throw std::runtime_error("a row has the id " + std::string(least.text(0, 0)) +
                             ": a cursor needs integers from 0 on");
  }
  if (place_.options.lag.count() > 0) co_return;
  std::vector<parameter> which = numbers({static_cast<std::uint64_t>(table_.oid)});
  which.emplace_back(table_.key);
  auto asking = session_.query(
      "SELECT pg_is_in_recovery(), coalesce(max(seqcache), 1) FROM pg_depend JOIN pg_sequence ON "
      "seqrelid = objid JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid WHERE "
      "refobjid = $1::oid AND attname = $2",
      std::move(which));
  const result facts = co_await std::move(asking);
  if (facts.text(0, 0) == "t") {
    throw std::runtime_error(
        "the server is a standby, which does not know who writes; say with "
        "'lag' how long a smaller id may come after a larger one: lag: 1m");
  }
  if (facts.integer(0, 1) > 1) {
    throw std::runtime_error(
        "ids of '" + table_.key + "' are handed out " + std::string(facts.text(0, 1)) +
        " at a time (CACHE of its sequence), so smaller ones may come any time "
        "later; ALTER SEQUENCE ... CACHE 1, or 'lag', or 'by: claim'");
  }
}

task<rows::cursor_rows> cursor_desk::next(std::uint64_t low, rows::page_limits most) {
  if (read_to_) low = std::max(low, *read_to_ + 1);
  rows::cursor_rows found;
  if (low > largest_id) co_return found;
  while (!sure_ || *sure_ < low) {
    if (!fence_) co_await raise_fence(low);
    if (!fence_) co_return found;
    found.by = co_await writers_left();
    const auto age = std::chrono::steady_clock::now() - fence_->seen;
    if (!found.by.empty() || age < place_.options.lag) {
      found.held_back = true;
      co_return found;
    }
    sure_ = std::exchange(fence_, std::nullopt)->last;
  }
  const bool is_all = co_await read(low, most, found.rows);
  if (is_all) read_to_ = *sure_;
  // With a condition there may be none of them: what is behind the fence is then not looked at yet.
  found.held_back = found.rows.empty();
  co_return found;
}

// The lock is looked at behind the ids, never before: who has drawn a smaller id by then has it.
task<> cursor_desk::raise_fence(std::uint64_t low) {
  auto looking = session_.query("SELECT max(" + table_.id + ") FROM " + table_.source + " WHERE " +
                                    table_.id + " >= $1::int8",
                                numbers({low}));
  const result largest = co_await std::move(looking);
  if (largest.is_null(0, 0)) co_return;
  const auto seen = std::chrono::steady_clock::now();
  auto asking = session_.query(writers_sql, whose_writers());
  const result writers = co_await std::move(asking);
  const auto last = static_cast<std::uint64_t>(largest.integer(0, 0));
  fence_.emplace(fence{last, seen, std::string(writers.text(0, 0))});
}

task<std::string> cursor_desk::writers_left() {
  if (fence_->writers == "{}") co_return std::string();
  std::vector<parameter> which = whose_writers();
  which.emplace_back(fence_->writers);
  auto asking = session_.query(std::string(writers_sql) +
                                   " AND (virtualtransaction = ANY ($2::text[]) OR "
                                   "virtualtransaction LIKE '-1/%')",
                               std::move(which));
  const result left = co_await std::move(asking);
  co_return std::string(left.text(0, 1));
}

std::vector<parameter> cursor_desk::whose_writers() const {
  std::vector<parameter> made;
  made.emplace_back(table_.sql_name);
  return made;
}

std::string cursor_desk::page_sql(std::uint64_t low, std::size_t rows) const {
  return "COPY (SELECT " + table_.id + ", " + table_.columns + " FROM " + table_.source +
         " WHERE " + table_.id + " >= " + std::to_string(low) + "::int8 AND " + table_.id +
         " <= " + std::to_string(*sure_) + "::int8" + table_.condition + " ORDER BY " + table_.id +
         " LIMIT " + std::to_string(rows) + ") TO STDOUT";
}

// How large rows are is known when they come. Where they turn out to have no room, the rest is left
// with the connection, and fewer are asked for next time.
task<bool> cursor_desk::read(std::uint64_t low, rows::page_limits most,
                             std::vector<rows::row>& to) {
  const std::size_t asked = std::min(page_rows_, most.rows);
  std::size_t bytes = 0;
  std::function<bool(std::string_view)> take = [&](std::string_view line) {
    rows::row next = table_.read_copied(line);
    if (!to.empty() && next.number == to.back().number) {
      throw std::runtime_error("two rows have the id " + std::to_string(next.number) +
                               ": a cursor needs ids without repetitions");
    }
    if (bytes >= most.bytes) return false;
    if (to.size() >= asked) return true;
    bytes += next.bytes();
    to.push_back(std::move(next));
    return true;
  };
  source_session::locked_copy page;
  page.look = table_.shape_sql() + " LIMIT 0";
  page.sql_behind = [&](const result& shape) {
    table_.learn_shape(shape);
    check_id_type("another kind than it was");
    return page_sql(low, asked + 1);  // one more, to see that it is another one
  };
  page.take = std::move(take);
  auto copying = session_.copy_out(std::move(page));
  const bool had_room = co_await std::move(copying);
  if (!had_room) {
    page_rows_ = to.size();
    co_return false;
  }
  if (to.size() < asked) co_return true;
  if (bytes < most.bytes / 4) page_rows_ = std::min(most.rows, 4 * page_rows_);
  co_return false;
}

task<> cursor_desk::wait(std::chrono::milliseconds most) {
  if (place_.notify.empty() || most < place_.options.poll) {
    co_await sleep_for(most);
    co_return;
  }
  co_await listener_.heard_within(most);
}

}  // namespace brigade::postgres
