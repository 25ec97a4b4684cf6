#include "connect/postgres_source_claims.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/outcome.hpp>

#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade::postgres {
namespace {

constexpr std::size_t error_bytes_max = 2000;
constexpr std::size_t settled_at_once = 1000;

std::vector<parameter> values(std::vector<std::string> texts) {
  std::vector<parameter> made;
  for (std::string& each : texts) made.emplace_back(std::move(each));
  return made;
}

}  // namespace

task<> claim_desk::open() {
  source_ = place_.options.front();
  try {
    co_await table_.learn(session_, place_);
    if (table_.oid == 0) {
      throw std::runtime_error("'" + place_.options.table +
                               "' is no table, and only rows of a table can be claimed");
    }
    const std::string schema = quoted_name(table_.schema) + ".";
    claims_ = schema + "_brigade_claims";
    holders_ = schema + "_brigade_holders";
    co_await make_tables();
    if (!place_.notify.empty()) co_await listener_.listen();
  } catch (const rows::outage& down) {
    throw std::runtime_error(down.what());
  }
}

// Several may do so at once, and some may not be allowed to: what is there is left alone.
task<> claim_desk::make_tables() {
  auto asking = session_.query("SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL",
                               values({claims_, holders_}));
  const result there = co_await std::move(asking);
  if (there.text(0, 0) == "t") co_return;
  std::vector<statement> make;
  make.emplace_back("SELECT pg_advisory_xact_lock(hashtext('_brigade_claims'))");
  make.emplace_back("CREATE TABLE IF NOT EXISTS " + claims_ +
                    "(pipeline text NOT NULL, source text NOT NULL, id text NOT NULL, holder text "
                    "NOT NULL, token bigint NOT NULL, outcome text, stage text, error text, "
                    "claimed_at timestamptz NOT NULL, settled_at timestamptz, PRIMARY KEY "
                    "(pipeline, source, id)) WITH (fillfactor = 60)");
  make.emplace_back("CREATE INDEX IF NOT EXISTS _brigade_claims_held ON " + claims_ +
                    "(holder, token)");
  make.emplace_back("CREATE TABLE IF NOT EXISTS " + holders_ +
                    "(holder text PRIMARY KEY, run bigint NOT NULL, last bigint NOT NULL, "
                    "leased_until timestamptz NOT NULL, process text NOT NULL)");
  auto making = session_.together(std::move(make));
  co_await std::move(making);
}

std::string claim_desk::lease_end() const {
  return "clock_timestamp() + interval '" + std::to_string(place_.options.lease.count()) +
         " milliseconds'";
}

void claim_desk::replaced() const {
  throw std::runtime_error("PostgreSQL at " + conninfo_label(place_.conninfo) +
                           ": another process claims with this pipeline's state (a copy of it?); "
                           "what is claimed is that one's now");
}

task<std::vector<rows::row>> claim_desk::take_over(std::string holder) {
  holder_ = std::move(holder);
  const std::string is_it = table_.id + " = c.id::" + table_.id_type;
  std::vector<statement> taking;
  taking.emplace_back(
      "INSERT INTO " + holders_ + " AS h VALUES ($1, 1, 0, " + lease_end() +
          ", $2) ON CONFLICT (holder) DO UPDATE SET run = h.run + 1, leased_until = "
          "excluded.leased_until, process = excluded.process RETURNING run, last",
      values({holder_, "process " + std::to_string(::getpid())}));
  taking.emplace_back("DELETE FROM " + claims_ +
                          " AS c WHERE holder = $1 AND outcome IS NULL AND NOT EXISTS (SELECT 1 "
                          "FROM " +
                          table_.source + " WHERE " + is_it + ")",
                      values({holder_}));
  taking.emplace_back("SELECT c.token, c.id, " + table_.item + " FROM " + claims_ + " AS c JOIN " +
                          table_.source + " ON " + is_it +
                          " WHERE c.holder = $1 AND c.outcome IS NULL ORDER BY c.token",
                      values({holder_}));
  auto asking = session_.together(std::move(taking));
  const std::vector<result> answers = co_await std::move(asking);
  run_ = answers.front().integer(0, 0);
  last_ = static_cast<std::uint64_t>(answers.front().integer(0, 1));
  const result& mine = answers.back();
  std::vector<rows::row> found;
  for (std::size_t n = 0; n < mine.rows(); ++n) {
    found.push_back(table_.read_item(mine, n, 2, static_cast<std::uint64_t>(mine.integer(n, 0)),
                                     std::string(mine.text(n, 1))));
  }
  co_return found;
}

task<std::uint64_t> claim_desk::last_number() { co_return last_; }

// As a subquery that gives a value, the look at the claims is one at their key for each row. As an
// anti join it would be whatever the server thinks of a new table, of which it knows nothing yet.
// Names that `where` and `order` might mean otherwise begin with _brigade_.
// $1 pipeline, $2 source, $3 holder, $4 run, $5 the first number, $6 the key to go on behind.
std::string claim_desk::claim_sql(std::size_t rows_max, bool goes_on) const {
  const std::string& id = table_.id;
  const std::string& order = place_.options.order;
  return "WITH _brigade_mine AS (UPDATE " + holders_ + " SET leased_until = " + lease_end() +
         ", last = greatest(last, $5::bigint + " + std::to_string(rows_max) +
         ") WHERE holder = $3 AND run = $4::bigint RETURNING 1), taken AS (SELECT " + id +
         " AS _brigade_key, " + table_.item + " AS _brigade_item FROM " + table_.source +
         " WHERE " + id + " IS NOT NULL AND EXISTS (SELECT 1 FROM _brigade_mine)" +
         (goes_on ? " AND " + id + " > $6::text::" + table_.id_type : "") +
         " AND (SELECT c.outcome IS NOT NULL OR c.holder = $3 OR EXISTS (SELECT 1 FROM " +
         holders_ + " AS h WHERE h.holder = c.holder AND h.leased_until > now()) FROM " + claims_ +
         " AS c WHERE c.pipeline = $1 AND c.source = $2 AND c.id = " + id + "::text) IS NOT TRUE" +
         table_.condition + " ORDER BY " + (order.empty() ? id : order) + " LIMIT " +
         std::to_string(rows_max) +
         " FOR NO KEY UPDATE OF o SKIP LOCKED), numbered AS (SELECT _brigade_key::text "
         "AS key, _brigade_item AS item, $5::bigint - 1 + row_number() OVER () AS token FROM "
         "taken), claimed AS (INSERT INTO " +
         claims_ +
         " AS c (pipeline, source, id, holder, token, claimed_at) SELECT $1, $2, key, $3, token, "
         "clock_timestamp() FROM numbered ON CONFLICT (pipeline, source, id) DO UPDATE SET holder "
         "= excluded.holder, token = excluded.token, claimed_at = excluded.claimed_at WHERE "
         "c.outcome IS NULL AND c.holder <> $3 AND NOT EXISTS (SELECT 1 FROM " +
         holders_ +
         " AS h WHERE h.holder = c.holder AND h.leased_until > clock_timestamp()) RETURNING "
         "token) SELECT n.token, n.key, n.item, (SELECT count(*) FROM _brigade_mine) FROM (SELECT "
         "1) AS one LEFT JOIN (numbered AS n JOIN claimed AS d ON d.token = n.token) ON true ORDER "
         "BY n.token";
}

task<std::vector<rows::row>> claim_desk::claim(std::uint64_t first, std::size_t rows_max,
                                               bool from_start) {
  const bool goes_on = !from_start && !last_key_.empty() && place_.options.order.empty();
  std::vector<parameter> given = values(
      {place_.options.pipeline, source_, holder_, std::to_string(run_), std::to_string(first)});
  if (goes_on) given.emplace_back(last_key_);
  auto asking = session_.query(claim_sql(rows_max, goes_on), std::move(given));
  const result answer = co_await std::move(asking);
  if (answer.integer(0, 3) == 0) replaced();
  std::vector<rows::row> claimed;
  for (std::size_t n = 0; n < answer.rows() && !answer.is_null(n, 0); ++n) {
    last_key_ = answer.text(n, 1);
    claimed.push_back(table_.read_item(
        answer, n, 2, static_cast<std::uint64_t>(answer.integer(n, 0)), last_key_));
  }
  co_return claimed;
}

statement claim_desk::settling(const rows::settled_row& row) const {
  std::vector<parameter> given = values({holder_, std::to_string(row.number)});
  if (row.result == to_string(outcome::returned)) {
    return statement("UPDATE " + claims_ + " SET holder = '' WHERE holder = $1 AND token = $2",
                     std::move(given));
  }
  given.emplace_back(std::string(row.result));
  given.emplace_back(excerpt(row.stage));
  if (row.error.empty()) {
    given.emplace_back(std::nullopt);
  } else {
    given.emplace_back(excerpt(row.error, error_bytes_max));
  }
  return statement("UPDATE " + claims_ +
                       " SET outcome = $3, stage = $4, error = $5, settled_at = clock_timestamp() "
                       "WHERE holder = $1 AND token = $2",
                   std::move(given));
}

// One by one, in few round trips: each is found by its index, whatever the server knows of a table
// that was empty a moment ago.
task<std::size_t> claim_desk::settle(const std::vector<rows::settled_row>& rows) {
  std::size_t foreign = 0;
  for (std::size_t from = 0; from < rows.size(); from += settled_at_once) {
    const std::size_t to = std::min(rows.size(), from + settled_at_once);
    std::vector<statement> changes;
    for (std::size_t n = from; n < to; ++n) changes.push_back(settling(rows[n]));
    auto asking = session_.together(std::move(changes));
    const std::vector<result> done = co_await std::move(asking);
    for (std::size_t n = 0; n < done.size(); ++n) {
      const bool is_given_back = rows[from + n].result == to_string(outcome::returned);
      if (!is_given_back && done[n].affected() == 0) ++foreign;
    }
  }
  co_return foreign;
}

task<> claim_desk::renew() {
  const std::int64_t run = run_;
  auto asking = keeper_.query("UPDATE " + holders_ + " SET leased_until = " + lease_end() +
                                  " WHERE holder = $1 AND run = $2::bigint",
                              values({holder_, std::to_string(run)}));
  const result done = co_await std::move(asking);
  if (done.affected() == 0 && run == run_) replaced();
}

task<> claim_desk::release() {
  std::vector<statement> leaving;
  leaving.emplace_back("UPDATE " + holders_ +
                           " SET leased_until = '-infinity' WHERE holder = $1 AND run = $2::bigint",
                       values({holder_, std::to_string(run_)}));
  leaving.emplace_back("UPDATE " + claims_ +
                           " SET holder = '' WHERE holder = $1 AND outcome IS NULL AND EXISTS "
                           "(SELECT 1 FROM " +
                           holders_ + " WHERE holder = $1 AND run = $2::bigint)",
                       values({holder_, std::to_string(run_)}));
  auto asking = session_.together(std::move(leaving));
  co_await std::move(asking);
}

task<> claim_desk::wait(std::chrono::milliseconds most) {
  if (place_.notify.empty()) {
    co_await sleep_for(most);
    co_return;
  }
  co_await listener_.heard_within(most);
}

}  // namespace brigade::postgres
