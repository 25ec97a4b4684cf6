#include "connect/postgres_marks.hpp"

#include <stdexcept>

namespace brigade::postgres {
namespace {

const std::string forgotten;  // the partition that is the sum of those

// As PostgreSQL stores it.
std::string signed_text(std::uint64_t low) {
  return std::to_string(static_cast<std::int64_t>(low));
}

}  // namespace

mark_rows mark_rows::with(std::span<const partition_mark> marks) const {
  mark_rows next = *this;
  for (const partition_mark& each : marks) {
    if (!each.forgotten) {
      next.rows[each.partition] = value{each.at.low, each.at.encode_above()};
      continue;
    }
    const auto found = next.rows.find(each.partition);
    if (found == next.rows.end()) continue;
    next.rows[forgotten].low += found->second.low;
    next.rows.erase(found);
  }
  return next;
}

std::uint64_t mark_rows::covered() const {
  std::uint64_t sum = 0;
  for (const auto& [partition, each] : rows) {
    sum += each.low;
    if (partition == forgotten) continue;
    const mark at = mark::decode(each.low, each.above);
    for (const mark::range& range : at.above) sum += range.end - range.begin;
  }
  return sum;
}

std::vector<partition_mark> mark_rows::decode() const {
  std::vector<partition_mark> marks;
  for (const auto& [partition, each] : rows) {
    if (partition == forgotten) continue;
    try {
      marks.push_back(partition_mark{partition, mark::decode(each.low, each.above)});
    } catch (const std::invalid_argument& cause) {
      throw std::runtime_error("the marks of '" + partition + "' are damaged: " + cause.what());
    }
  }
  return marks;
}

// FNV-1a: the same number in every program that writes as this pipeline.
std::string mark_table::lock_number() const {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : "brigade:" + pipeline_) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return signed_text(hash);
}

task<bool> mark_table::lock(connection& base) const {
  const result got = co_await base.query("SELECT pg_try_advisory_lock(" + lock_number() + ")");
  co_return got.text(0, 0) == "t";
}

namespace {

// An advisory lock of one number is shown as its two halves.
std::string holders(const std::string& number) {
  return " FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND "
         "l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = "
         "current_database()) AND l.objsubid = 1 AND (l.classid::bigint << 32 | "
         "l.objid::bigint) = " +
         number;
}

}  // namespace

task<std::string> mark_table::owner(connection& base) const {
  const result found = co_await base.query(
      "SELECT 'process ' || a.pid || ' of ' || coalesce(host(a.client_addr), 'a local socket') || "
      "', ' || coalesce(a.application_name, '')" +
      holders(lock_number()));
  co_return found.rows() == 0 ? std::string() : std::string(found.text(0, 0));
}

task<> mark_table::end_owner(connection& base, int pid) const {
  co_await base.query("SELECT pg_terminate_backend(a.pid)" + holders(lock_number()) +
                      " AND a.pid = " + std::to_string(pid));
}

// Only where it is missing: even IF NOT EXISTS asks for the right to make tables.
task<> mark_table::prepare(connection& base) const {
  std::vector<parameter> name(1, parameter(sql_name_));
  const result found = co_await base.query("SELECT to_regclass($1) IS NULL", name);
  if (found.text(0, 0) != "t") co_return;
  co_await base.query(
      "CREATE TABLE IF NOT EXISTS " + sql_name_ +
      " (pipeline text NOT NULL, source text NOT NULL, epoch bigint NOT NULL, low "
      "bigint NOT NULL, above text NOT NULL, PRIMARY KEY (pipeline, source, epoch)) "
      "WITH (fillfactor = 50)");
}

task<mark_rows> mark_table::read(connection& base) const {
  std::vector<parameter> which;
  which.emplace_back(pipeline_);
  which.emplace_back(std::to_string(epoch_), 20);
  const result found = co_await base.query(
      "SELECT source, low, above FROM " + sql_name_ + " WHERE pipeline = $1 AND epoch = $2", which);
  mark_rows all;
  for (std::size_t i = 0; i < found.rows(); ++i) {
    mark_rows::value each;
    each.low = static_cast<std::uint64_t>(found.integer(i, 1));
    each.above = found.text(i, 2);
    all.rows.emplace(found.text(i, 0), std::move(each));
  }
  co_return all;
}

std::string mark_table::change(const mark_rows& from, const mark_rows& to) const {
  std::string upserts;
  std::string gone;
  for (const auto& [partition, each] : to.rows) {
    const auto before = from.rows.find(partition);
    if (before != from.rows.end() && before->second == each) continue;
    upserts += (upserts.empty() ? "" : ", ") +
               ("(" + quoted_literal(pipeline_) + ", " + quoted_literal(partition) + ", " +
                std::to_string(epoch_) + ", " + signed_text(each.low) + ", " +
                quoted_literal(each.above) + ")");
  }
  for (const auto& [partition, each] : from.rows) {
    if (to.rows.contains(partition)) continue;
    gone += (gone.empty() ? "" : ", ") + quoted_literal(partition);
  }
  std::string sql;
  if (!upserts.empty()) {
    sql += "INSERT INTO " + sql_name_ + " (pipeline, source, epoch, low, above) VALUES " + upserts +
           " ON CONFLICT (pipeline, source, epoch) DO UPDATE SET low = excluded.low, above = "
           "excluded.above;";
  }
  if (!gone.empty()) {
    sql += "DELETE FROM " + sql_name_ + " WHERE pipeline = " + quoted_literal(pipeline_) +
           " AND epoch = " + std::to_string(epoch_) + " AND source IN (" + gone + ");";
  }
  return sql;
}

}  // namespace brigade::postgres
