#include "connect/sqlite_database.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace brigade::sqlite {
namespace {

int primary(int extended_code) { return extended_code & 0xFF; }

/// Of what the disk refuses SQLite says no more than that; the error of the call that failed is
/// mostly the last there was.
std::string disk_reason(int kind, int cause) {
  constexpr std::array causes = {EIO, EFBIG, EROFS, ENOSPC, EDQUOT, EACCES, EPERM, ENOENT, EMFILE};
  if (kind != SQLITE_IOERR && kind != SQLITE_CANTOPEN) return {};
  if (std::ranges::find(causes, cause) == causes.end()) return {};
  return ": " + std::generic_category().message(cause);
}

error last_error(sqlite3* database) {
  const int cause = errno;
  const int kind = primary(sqlite3_errcode(database));
  return {sqlite3_extended_errcode(database), sqlite3_errmsg(database) + disk_reason(kind, cause)};
}

}  // namespace

bool error::is_outage() const {
  if (code_ == SQLITE_IOERR_FSYNC || code_ == SQLITE_IOERR_DIR_FSYNC) {
    return false;  // what was not synced once is never sure to be synced later
  }
  switch (primary(code_)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
    case SQLITE_READONLY:
      return true;
    default:
      return false;
  }
}

bool error::is_about_the_row() const {
  switch (primary(code_)) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
    case SQLITE_ERROR:
      return true;
    default:
      return false;
  }
}

void statement::closes::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

statement::statement(database& in, const std::string& sql) {
  sqlite3_stmt* prepared = nullptr;
  const int result = sqlite3_prepare_v2(in.handle(), sql.c_str(), static_cast<int>(sql.size()),
                                        &prepared, nullptr);
  statement_.reset(prepared);
  if (result != SQLITE_OK) {
    throw last_error(in.handle());
  }
}

void statement::check(int result) const {
  if (result == SQLITE_OK) return;
  throw error(result, sqlite3_errmsg(sqlite3_db_handle(statement_.get())));
}

void statement::bind_null(int at) { check(sqlite3_bind_null(statement_.get(), at)); }
void statement::bind(int at, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), at, value));
}
void statement::bind(int at, double value) {
  check(sqlite3_bind_double(statement_.get(), at, value));
}
void statement::bind(int at, std::string_view text) {
  // A null pointer would be NULL, and an empty view may have one.
  const char* const bytes = text.empty() ? "" : text.data();
  check(sqlite3_bind_text64(statement_.get(), at, bytes, text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

bool statement::step() {
  errno = 0;
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  throw last_error(sqlite3_db_handle(statement_.get()));
}

void statement::run() {
  try {
    while (step()) {
    }
  } catch (...) {
    reset();
    throw;
  }
  reset();
}

void statement::reset() noexcept {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::int64_t statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string statement::text(int column) const {
  const auto* const bytes =
      reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

bool statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

void database::closes::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

database::database(const std::string& path, std::chrono::milliseconds busy_timeout) {
  sqlite3* opened = nullptr;
  errno = 0;
  const int result =
      sqlite3_open_v2(path.c_str(), &opened,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database_.reset(opened);
  if (opened == nullptr) throw error(SQLITE_NOMEM, "out of memory");
  if (result != SQLITE_OK) throw last_error(opened);
  sqlite3_extended_result_codes(opened, 1);
  sqlite3_busy_timeout(opened, static_cast<int>(busy_timeout.count()));
}

void database::run(const std::string& sql) { statement(*this, sql).run(); }

int database::changes() const { return sqlite3_changes(database_.get()); }

bool database::in_transaction() const { return sqlite3_get_autocommit(database_.get()) == 0; }

bool database::is_read_only() const { return sqlite3_db_readonly(database_.get(), "main") == 1; }

bool database::has_open_references() const {
  int open = 0;
  int ignored = 0;
  sqlite3_db_status(database_.get(), SQLITE_DBSTATUS_DEFERRED_FKS, &open, &ignored, 0);
  return open != 0;
}

std::string quoted_name(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) {
    if (c == '"') text.push_back('"');
    text.push_back(c);
  }
  return text + "\"";
}

}  // namespace brigade::sqlite
