/// A SQLite connection and its statements, for the ledger.
///
/// Thread safety: none; a connection and its statements belong to one thread at a time.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace brigade::ledger_detail {

/// What SQLite said, with its (primary) result code.
class database_error : public std::runtime_error {
 public:
  database_error(int code, const std::string& message)
      : std::runtime_error(message), code_(code & 0xFF) {}
  [[nodiscard]] int code() const { return code_; }

 private:
  int code_;
};

/// Bytes that need not be text: stored as text when they are, else as a blob.
struct bytes {
  std::string_view value;
};

/// Bound text is not copied: it must live until the statement has run.
class statement {
 public:
  statement(sqlite3* database, std::string_view sql);

  /// Binds all parameters in order, runs to the end, and is ready for the next time.
  template <class... Values>
  void run(const Values&... values) {
    bind_all(values...);
    while (step()) {
    }
  }
  template <class... Values>
  void bind_all(const Values&... values) {
    reset();
    int index = 0;
    (bind(++index, values), ...);
  }
  /// True: a row is there. False: it is done, and has been reset.
  bool step();
  void reset();

  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::uint64_t unsigned_integer(int column) const {
    return static_cast<std::uint64_t>(integer(column));
  }
  /// Also of a blob; a NULL is empty.
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] bool is_null(int column) const;

  void bind(int index, std::int64_t value);
  void bind(int index, std::uint64_t value) { bind(index, static_cast<std::int64_t>(value)); }
  void bind(int index, std::uint32_t value) { bind(index, static_cast<std::int64_t>(value)); }
  void bind(int index, int value) { bind(index, static_cast<std::int64_t>(value)); }
  void bind(int index, bool value) { bind(index, value ? 1 : 0); }
  void bind(int index, std::string_view value);
  void bind(int index, const std::string& value) { bind(index, std::string_view(value)); }
  void bind(int index, const char* value) { bind(index, std::string_view(value)); }
  void bind(int index, bytes value);
  void bind(int index, std::nullopt_t);
  template <class Value>
  void bind(int index, const std::optional<Value>& value) {
    if (value) {
      bind(index, *value);
    } else {
      bind(index, std::nullopt);
    }
  }

 private:
  void check(int code) const;
  struct finalizer {
    void operator()(sqlite3_stmt* each) const { sqlite3_finalize(each); }
  };
  std::unique_ptr<sqlite3_stmt, finalizer> handle_;
};

class database {
 public:
  /// Opens a file that is there. `flags` as for sqlite3_open_v2. Throws database_error.
  database(const std::filesystem::path& file, int flags);

  void execute(const char* sql);
  [[nodiscard]] statement prepare(std::string_view sql) { return {handle_.get(), sql}; }
  /// How many rows the last statement changed.
  [[nodiscard]] int changes() const { return sqlite3_changes(handle_.get()); }
  [[nodiscard]] bool in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }
  /// Closing will not write any more: for a file whose last write failed.
  void never_write_again();

 private:
  struct closer {
    void operator()(sqlite3* each) const { sqlite3_close_v2(each); }
  };
  std::unique_ptr<sqlite3, closer> handle_;
};

/// One transaction: rolled back unless it was committed.
class transaction {
 public:
  explicit transaction(database& on) : on_(on) { on_.execute("BEGIN IMMEDIATE"); }
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;
  ~transaction();
  void commit() { on_.execute("COMMIT"); }

 private:
  database& on_;
};

}  // namespace brigade::ledger_detail
