/// The table rows go to: what its columns are, and how they come about.
#pragma once
#include "connect/postgres_connection.hpp"
#include "connect/postgres_row.hpp"

#include <brigade/async/task.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade::postgres {

struct column {
  std::string name;
  std::string type;  ///< as SQL spells it: `numeric(10,2)`
  column_form form = column_form::text;
  bool has_default = false;  ///< so that no value is something else than NULL
  friend bool operator==(const column&, const column&) = default;
};

/// A row and where its fields go.
struct placed_row {
  row cells;
  std::string json;  ///< what the cells look into, where the item itself is no JSON text
  std::vector<std::pair<std::size_t, const cell*>> values;  ///< index of a column, and value;
                                                            ///< ascending
};

struct table_options {
  std::string schema;  ///< empty: as the search path says
  std::string name;
  std::vector<std::string> columns;  ///< empty: the items' own, as they appear
  std::string key;                   ///< a column; empty: rows are never replaced
};

/// Thread safety: the loop's thread.
class table {
 public:
  explicit table(table_options options) : options_(std::move(options)) {}

  /// Looks what is there. Throws std::runtime_error where rows cannot go there as it is, and
  /// postgres::error.
  task<> load(connection& base);
  /// Whether its columns are others by now, or it is gone. Throws postgres::error.
  task<bool> has_changed(connection& base) const;
  [[nodiscard]] bool exists() const { return !columns_.empty(); }

  /// Makes the table, or columns, that `rows` need, each in a transaction of its own, and finds
  /// where each value goes. Gives why a row has no place, by index; nothing for one that has one,
  /// and for those whose entry in `failures` is there already.
  /// Throws postgres::error.
  task<> place(connection& base, std::vector<placed_row>& rows,
               std::vector<std::optional<std::string>>& failures);

  /// Finds where each value goes; false: a column is not there yet.
  bool resolve(placed_row& to);
  [[nodiscard]] const std::vector<column>& columns() const { return columns_; }
  [[nodiscard]] std::string sql_name() const;
  /// `name` in the table's schema.
  [[nodiscard]] std::string beside(std::string_view name) const;
  [[nodiscard]] std::string label() const;
  /// `wanted`, or what resembles it and is the name of no column.
  [[nodiscard]] std::string free_name(std::string wanted) const;
  /// Changes whenever the columns do.
  [[nodiscard]] unsigned version() const { return version_; }
  [[nodiscard]] std::optional<std::size_t> find(std::string_view name) const;
  /// Row-level security: a row may be refused as if nobody may insert there.
  [[nodiscard]] bool has_policies() const { return has_policies_; }
  [[nodiscard]] const table_options& options() const { return options_; }

 private:
  struct new_column {
    std::string name;
    unsigned kinds = 0;  ///< as which its values were seen
  };

  task<result> describe(connection& base) const;
  [[nodiscard]] static column column_at(const result& described, std::size_t row);
  [[nodiscard]] bool is_wanted(std::string_view name) const;
  std::vector<new_column> missing(std::vector<placed_row>& rows,
                                  std::vector<std::optional<std::string>>& failures);
  static new_column& named(std::vector<new_column>& columns, std::string_view name);
  [[nodiscard]] std::string sql_to_add(const std::vector<new_column>& columns) const;
  task<std::optional<std::string>> add(connection& base, const std::vector<new_column>& columns);
  task<> check_rights(connection& base) const;
  task<> make_key_unique(connection& base) const;

  table_options options_;
  std::vector<column> columns_;
  bool has_policies_ = false;
  unsigned version_ = 0;
  std::vector<std::string> last_names_;                  ///< the fields of the row resolved last,
  std::vector<std::optional<std::size_t>> last_places_;  ///< their columns,
  unsigned last_shape_ = 0;                              ///< and its shape
};

}  // namespace brigade::postgres
