#include "connect/sqlite_table.hpp"

#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace brigade::sqlite {
namespace {

constexpr int names_shown = 8;

const std::string& existing(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return path;
  throw std::runtime_error("there is no such file");
}

}  // namespace

void rethrow(const table_place& place, const error& failed) {
  const std::string text = place.path + ": " + failed.what();
  if (failed.is_outage()) throw rows::outage(text);
  throw std::runtime_error(text);
}

table::table(const table_place& place, std::chrono::milliseconds busy_timeout)
    : path_(place.path),
      database_(existing(place.path), busy_timeout),
      inode_(inode_of(place.path)) {
  const rows::table_options& options = place.options;
  if (options.table.empty()) {
    source_ = "(" + options.query + ") AS o";
    id_ = options.id;
  } else {
    check_table(options.table);
    source_ = quoted_name(options.table) + " AS o";
    id_ = options.id.empty() ? primary_key(options.table) : options.id;
  }
  id_ = "o." + quoted_name(id_);
  for (const std::string& column : options.columns) {
    columns_ += (columns_.empty() ? "o." : ", o.") + quoted_name(column);
  }
  if (columns_.empty()) columns_ = "o.*";
  if (!options.where.empty()) condition_ = " AND (" + options.where + ")";
  check_columns(options);
}

void table::check_table(const std::string& name) {
  statement known(database_,
                  "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT "
                  "LIKE 'sqlite_%' AND name NOT LIKE '\\_brigade\\_%' ESCAPE '\\' "
                  "ORDER BY name = ?1 COLLATE NOCASE DESC, name");
  known.bind(1, name);
  std::string others;
  for (int n = 0; known.step() && n <= names_shown; ++n) {
    statement same(database_, "SELECT ?1 = ?2 COLLATE NOCASE");
    const std::string found = known.text(0);
    same.bind(1, found);
    same.bind(2, name);
    if (n == 0 && same.step() && same.integer(0) == 1) return;
    if (n == names_shown) {
      others += ", ...";
    } else {
      others += (others.empty() ? "" : ", ") + found;
    }
  }
  throw std::runtime_error("there is no table '" + name + "'; " +
                           (others.empty() ? "there is none at all" : "there are: " + others));
}

// Numbers that SQLite gives rows without such a key may change.
std::string table::primary_key(const std::string& name) {
  statement keys(database_, "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk");
  keys.bind(1, name);
  std::string key;
  if (keys.step()) key = keys.text(0);
  if (!key.empty() && !keys.step()) return key;
  throw std::runtime_error("table '" + name + "' has no primary key of one column; say with 'id' " +
                           "which column tells its rows apart");
}

// A double-quoted name that is no column is a text to SQLite, unless it belongs to a table.
void table::check_columns(const rows::table_options& options) {
  static_cast<void>(statement(
      database_, "SELECT " + id_ + ", " + columns_ + " FROM " + source_ + " WHERE 1" + condition_ +
                     (options.order.empty() ? "" : " ORDER BY ") + options.order));
}

void table::check_file() const {
  if (inode_of(path_) == inode_) return;
  throw std::runtime_error(path_ + " was moved away, replaced or deleted while the run was on");
}

bool table::has_changed() {
  try {
    statement now(database_, "PRAGMA data_version");
    const std::int64_t version = now.step() ? now.integer(0) : 0;
    return std::exchange(version_, version) != version;
  } catch (const error&) {
    return true;  // whoever looks hears why, and waits where that helps
  }
}

}  // namespace brigade::sqlite
