// The part of the writer that knows the table: its columns, and how they come about.
#include "connect/sqlite_writer.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <stdexcept>

namespace brigade::sqlite {
namespace {

// Which types a column has been seen with decides how it is declared. What is mixed gets no type:
// SQLite then keeps every value as it is.
constexpr unsigned seen_integer = 1;
constexpr unsigned seen_real = 2;
constexpr unsigned seen_text = 4;

unsigned seen(const cell& value) {
  switch (value.type) {
    case cell_type::integer:
      return seen_integer;
    case cell_type::real:
      return seen_real;
    case cell_type::text:
      return seen_text;
    case cell_type::null:
      break;
  }
  return 0;
}

const char* declared(unsigned types) {
  switch (types) {
    case seen_integer:
      return " INTEGER";
    case seen_real:
      return " REAL";
    case seen_integer | seen_real:
      return " NUMERIC";
    case seen_text:
      return " TEXT";
    default:
      return "";
  }
}

// The place of a field that is not to be stored.
constexpr std::optional<std::size_t> unwanted = static_cast<std::size_t>(-1);

}  // namespace

void writer::check_table() {
  statement look(database_,
                 "SELECT type FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type IN "
                 "('table', 'view')");
  look.bind(1, options_.table);
  if (!look.step()) return;
  if (look.text(0) != "table") {
    throw std::runtime_error(options_.path + ": " + options_.table + " is a view, not a table");
  }
  load_columns();
  for (const std::string& name : options_.columns) {
    if (find_column(name)) continue;
    throw std::runtime_error(options_.path + ": the table " + options_.table + " has no column '" +
                             name + "'; add it, or leave it out of columns");
  }
  if (!options_.key.empty() && find_column(options_.key)) make_key_unique();
  // A foreign key that leads nowhere is no item's fault.
  const statement probe(database_,
                        "INSERT INTO " + quoted_name(options_.table) + " DEFAULT VALUES");
}

void writer::load_columns() {
  statement list(database_, "SELECT name FROM pragma_table_info(?1)");
  list.bind(1, options_.table);
  columns_.clear();
  last_names_.clear();
  last_places_.clear();
  last_shape_ = 0;
  inserts_.clear();
  last_insert_ = nullptr;
  while (list.step()) columns_.push_back(list.text(0));
}

bool writer::table_changed() {
  const std::vector<std::string> known = columns_;
  load_columns();
  return known != columns_;
}

std::optional<std::size_t> writer::find_column(std::string_view name) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (same_column(columns_[i], name)) return i;
  }
  return std::nullopt;
}

bool writer::is_wanted(std::string_view name) const {
  if (options_.columns.empty()) return true;
  return std::any_of(options_.columns.begin(), options_.columns.end(),
                     [&](const std::string& each) { return same_column(each, name); });
}

void writer::create_table(const std::vector<new_column>& columns) {
  std::string list;
  for (const new_column& each : columns) {
    if (!list.empty()) list += ", ";
    list += quoted_name(each.name) + declared(each.types);
  }
  database_.run("CREATE TABLE " + quoted_name(options_.table) + " (" + list + ")");
}

std::optional<std::string> writer::add_column(const new_column& column) {
  try {
    database_.run("ALTER TABLE " + quoted_name(options_.table) + " ADD COLUMN " +
                  quoted_name(column.name) + declared(column.types));
  } catch (const error& cause) {
    if (!cause.is_about_the_row()) throw;
    return "cannot add the column '" + column.name + "' to the table: " + cause.what();
  }
  return std::nullopt;
}

writer::new_column& writer::named(std::vector<new_column>& columns, const std::string& name) {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const new_column& each) {
    return same_column(each.name, name);
  });
  if (found != columns.end()) return *found;
  return columns.emplace_back(new_column{name, 0});
}

// A row with more new fields than the table has room for adds none, and fails alone.
std::vector<writer::new_column> writer::missing_columns(
    std::vector<prepared_row>& rows, std::vector<std::optional<failure>>& failures) {
  const int limit = sqlite3_limit(database_.handle(), SQLITE_LIMIT_COLUMN, -1);
  std::vector<new_column> missing;
  if (columns_.empty()) {
    for (const std::string& name : options_.columns) named(missing, name);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (failures[i] || resolve(rows[i])) continue;
    const std::size_t before = missing.size();
    for (const cell& each : rows[i].cells.cells()) {
      if (find_column(each.name) || !is_wanted(each.name)) continue;
      named(missing, std::string(each.name)).types |= seen(each);
    }
    if (columns_.size() + missing.size() <= static_cast<std::size_t>(limit)) continue;
    missing.resize(before);
    failures[i].emplace(verdict::permanent, "with its fields the table would have more than " +
                                                std::to_string(limit) +
                                                " columns; name those to store in 'columns'");
  }
  return missing;
}

void writer::add_columns(std::vector<prepared_row>& rows,
                         std::vector<std::optional<failure>>& failures) {
  std::vector<new_column> missing = missing_columns(rows, failures);
  // Another program may have made the table, or the column, since this one looked.
  if (!missing.empty() && table_changed()) missing = missing_columns(rows, failures);
  if (missing.empty()) {
    refuse_unless_table(failures);
    return;
  }
  schema_changed_ = true;
  std::string problem;
  if (columns_.empty()) {
    create_table(missing);
  } else {
    for (const new_column& each : missing) {
      if (auto why = add_column(each)) problem = *std::move(why);
    }
  }
  load_columns();
  if (!options_.key.empty() && find_column(options_.key)) make_key_unique();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!failures[i] && !resolve(rows[i])) failures[i].emplace(verdict::permanent, problem);
  }
}

// Without a column there is no table, and nothing to insert into.
void writer::refuse_unless_table(std::vector<std::optional<failure>>& failures) const {
  if (!columns_.empty()) return;
  for (auto& each : failures) {
    if (!each) each.emplace(verdict::permanent, "it has no fields to make the table's columns of");
  }
}

// `ON CONFLICT (key)` needs an index that says the key is unique.
void writer::make_key_unique() {
  const std::string table = quoted_name(options_.table);
  const std::string key = quoted_name(options_.key);
  try {
    const statement probe(database_, "INSERT INTO " + table + " (" + key +
                                         ") VALUES (NULL) ON CONFLICT (" + key + ") DO NOTHING");
  } catch (const error&) {
    database_.run("CREATE UNIQUE INDEX " + quoted_name("_brigade_" + options_.table + "_key") +
                  " ON " + table + " (" + key + ")");
  }
}

// Finds the columns of a row's fields; false: one of them is not there yet. Rows in a row mostly
// have the same fields.
bool writer::resolve(prepared_row& to) {
  const std::vector<cell>& cells = to.cells.cells();
  const bool is_of_shape = to.cells.shape() != 0 && to.cells.shape() == last_shape_;
  const bool as_before =
      is_of_shape ||
      std::equal(cells.begin(), cells.end(), last_names_.begin(), last_names_.end(),
                 [](const cell& each, const std::string& name) { return each.name == name; });
  if (!as_before) {
    last_names_.clear();
    last_places_.clear();
    for (const cell& each : cells) {
      last_names_.emplace_back(each.name);
      last_places_.push_back(is_wanted(each.name) ? find_column(each.name) : unwanted);
    }
  }
  last_shape_ = to.cells.shape();
  to.values.clear();
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!last_places_[i]) return false;
    if (last_places_[i] != unwanted) to.values.emplace_back(*last_places_[i], &cells[i]);
  }
  return true;
}

}  // namespace brigade::sqlite
