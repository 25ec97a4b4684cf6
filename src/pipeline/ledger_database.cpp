#include "pipeline/ledger_database.hpp"

#include "pipeline/text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace brigade::ledger_detail {
namespace {

constexpr int busy_timeout_ms = 5000;  // a reader's checkpoint may hold the file for a moment

/// Of what the disk refuses SQLite says no more than that; the error of the call that failed is
/// mostly the last there was.
std::string disk_reason(int kind, int cause) {
  constexpr std::array causes = {EIO, EFBIG, EROFS, ENOSPC, EDQUOT, EACCES, EPERM, ENOENT, EMFILE};
  if (kind != SQLITE_IOERR && kind != SQLITE_CANTOPEN) return {};
  if (std::ranges::find(causes, cause) == causes.end()) return {};
  return ": " + std::generic_category().message(cause);
}

database_error last_error(sqlite3* database) {
  const int cause = errno;
  const int kind = sqlite3_errcode(database) & 0xFF;
  return {sqlite3_extended_errcode(database), sqlite3_errmsg(database) + disk_reason(kind, cause)};
}

[[noreturn]] void fail(sqlite3* database) { throw last_error(database); }

}  // namespace

statement::statement(sqlite3* database, std::string_view sql) {
  sqlite3_stmt* prepared = nullptr;
  if (sqlite3_prepare_v3(database, sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &prepared, nullptr) != SQLITE_OK) {
    fail(database);
  }
  handle_.reset(prepared);
}

void statement::check(int code) const {
  if (code != SQLITE_OK) fail(sqlite3_db_handle(handle_.get()));
}

bool statement::step() {
  errno = 0;
  const int code = sqlite3_step(handle_.get());
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) {
    const database_error error = last_error(sqlite3_db_handle(handle_.get()));
    sqlite3_reset(handle_.get());
    throw error;
  }
  reset();
  return false;
}

// The result of a reset repeats the error of the last step, which was thrown already.
void statement::reset() { sqlite3_reset(handle_.get()); }

std::int64_t statement::integer(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}

std::string statement::text(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
}

bool statement::is_null(int column) const {
  return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}

void statement::bind(int index, std::int64_t value) {
  check(sqlite3_bind_int64(handle_.get(), index, value));
}

void statement::bind(int index, std::string_view value) {
  // A null pointer would bind NULL, not the empty text.
  check(sqlite3_bind_text64(handle_.get(), index, value.empty() ? "" : value.data(), value.size(),
                            SQLITE_STATIC, SQLITE_UTF8));
}

void statement::bind(int index, bytes value) {
  if (detail::is_plain_text(value.value)) {
    bind(index, value.value);
  } else {
    check(sqlite3_bind_blob64(handle_.get(), index, value.value.data(), value.value.size(),
                              SQLITE_STATIC));
  }
}

void statement::bind(int index, std::nullopt_t) { check(sqlite3_bind_null(handle_.get(), index)); }

database::database(const std::filesystem::path& file, int flags) {
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(file.c_str(), &opened, flags, nullptr);
  handle_.reset(opened);
  if (code != SQLITE_OK) {
    throw database_error(code,
                         opened == nullptr ? sqlite3_errstr(code) : last_error(opened).what());
  }
  sqlite3_busy_timeout(opened, busy_timeout_ms);
}

void database::execute(const char* sql) {
  if (sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail(handle_.get());
  }
}

void database::never_write_again() {
  sqlite3_db_config(handle_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

transaction::~transaction() {
  // Some errors have rolled back already. A failing rollback leaves nothing committed either.
  if (on_.in_transaction()) {
    try {
      on_.execute("ROLLBACK");
    } catch (const database_error&) {
      on_.never_write_again();
    }
  }
}

}  // namespace brigade::ledger_detail
