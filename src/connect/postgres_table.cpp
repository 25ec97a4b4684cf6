#include "connect/postgres_table.hpp"

#include <algorithm>
#include <numeric>

namespace brigade::postgres {
namespace {

using json_text::kind;

constexpr std::size_t columns_max = 1600;

// Which kinds of values a column has been seen with decides its type.
constexpr unsigned seen_integer = 1;
constexpr unsigned seen_number = 2;
constexpr unsigned seen_boolean = 4;
constexpr unsigned seen_text = 8;
constexpr unsigned seen_nested = 16;

unsigned seen(const cell& value) {
  switch (value.kind) {
    case kind::null:
      return 0;
    case kind::boolean_false:
    case kind::boolean_true:
      return seen_boolean;
    case kind::number:
      return json_text::is_integer(value.json) && json_text::to_int64(value.json) ? seen_integer
                                                                                  : seen_number;
    case kind::string:
      return seen_text;
    case kind::array:
    case kind::object:
      return seen_nested;
  }
  return 0;
}

const char* type_for(unsigned kinds) {
  if (kinds == seen_integer) return "bigint";
  if (kinds != 0 && (kinds & ~(seen_integer | seen_number)) == 0) return "numeric";
  if (kinds == seen_boolean) return "boolean";
  return (kinds & seen_nested) != 0 ? "jsonb" : "text";
}

column_form form_of(std::string_view type_name, char category) {
  if (type_name == "json" || type_name == "jsonb") return column_form::json;
  switch (category) {
    case 'A':
      return column_form::array;
    case 'B':
      return column_form::boolean;
    case 'N':
      return column_form::number;
    default:
      return column_form::text;
  }
}

// The place of a field that is not to be stored.
constexpr std::size_t unwanted = static_cast<std::size_t>(-1);

// What another program did at the same time.
bool is_race(const error& why) {
  return why.sqlstate() == "42P07" || why.sqlstate() == "42701" || why.sqlstate() == "23505";
}

}  // namespace

std::string table::sql_name() const { return beside(options_.name); }
std::string table::beside(std::string_view name) const {
  return (options_.schema.empty() ? "" : quoted_name(options_.schema) + ".") + quoted_name(name);
}
std::string table::label() const {
  return (options_.schema.empty() ? "" : options_.schema + ".") + options_.name;
}

task<result> table::describe(connection& base) const {
  std::vector<parameter> name(1, parameter(sql_name()));
  co_return co_await base.query(
      "SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.typname, b.typcategory, "
      "a.atthasdef OR a.attidentity <> '', c.relkind, c.relrowsecurity FROM pg_class c "
      "LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
      "LEFT JOIN pg_type t ON t.oid = a.atttypid "
      "LEFT JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END "
      "WHERE c.oid = to_regclass($1) ORDER BY a.attnum",
      name);
}

column table::column_at(const result& described, std::size_t row) {
  column made;
  made.name = described.text(row, 0);
  made.type = described.text(row, 1);
  made.form = form_of(described.text(row, 2), described.text(row, 3).front());
  made.has_default = described.text(row, 4) == "t";
  return made;
}

task<bool> table::has_changed(connection& base) const {
  const result found = co_await describe(base);
  if (found.rows() != columns_.size()) co_return true;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (found.is_null(i, 0) || column_at(found, i) != columns_[i]) co_return true;
  }
  co_return false;
}

task<> table::load(connection& base) {
  const result found = co_await describe(base);
  columns_.clear();
  last_names_.clear();
  last_places_.clear();
  last_shape_ = 0;
  ++version_;
  for (std::size_t i = 0; i < found.rows(); ++i) {
    const std::string_view kind_of_table = found.text(i, 5);
    if (kind_of_table != "r" && kind_of_table != "p" && kind_of_table != "f") {
      throw std::runtime_error(label() + " is a view, or something else that is not a table");
    }
    if (found.is_null(i, 0)) throw std::runtime_error("the table " + label() + " has no columns");
    has_policies_ = found.text(i, 6) == "t";
    columns_.push_back(column_at(found, i));
  }
  if (!exists()) co_return;
  for (const std::string& each : options_.columns) {
    if (find(each)) continue;
    throw std::runtime_error("the table " + label() + " has no column '" + each +
                             "'; add it, or leave it out of columns");
  }
  co_await check_rights(base);
  if (!options_.key.empty() && find(options_.key)) co_await make_key_unique(base);
}

task<> table::check_rights(connection& base) const {
  const std::string wanted = options_.key.empty() ? "INSERT" : "INSERT, SELECT, UPDATE";
  std::vector<parameter> name(1, parameter(sql_name()));
  const result may = co_await base.query(
      "SELECT has_table_privilege($1, 'INSERT'), has_table_privilege($1, 'SELECT'), "
      "has_table_privilege($1, 'UPDATE'), current_user",
      name);
  const std::size_t count = options_.key.empty() ? 1 : 3;
  for (std::size_t i = 0; i < count; ++i) {
    if (may.text(0, i) == "t") continue;
    const std::string user(may.text(0, 3));
    throw std::runtime_error("permission denied for the table " + label() + ": GRANT " + wanted +
                             " ON " + sql_name() + " TO " + quoted_name(user));
  }
}

// `ON CONFLICT (key)` needs an index that says the key is unique.
task<> table::make_key_unique(connection& base) const {
  std::vector<parameter> names;
  names.emplace_back(sql_name());
  names.emplace_back(options_.key);
  const result unique = co_await base.query(
      "SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = $2 "
      "WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indimmediate AND i.indisvalid "
      "AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum",
      names);
  if (unique.rows() > 0) co_return;
  std::string sql = "CREATE UNIQUE INDEX IF NOT EXISTS " +
                    quoted_name(("_brigade_" + options_.name).substr(0, 58) + "_key") + " ON " +
                    sql_name() + " (" + quoted_name(options_.key) + ")";
  try {
    co_await base.query(std::move(sql));
  } catch (const error& why) {
    if (why.sqlstate() != "23505" && why.kind() != error_kind::denied) throw;
    throw std::runtime_error("the key '" + options_.key + "' of the table " + label() +
                             " is not unique, and cannot be made so: " + why.what());
  }
}

std::optional<std::size_t> table::find(std::string_view name) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].name == name) return i;
  }
  return std::nullopt;
}

std::string table::free_name(std::string wanted) const {
  while (find(wanted)) wanted.push_back('_');
  return wanted;
}

bool table::is_wanted(std::string_view name) const {
  return options_.columns.empty() ||
         std::ranges::find(options_.columns, name) != options_.columns.end();
}

table::new_column& table::named(std::vector<new_column>& columns, std::string_view name) {
  const auto found = std::ranges::find(columns, name, &new_column::name);
  if (found != columns.end()) return *found;
  return columns.emplace_back(new_column{std::string(name), 0});
}

// Finds the columns of a row's fields; false: one of them is not there yet. Rows in a row mostly
// have the same fields.
bool table::resolve(placed_row& to) {
  const std::vector<cell>& cells = to.cells.cells();
  const bool is_of_shape = to.cells.shape() != 0 && to.cells.shape() == last_shape_;
  const bool as_before = is_of_shape || std::ranges::equal(cells, last_names_, {}, &cell::name);
  if (!as_before) {
    last_names_.clear();
    last_places_.clear();
    for (const cell& each : cells) {
      last_names_.emplace_back(each.name);
      last_places_.push_back(is_wanted(each.name) ? find(each.name) : unwanted);
    }
  }
  last_shape_ = to.cells.shape();
  to.values.clear();
  bool is_ascending = true;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!last_places_[i]) return false;
    if (*last_places_[i] == unwanted) continue;
    is_ascending = is_ascending && (to.values.empty() || to.values.back().first < *last_places_[i]);
    to.values.emplace_back(*last_places_[i], &cells[i]);
  }
  if (!is_ascending) {
    std::ranges::sort(to.values, {}, [](const auto& each) { return each.first; });
  }
  return true;
}

// A row with more new fields than the table has room for adds none, and fails alone.
std::vector<table::new_column> table::missing(std::vector<placed_row>& rows,
                                              std::vector<std::optional<std::string>>& failures) {
  std::vector<new_column> found;
  if (!exists()) {
    for (const std::string& name : options_.columns) named(found, name);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (failures[i] || resolve(rows[i])) continue;
    const std::size_t before = found.size();
    for (const cell& each : rows[i].cells.cells()) {
      if (find(each.name) || !is_wanted(each.name)) continue;
      named(found, each.name).kinds |= seen(each);
    }
    if (columns_.size() + found.size() <= columns_max) continue;
    found.resize(before);
    failures[i] = "with its fields the table would have more than " + std::to_string(columns_max) +
                  " columns; name those to store in 'columns'";
  }
  return found;
}

std::string table::sql_to_add(const std::vector<new_column>& columns) const {
  std::string list;
  for (const new_column& each : columns) {
    list += list.empty() ? "" : ", ";
    list += (exists() ? "ADD COLUMN " : "") + quoted_name(each.name) + " " + type_for(each.kinds);
  }
  return exists() ? "ALTER TABLE " + sql_name() + " " + list
                  : "CREATE TABLE " + sql_name() + " (" + list + ")";
}

// Gives why the server does not allow it.
task<std::optional<std::string>> table::add(connection& base,
                                            const std::vector<new_column>& columns) {
  std::optional<std::string> refused;
  try {
    co_await base.query(sql_to_add(columns));
  } catch (const error& why) {
    if (why.kind() == error_kind::denied) {
      refused = why.what();
    } else if (!is_race(why)) {
      throw;
    }
  }
  co_await load(base);
  co_return refused;
}

// Another program may add the same columns at the same time, but not for ever.
task<> table::place(connection& base, std::vector<placed_row>& rows,
                    std::vector<std::optional<std::string>>& failures) {
  std::vector<new_column> more = missing(rows, failures);
  for (int attempts = 0; !more.empty(); more = missing(rows, failures)) {
    const std::optional<std::string> refused = co_await add(base, more);
    if (!refused && ++attempts < 10) continue;
    const std::string why = refused.value_or("another program changes it all the time");
    if (!exists()) throw std::runtime_error("cannot make the table " + label() + ": " + why);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (failures[i] || resolve(rows[i])) continue;
      failures[i] = "cannot add the column '" + more.front().name + "' to the table " + label() +
                    ": " + why + "; name the fields to store in 'columns'";
    }
    break;
  }
  if (exists()) co_return;
  for (auto& each : failures) {
    if (!each) each = "it has no fields to make the table's columns of";
  }
}

}  // namespace brigade::postgres
