/// Rows into a table, within a transaction that somebody else begins and ends.
///
/// By COPY: straight into the table, or, where rows replace others or are written once a key, into
/// a temporary table and from there. Or by INSERT with many rows a statement. Rows that do not have
/// the same columns, or that replace each other, go in separate statements; of one key they stay in
/// order.
#pragma once
#include "connect/postgres_connection.hpp"
#include "connect/postgres_table.hpp"

#include <brigade/async/task.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::postgres {

struct loader_options {
  bool copies = true;  ///< by COPY, else by INSERT
  std::string keys;    ///< with `dedupe`: the table of the keys, as SQL; else empty
};

/// A row to load; `key` is what `dedupe` knows it by.
struct row_to_load {
  const placed_row* row = nullptr;
  std::string_view key;
};

/// Thread safety: the loop's thread. Everything it is given outlives it.
class loader {
 public:
  loader(connection& base, const table& into, const loader_options& options)
      : base_(base), into_(into), options_(options) {}

  /// True when rows go by way of a temporary table.
  [[nodiscard]] bool stages_rows() const;
  /// Makes the temporary table, outside any transaction.
  task<> prepare_stage();

  /// To be sent in front of what is sent next, as one.
  void queue(std::string_view sql);
  /// Sends what is queued. Throws postgres::error.
  task<> send();
  /// Loads them; `behind`, statements divided by `;`, is sent with the last, if there is something.
  /// Throws postgres::error; `blames_rows` says whether one of them is the reason.
  task<> load(std::span<const row_to_load> rows, std::string_view behind);
  /// True when every column is NULL where a row has no value, and rows go straight into the table:
  /// then it need not be known beforehand which columns they have.
  [[nodiscard]] bool takes_rows_one_by_one() const;
  /// As `load`, with rows that are made meanwhile: `next` gives one after the other, null at the
  /// end. Null before `count` were given: the load is given up, which throws an error of the kind
  /// `outage`.
  task<> load_one_by_one(std::size_t count, std::function<const placed_row*()> next,
                         std::string_view behind);
  [[nodiscard]] bool blames_rows(const error& why) const;
  /// Whether that came of the first statement that was sent behind the rows, or of another there.
  [[nodiscard]] bool came_behind(const error& why) const;
  [[nodiscard]] bool came_far_behind(const error& why) const;
  /// Whether what is behind the rows may have been done, should the answer be missing.
  [[nodiscard]] bool has_sent_all() const { return all_sent_; }
  /// Of what was sent last, the end.
  [[nodiscard]] const std::string& last_command() const { return last_command_; }

 private:
  struct unit {
    std::vector<std::size_t> columns;
    std::vector<const row_to_load*> rows;
  };

  [[nodiscard]] std::vector<unit> units_of(std::span<const row_to_load> rows) const;
  task<> copy(const unit& one, std::string_view behind);
  task<> insert(const unit& one, std::string_view behind);
  task<> insert_defaults(std::size_t rows, std::string_view behind);
  /// Columns of its own beside the table's: a row's number, and its key.
  [[nodiscard]] std::string number_name() const { return into_.free_name("_brigade_n"); }
  [[nodiscard]] std::string key_name() const { return into_.free_name("_brigade_key"); }
  [[nodiscard]] std::string names(const unit& one, std::string_view prefix) const;
  [[nodiscard]] std::string on_conflict(const unit& one) const;
  [[nodiscard]] std::string sql_from_stage(const unit& one, std::uint64_t from) const;
  [[nodiscard]] std::string sql_to_insert(const unit& one, std::size_t rows) const;
  void append_copy_row(std::string& to, const unit& one, const row_to_load& from);
  task<> copy_rows(std::string sql, std::function<bool(std::string&)> more,
                   std::string_view behind);

  connection& base_;
  const table& into_;
  const loader_options& options_;
  std::vector<std::string> queued_;
  std::uint64_t staged_ = 0;  ///< numbers the rows of the temporary table
  bool all_sent_ = false;
  std::string last_command_;
  std::size_t statements_before_ = 0;  ///< of what was sent last, in front of the rows
  std::size_t statements_with_ = 0;    ///< the rows themselves included
};

}  // namespace brigade::postgres
