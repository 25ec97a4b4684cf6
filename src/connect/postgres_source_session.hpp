/// A connection of a source, opened again when it was lost, and the table that is read over it.
///
/// Errors are told as a source tells them: rows::outage where the server cannot be asked now, else
/// std::runtime_error, each with where it was. After either, the next question may be asked.
#pragma once
#include "connect/postgres_connection.hpp"
#include "connect/rows_options.hpp"

#include <brigade/async/mutex.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade::postgres {

struct source_place {
  std::string conninfo;
  std::string notify;  ///< a channel; empty: none
  rows::table_options options;
};

/// Thread safety: one loop, any of its tasks: questions take turns.
class source_session {
 public:
  explicit source_session(const source_place& place) : place_(place) {}

  task<result> query(std::string sql, std::vector<parameter> parameters = {});
  /// A COPY to be asked in one transaction with a look at the same tables.
  struct locked_copy {
    std::string look;                                      ///< a SELECT, for its columns
    std::function<std::string(const result&)> sql_behind;  ///< the COPY, by what that gave
    std::function<bool(std::string_view)> take;            ///< see connection::copy_out
  };
  /// True: `take` had all of its rows.
  task<bool> copy_out(locked_copy what);
  /// In one transaction.
  task<std::vector<result>> together(std::vector<statement> statements);
  /// Hears of a channel from now on. True: it did so before, and nothing was missed.
  task<bool> listen();
  /// Completes when one was heard of since the last call, or it has lasted that long; at once when
  /// it begins to listen only now, for some may have been missed.
  task<> heard_within(std::chrono::milliseconds most);

 private:
  task<> heard();
  template <class Ask>
  auto ask(Ask work) -> decltype(work(std::declval<connection&>()));
  task<> connect();
  task<bool> listen_over(connection& base);
  static task<notification> hear_over(connection& base);
  static task<bool> copy_over(connection& base, locked_copy& what);
  [[noreturn]] void tell(const error& failed) const;

  const source_place& place_;
  mutex turn_{"connection"};
  std::optional<connection> base_;
  bool listening_ = false;
};

/// The fields of a row of COPY's text format.
class copied_row {
 public:
  /// `line` stays valid as long as the fields are used.
  void read(std::string_view line);
  [[nodiscard]] std::size_t size() const { return fields_.size(); }
  /// Nothing: NULL.
  [[nodiscard]] std::optional<std::string_view> field(std::size_t at) const { return fields_[at]; }

 private:
  [[nodiscard]] std::string_view unescaped(std::string_view field);
  std::vector<std::optional<std::string_view>> fields_;
  std::string plain_;  ///< of those that had escapes; made large enough beforehand
};

/// What is read, as SQL.
class source_table {
 public:
  /// Finds out about it. Throws std::runtime_error for the user.
  task<> learn(source_session& over, const source_place& place);

  /// What stands behind FROM, under the name `o`.
  std::string source;
  std::string key;  ///< the name of the column that tells rows apart
  /// The same as `o."id"`, and its type's name.
  std::string id;
  std::string id_type;
  unsigned id_type_oid = 0;
  /// The item as one value, JSON.
  std::string item;
  /// Its columns, of which `read_columns` makes that JSON: several times cheaper for the server.
  std::string columns;
  /// ` AND (...)`, or nothing.
  std::string condition;
  /// Its OID when it was found; 0: a view or a query, which reads who knows what.
  std::int64_t oid = 0;
  std::string sql_name;  ///< of the table, or nothing
  std::string schema;

  /// A SELECT that has the columns, to be limited: `learn_shape` takes what they are by now.
  [[nodiscard]] std::string shape_sql() const;
  void learn_shape(const result& shape);

  /// A row of a result, with `item` in column `item_at`.
  [[nodiscard]] rows::row read_item(const result& from, std::size_t row, std::size_t item_at,
                                    std::uint64_t number, std::string id_text) const;
  /// A row of a COPY of the id and `columns`. The same as `read_item`.
  [[nodiscard]] rows::row read_copied(std::string_view line);

 private:
  enum class kind : std::uint8_t { number, boolean, text, json };
  struct column {
    std::string key;  ///< `"name":`
    kind what;
  };
  void add_column(std::string_view name, unsigned type);
  [[nodiscard]] rows::row made_of(std::string_view json, std::uint64_t number,
                                  std::string id_text) const;
  task<> find_table(source_session& over, const source_place& place);
  task<std::string> primary_key(source_session& over) const;
  task<> learn_columns(source_session& over, const source_place& place);
  std::string chosen_;  ///< `, o."name"` for each of the columns, if they are chosen
  std::vector<std::pair<std::string, unsigned>> shape_;  ///< names and types
  std::vector<column> columns_;
  copied_row fields_;
  std::string json_;
  bool must_check_ = false;  ///< what the server calls JSON may be none to us
};

}  // namespace brigade::postgres
