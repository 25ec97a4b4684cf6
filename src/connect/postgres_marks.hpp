/// The marks a pipeline has in a database: whose they are, and what they say.
///
///   _brigade_marks(pipeline, source, epoch, low, above)   source is a partition, `main:8f3a12cd`;
///                                                         '' is the sum of those forgotten
///
/// They stand in the schema of the rows' table. Whoever writes them holds an advisory lock of the
/// pipeline's on its session: so nobody else writes them meanwhile, and whoever gets the lock after
/// a connection was lost knows that its transaction has come to an end, one or the other.
#pragma once
#include "connect/postgres_connection.hpp"
#include "connect/postgres_table.hpp"

#include <brigade/async/task.hpp>
#include <brigade/pipeline/mark.hpp>
#include <brigade/pipeline/sink.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace brigade::postgres {

/// The rows of the marks of a pipeline and epoch, by partition.
struct mark_rows {
  struct value {
    std::uint64_t low = 0;
    std::string above = "[]";
    friend bool operator==(const value&, const value&) = default;
  };
  std::map<std::string, value> rows;

  /// What they are once `marks` are written. What marks say that are forgotten goes into a sum.
  [[nodiscard]] mark_rows with(std::span<const partition_mark> marks) const;
  /// How much of the sources they cover, forgotten ones included: it only grows.
  [[nodiscard]] std::uint64_t covered() const;
  /// Throws std::runtime_error where they are damaged.
  [[nodiscard]] std::vector<partition_mark> decode() const;
  friend bool operator==(const mark_rows&, const mark_rows&) = default;
};

class mark_table {
 public:
  mark_table(std::string sql_name, const sink_resume& resume)
      : sql_name_(std::move(sql_name)),
        pipeline_(resume.pipeline),
        epoch_(static_cast<std::int64_t>(resume.epoch)) {}

  /// Takes the lock, which the session then holds. False: another session has it.
  task<bool> lock(connection& base) const;
  /// Who has the lock, for people; empty: nobody.
  task<std::string> owner(connection& base) const;
  /// Ends the session `pid`, if it is that which has the lock.
  task<> end_owner(connection& base, int pid) const;
  /// Makes the table where it is missing.
  task<> prepare(connection& base) const;
  task<mark_rows> read(connection& base) const;
  /// SQL statements, each ended by `;`, that make `from` into `to`; empty where they are the same.
  [[nodiscard]] std::string change(const mark_rows& from, const mark_rows& to) const;

 private:
  [[nodiscard]] std::string lock_number() const;

  std::string sql_name_;
  std::string pipeline_;
  std::int64_t epoch_;
};

}  // namespace brigade::postgres
