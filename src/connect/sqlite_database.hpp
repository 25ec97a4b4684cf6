/// SQLite with owners and exceptions: a connection and its statements.
///
/// Thread safety: one thread at a time.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace brigade::sqlite {

class error : public std::runtime_error {
 public:
  error(int extended_code, const std::string& message)
      : std::runtime_error(message), code_(extended_code) {}
  /// The far side cannot do it now, whatever it is asked: locked, full, unreachable.
  [[nodiscard]] bool is_outage() const;
  /// What was to be stored cannot be stored there.
  [[nodiscard]] bool is_about_the_row() const;
  [[nodiscard]] int code() const { return code_; }

 private:
  int code_;
};

class database;

/// A prepared statement. Parameters are numbered from 1, columns from 0.
class statement {
 public:
  statement(database& in, const std::string& sql);

  void bind_null(int at);
  void bind(int at, std::int64_t value);
  void bind(int at, double value);
  /// `text` stays valid until the next `reset`.
  void bind(int at, std::string_view text);

  /// Goes to the next row; false: it is done.
  bool step();
  /// Steps to the end and resets, also when it throws.
  void run();
  void reset() noexcept;

  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] sqlite3_stmt* handle() const { return statement_.get(); }

 private:
  struct closes {
    void operator()(sqlite3_stmt* statement) const;
  };
  void check(int result) const;
  std::unique_ptr<sqlite3_stmt, closes> statement_;
};

class database {
 public:
  /// Opens the file, or makes it; waits `busy_timeout` for a lock of somebody's. Throws error.
  database(const std::string& path, std::chrono::milliseconds busy_timeout);

  void run(const std::string& sql);
  /// How many rows the last statement changed.
  [[nodiscard]] int changes() const;
  /// Whether a transaction is open; some errors end it.
  [[nodiscard]] bool in_transaction() const;
  /// Whether it could only be opened to read.
  [[nodiscard]] bool is_read_only() const;
  /// Whether a deferred foreign key refers to nothing yet: the transaction could not end like that.
  [[nodiscard]] bool has_open_references() const;
  [[nodiscard]] sqlite3* handle() const { return database_.get(); }

 private:
  struct closes {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<sqlite3, closes> database_;
};

/// `name` as an SQL identifier.
[[nodiscard]] std::string quoted_name(std::string_view name);

}  // namespace brigade::sqlite
