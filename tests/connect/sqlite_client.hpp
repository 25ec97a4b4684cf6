/// A connection to a file of SQLite that is a test's own.
#pragma once
#include <sqlite3.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace brigade::test {

class sqlite_client {
 public:
  explicit sqlite_client(const std::string& path) {
    if (::sqlite3_open(path.c_str(), &database_) != SQLITE_OK) throw std::runtime_error(path);
    ::sqlite3_busy_timeout(database_, 5000);
  }
  ~sqlite_client() { ::sqlite3_close(database_); }
  sqlite_client(const sqlite_client&) = delete;
  sqlite_client& operator=(const sqlite_client&) = delete;

  /// The first column of each row.
  std::vector<std::string> query(const std::string& sql) {
    std::vector<std::string> rows;
    const auto add = [](void* to, int count, char** values, char**) {
      if (count > 0 && values[0] != nullptr) {
        static_cast<std::vector<std::string>*>(to)->emplace_back(values[0]);
      }
      return 0;
    };
    char* said = nullptr;
    if (::sqlite3_exec(database_, sql.c_str(), add, &rows, &said) != SQLITE_OK) {
      const std::string why = said;
      ::sqlite3_free(said);
      throw std::runtime_error(sql + ": " + why);
    }
    return rows;
  }

  /// Runs a statement with one parameter for each of these texts, whatever their bytes are; all of
  /// it or nothing.
  void each(const std::string& sql, const std::vector<std::string>& texts) {
    query("begin immediate");
    sqlite3_stmt* statement = nullptr;
    ::sqlite3_prepare_v2(database_, sql.c_str(), -1, &statement, nullptr);
    bool well = statement != nullptr;
    for (const std::string& text : texts) {
      ::sqlite3_bind_text(statement, 1, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
      well = ::sqlite3_step(statement) == SQLITE_DONE && well;
      ::sqlite3_reset(statement);
    }
    ::sqlite3_finalize(statement);
    if (!well) throw std::runtime_error(sql + ": " + ::sqlite3_errmsg(database_));
    query("commit");
  }

 private:
  sqlite3* database_ = nullptr;
};

}  // namespace brigade::test
