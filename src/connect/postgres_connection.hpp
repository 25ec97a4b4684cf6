/// PostgreSQL for tasks of a loop: a connection, what it is asked, and what comes of it.
///
///   postgres::connect_options where(conninfo);
///   postgres::connection base = co_await postgres::connection::open(where);
///   std::vector<postgres::parameter> id(1, postgres::parameter("17"));
///   const postgres::result rows = co_await base.query("SELECT * FROM orders WHERE id = $1", id);
///
/// Waits are waits of the loop; nothing blocks its thread. What libpq does while it connects (names
/// looked up, files read, TLS, the password hashed) runs on a thread, for some of it blocks.
///
/// One question at a time (asserted). Every question can end in three ways:
///   - it completes;
///   - the server refuses it: `error`, thrown when all of the answer has been read; the connection
///     goes on, within a transaction as PostgreSQL has it (aborted until it is rolled back);
///   - it does not come to its end, because the connection was lost (`error` of the kind `lost`) or
///     because the wait was cancelled: the connection is closed (`is_open()` is false), and the
///     server rolls back what was open. It does so when it looks: at once where it waits for the
///     next question, within 2 s where it computes or waits for a lock. Whether a COMMIT that was
///     under way came to be, only the database can tell: hold an advisory lock on the session, and
///     take it again on the next connection, before you look.
///
/// A connection is never opened again by itself: `open` another, or `open_patiently`. What belongs
/// to a session (prepared statements, temporary tables, LISTEN, advisory locks) went with it.
///
/// A peer that is silent is waited for without end; put a `timeout` around where that must not be.
/// One that is gone without a word is noticed within 30 s, by keepalives, on both sides.
///
/// Thread safety: the loop's thread. Lifetime: inside its loop. No password is ever in a message.
#pragma once
#include <brigade/async/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct pg_result;

namespace brigade::postgres {

/// What is to be done about an error.
enum class error_kind : std::uint8_t {
  lost,      ///< the connection is gone: open another, and begin the transaction again
  outage,    ///< the server cannot do it now: starting, read-only, full, too many connections,
             ///< a timeout or an administrator ended it
  conflict,  ///< of transactions (serialization, deadlock, lock not available): roll back and do
             ///< the whole of it again
  row,       ///< the data's fault: a constraint, a value out of range, a trigger that refused
  denied,    ///< not allowed: a privilege, a policy, the password
  missing,   ///< no such table, column, function, database
  other,     ///< a question that makes no sense to it
};

class error : public std::runtime_error {
 public:
  /// `statement`: which of several sent together, from 0; those before it were done.
  error(error_kind kind, std::string sqlstate, const std::string& message,
        std::size_t statement = 0)
      : std::runtime_error(message),
        kind_(kind),
        sqlstate_(std::move(sqlstate)),
        statement_(statement) {}
  [[nodiscard]] error_kind kind() const { return kind_; }
  /// Five characters; empty where the server did not say one (it was not reached).
  [[nodiscard]] const std::string& sqlstate() const { return sqlstate_; }
  [[nodiscard]] std::size_t statement() const { return statement_; }

 private:
  error_kind kind_;
  std::string sqlstate_;
  std::size_t statement_;
};

/// What an SQLSTATE says is to be done.
[[nodiscard]] error_kind kind_of(std::string_view sqlstate);

/// A value of `$1`, `$2`...
class parameter {
 public:
  /// NULL. `type` is an OID of pg_type; 0: the server infers it.
  explicit parameter(std::nullopt_t /*null*/, unsigned type = 0) : type_(type) {}
  /// A value as text, without NUL bytes, as the type's input function reads it.
  explicit parameter(std::string text, unsigned type = 0) : value_(std::move(text)), type_(type) {}
  /// A value in the type's binary form.
  static parameter binary(std::string bytes, unsigned type = 0) {
    parameter made(std::move(bytes), type);
    made.is_binary_ = true;
    return made;
  }
  [[nodiscard]] const std::optional<std::string>& value() const { return value_; }
  [[nodiscard]] unsigned type() const { return type_; }
  [[nodiscard]] bool is_binary() const { return is_binary_; }

 private:
  std::optional<std::string> value_;
  unsigned type_;
  bool is_binary_ = false;
};

/// SQL with its parameters.
struct statement {
  explicit statement(std::string sql_, std::vector<parameter> parameters_ = {})
      : sql(std::move(sql_)), parameters(std::move(parameters_)) {}
  std::string sql;
  std::vector<parameter> parameters;
};

/// What a statement gave: rows, or how many it changed. Cheap to copy; columns and rows from 0.
class result {
 public:
  result() = default;
  [[nodiscard]] std::size_t rows() const;
  [[nodiscard]] std::size_t columns() const;
  [[nodiscard]] std::string_view name(std::size_t column) const;
  /// OID of pg_type.
  [[nodiscard]] unsigned type(std::size_t column) const;
  [[nodiscard]] bool is_null(std::size_t row, std::size_t column) const;
  /// The value as the type's output function writes it, empty for NULL. Valid as long as the result
  /// or a copy of it lives.
  [[nodiscard]] std::string_view text(std::size_t row, std::size_t column) const;
  /// As a number; asserted that it is one.
  [[nodiscard]] std::int64_t integer(std::size_t row, std::size_t column) const;
  /// How many rows INSERT, UPDATE, DELETE, COPY changed, or SELECT gave.
  [[nodiscard]] std::uint64_t affected() const;
  /// `COMMIT`, `INSERT 0 3`. A COMMIT of a transaction that was aborted says `ROLLBACK`.
  [[nodiscard]] std::string_view command() const;

 private:
  friend class connection;
  explicit result(std::shared_ptr<pg_result> held) : held_(std::move(held)) {}
  std::shared_ptr<pg_result> held_;
};

struct notification {
  explicit notification(std::string channel_, std::string payload_)
      : channel(std::move(channel_)), payload(std::move(payload_)) {}
  std::string channel;
  std::string payload;
};

struct connect_options {
  explicit connect_options(std::string conninfo_) : conninfo(std::move(conninfo_)) {}
  /// `host=... dbname=...` or `postgresql://...`; what it lacks comes from libpq's environment
  /// (PGHOST, PGPASSFILE, ...).
  std::string conninfo;
  std::string application_name = "brigade";           ///< unless `conninfo` has one
  std::chrono::milliseconds connect_timeout{10'000};  ///< unless `conninfo` has one
};

/// Checks a connection string without connecting: the problem, without anything of its text that
/// might be a password; nothing when it can be used.
[[nodiscard]] std::optional<std::string> conninfo_problem(const std::string& conninfo);
/// Where it leads, for people: `127.0.0.1:5432/shop`.
[[nodiscard]] std::string conninfo_label(const std::string& conninfo);

/// How long connecting may take: `connect_timeout` of the string (0: for ever, no value), or of the
/// options.
[[nodiscard]] std::optional<std::chrono::nanoseconds> connect_limit(const connect_options& options);

class connection {
 public:
  /// Completes:  connected and ready: UTF-8, dates as ISO, notices dropped.
  /// Cancelled:  nothing is left open.
  /// Throws:     error: `lost` or `outage` where trying again may help, else `denied`, `missing` or
  ///             `other`; libpq gives no SQLSTATE for this, so what the server answered is known by
  ///             its message alone, and where that is in another language it is an `outage`.
  static task<connection> open(connect_options options);
  /// As `open`, again and again until it succeeds: after 100 ms, then twice as long, up to 2 s.
  /// `failed` is told of each failure, whatever its kind, and may throw to end it.
  static task<connection> open_patiently(connect_options options,
                                         std::function<void(const error&)> failed);

  connection(connection&& other) noexcept;
  connection& operator=(connection&& other) noexcept;
  ~connection();

  /// False once it was lost or closed.
  [[nodiscard]] bool is_open() const;
  /// Says goodbye where that needs no waiting. While a task waits in it: a misuse (asserted).
  void close() noexcept;

  /// One statement. Throws and cancelled: see above, as for all that follow.
  task<result> query(std::string sql, std::vector<parameter> parameters = {});
  /// Several statements without parameters, divided by `;`, in one round trip; a transaction of
  /// their own unless they say BEGIN. Gives a result each. What follows one that fails is not done.
  task<std::vector<result>> script(std::string sql);
  /// Several statements with parameters in one round trip (pipeline mode); as `script`. Each SQL
  /// text is prepared once a connection, so that the same text again costs little: use few.
  task<std::vector<result>> pipeline(std::span<const statement> statements);
  /// `COPY ... FROM STDIN`, behind other statements if need be (as in `script`), with `rows` as its
  /// input, which stays valid until it completes. Gives a result each, the COPY's last.
  task<std::vector<result>> copy_in(std::string sql, std::string_view rows);
  /// The same with its input in pieces, made while the server reads the one before: `more` puts the
  /// next into an empty string, and leaves it empty at the end; false: the COPY is given up, and
  /// fails with 57014. `all_sent` is set when what is sent next makes the server go on behind it.
  task<std::vector<result>> copy_in(std::string sql, std::function<bool(std::string&)> more,
                                    bool* all_sent = nullptr);
  /// `COPY ... TO STDOUT`, one statement: `take` is given row after row, without its newline, as
  /// they come, and says whether it wants more. False: it did not; the connection is closed.
  task<bool> copy_out(std::string sql, std::function<bool(std::string_view)> take);

  /// Begins to hear of a channel; `channel` is a name, not SQL.
  task<> listen(const std::string& channel);
  /// Completes with the next notification. Cancelled: nothing is lost, and the connection goes on.
  /// Throws error of the kind `lost`.
  task<notification> next_notification();
  /// One that came while something else was asked, without waiting.
  [[nodiscard]] std::optional<notification> take_notification();

  /// True between BEGIN and its end, also when it failed.
  [[nodiscard]] bool in_transaction() const;
  [[nodiscard]] int backend_pid() const;
  [[nodiscard]] int server_version() const;  ///< 150018 for 15.18

  class implementation;

 private:
  explicit connection(std::unique_ptr<implementation> impl);
  std::unique_ptr<implementation> impl_;
};

/// `name` as an SQL identifier.
[[nodiscard]] std::string quoted_name(std::string_view name);
/// `text`, which has no NUL, as an SQL string.
[[nodiscard]] std::string quoted_literal(std::string_view text);

}  // namespace brigade::postgres
