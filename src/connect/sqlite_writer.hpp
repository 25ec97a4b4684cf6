/// The sink's own connection: rows and marks, one transaction a batch. All of this blocks.
///
/// Tables of its own, beside the user's:
///   _brigade_marks(pipeline, source, epoch, low, above)   source is a partition, `main:8f3a12cd`;
///                                                         '' is the sum of those forgotten
///   _brigade_keys("table", key)                           with `dedupe`: what has been written
#pragma once
#include "connect/inode.hpp"
#include "connect/sqlite_database.hpp"
#include "connect/sqlite_row.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/sink.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade::sqlite {

struct writer_options {
  std::string path;
  std::string table;
  std::vector<std::string> columns;  ///< empty: the items' own, as they appear
  std::string key;                   ///< a column; empty: rows are never replaced
  bool dedupe = false;
  std::chrono::milliseconds busy_timeout{5000};  ///< how long a lock of somebody's is waited for
};

struct row_to_write {
  std::string key;  ///< of the item, for `dedupe`
  record value;
};

/// Thread safety: one thread at a time.
class writer {
 public:
  /// Opens the database, making what is missing. Throws std::runtime_error for the user.
  writer(const writer_options& options, const sink_resume& resume);

  /// The marks that are held for this pipeline and epoch.
  [[nodiscard]] std::vector<partition_mark> marks();
  /// How much was covered by marks that are forgotten, all in all.
  [[nodiscard]] std::uint64_t forgotten_units() const { return forgotten_units_; }
  /// Writes all rows and the marks, or nothing: then some failures are there. Throws sink_down or
  /// fatal_error; then nothing was written.
  std::vector<std::optional<failure>> write(const std::vector<row_to_write>& rows,
                                            const std::vector<partition_mark>& marks);
  void commit_marks(const std::vector<partition_mark>& marks);

 private:
  struct prepared_row {
    row cells;
    std::string json;  ///< what the cells look into, where the item itself is no JSON text
    std::vector<std::pair<std::size_t, const cell*>> values;  ///< index into columns_, and value
  };

  struct new_column {
    std::string name;
    unsigned types = 0;  ///< as which its values were seen
  };

  void prepare_database();
  [[nodiscard]] std::string journal_mode();
  void check_history(bool has_history);
  void begin();
  void roll_back() noexcept;
  void commit();
  /// Device and inode of what the path leads to.
  void write_marks(const std::vector<partition_mark>& marks);
  void forget_mark(const std::string& partition);
  void load_forgotten_units();
  std::optional<std::string> prepare(prepared_row& to, const record& value);
  std::optional<std::string> insert(const row_to_write& item, const prepared_row& row);
  void fail_open_references(const std::vector<row_to_write>& items,
                            const std::vector<prepared_row>& rows,
                            std::vector<std::optional<failure>>& failures);
  [[nodiscard]] bool is_new(const std::string& key);
  statement& insert_for(const prepared_row& row);
  [[nodiscard]] std::string insert_sql(const prepared_row& row) const;

  void check_table();
  void load_columns();
  [[nodiscard]] bool table_changed();
  [[nodiscard]] std::optional<std::size_t> find_column(std::string_view name) const;
  [[nodiscard]] bool is_wanted(std::string_view name) const;
  /// What the rows have and the table has not; finds the places of what it has.
  [[nodiscard]] std::vector<new_column> missing_columns(
      std::vector<prepared_row>& rows, std::vector<std::optional<failure>>& failures);
  static new_column& named(std::vector<new_column>& columns, const std::string& name);
  void create_table(const std::vector<new_column>& columns);
  /// Gives why the table cannot have the column.
  std::optional<std::string> add_column(const new_column& column);
  void add_columns(std::vector<prepared_row>& rows, std::vector<std::optional<failure>>& failures);
  void refuse_unless_table(std::vector<std::optional<failure>>& failures) const;
  void make_key_unique();
  bool resolve(prepared_row& to);

  writer_options options_;
  std::string pipeline_;
  std::int64_t epoch_;
  std::uint64_t forgotten_units_ = 0;
  database database_;
  inode inode_;
  std::vector<std::string> columns_;                     ///< empty: there is no table yet
  bool schema_changed_ = false;                          ///< in the open transaction
  std::vector<std::string> last_names_;                  ///< the fields of the row resolved last,
  std::vector<std::optional<std::size_t>> last_places_;  ///< their columns,
  unsigned last_shape_ = 0;                              ///< and its shape
  json_text::object_shape shape_;
  std::vector<prepared_row> rows_;                         ///< of the batch; kept for their memory
  std::map<std::vector<std::size_t>, statement> inserts_;  ///< by columns
  std::pair<const std::vector<std::size_t>, statement>* last_insert_ = nullptr;
  std::optional<statement> insert_key_;
  std::optional<statement> insert_mark_;
};

}  // namespace brigade::sqlite
