/// The table, or the query, that a source reads in an SQLite database; what both ways of reading
/// have in common. All of this blocks.
#pragma once
#include "connect/inode.hpp"
#include "connect/rows_options.hpp"
#include "connect/sqlite_database.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace brigade::sqlite {

struct table_place {
  std::string path;
  rows::table_options options;
};

/// Where an error says that the database cannot do it now: rows::outage; else the error, with where
/// it was.
[[noreturn]] void rethrow(const table_place& place, const error& failed);

class table {
 public:
  /// Opens the database, which must be there, and checks that it has what is to be read. Throws
  /// std::runtime_error for the user.
  explicit table(const table_place& place, std::chrono::milliseconds busy_timeout);

  [[nodiscard]] database& in() { return database_; }
  /// The key column, quoted.
  [[nodiscard]] const std::string& id() const { return id_; }
  /// What stands behind FROM, under the name `o`.
  [[nodiscard]] const std::string& source() const { return source_; }
  /// `o."a", o."b"`: what an item has.
  [[nodiscard]] const std::string& columns() const { return columns_; }
  /// ` AND (...)`, or nothing.
  [[nodiscard]] const std::string& condition() const { return condition_; }
  /// Whether somebody else has changed the database since the last call.
  [[nodiscard]] bool has_changed();
  /// Throws std::runtime_error where another file, or none, has its name by now: what is written
  /// there nobody sees here, and what is written here nobody will find again.
  void check_file() const;

 private:
  void check_table(const std::string& name);
  [[nodiscard]] std::string primary_key(const std::string& name);
  void check_columns(const rows::table_options& options);

  std::string path_;
  database database_;
  inode inode_;
  std::string id_;
  std::string source_;
  std::string columns_;
  std::string condition_;
  std::int64_t version_ = -1;
};

}  // namespace brigade::sqlite
