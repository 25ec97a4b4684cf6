#include "connect/postgres_loader.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <unordered_map>
#include <utility>

namespace brigade::postgres {
namespace {

constexpr const char* stage_name = "pg_temp._brigade_rows";
constexpr std::size_t copy_piece = std::size_t{64} << 10;
constexpr std::size_t parameters_max = 60'000;  // the protocol's limit is 65,535
// How many rows a statement has: of few sizes, for each of them is prepared.
constexpr std::array<std::size_t, 3> rows_a_statement = {64, 8, 1};

std::string joined(const std::vector<std::string>& queued) {
  std::string sql;
  for (const std::string& each : queued) sql += each + ";";
  return sql;
}

// What is no text and no nested value has nothing to be escaped.
void append_copy_value(std::string& to, const cell& value, column_form form, std::string& storage) {
  if (value.kind == json_text::kind::number) {
    to += value.json;
  } else {
    append_copy_field(to, value_for(value, form, storage));
  }
}

// Ascending, as the values of a row are.
const cell* value_at(const placed_row& row, std::size_t column, std::size_t& at) {
  while (at < row.values.size() && row.values[at].first < column) ++at;
  const bool has = at < row.values.size() && row.values[at].first == column;
  return has ? row.values[at].second : nullptr;
}

}  // namespace

bool loader::stages_rows() const {
  return options_.copies && !(into_.options().key.empty() && options_.keys.empty());
}

task<> loader::prepare_stage() {
  std::string columns;
  for (const column& each : into_.columns()) columns += ", " + quoted_name(each.name);
  co_await base_.script("DROP TABLE IF EXISTS " + std::string(stage_name) +
                        "; CREATE TEMPORARY TABLE _brigade_rows ON COMMIT DELETE ROWS AS SELECT "
                        "0::bigint AS " +
                        number_name() + ", ''::text AS " + key_name() + columns + " FROM " +
                        into_.sql_name() + " WITH NO DATA");
}

void loader::queue(std::string_view sql) { queued_.emplace_back(sql); }

task<> loader::send() {
  statements_before_ = statements_with_ = queued_.size();
  const std::string sql = joined(std::exchange(queued_, {}));
  co_await base_.script(sql);
}

bool loader::blames_rows(const error& why) const {
  const bool is_policy = why.kind() == error_kind::denied && into_.has_policies();
  return (why.kind() == error_kind::row || is_policy) && why.statement() >= statements_before_;
}
bool loader::came_behind(const error& why) const { return why.statement() >= statements_with_; }
bool loader::came_far_behind(const error& why) const { return why.statement() > statements_with_; }

// Where rows replace others, what a row does not have stays as it is; else it is NULL, unless the
// column has a default. Rows of one key go one behind the other: the second of each in a statement
// behind the first ones.
std::vector<loader::unit> loader::units_of(std::span<const row_to_load> rows) const {
  const std::vector<column>& columns = into_.columns();
  const auto key = into_.find(into_.options().key);
  std::unordered_map<std::string_view, std::size_t> seen;
  std::map<std::pair<std::size_t, std::vector<std::size_t>>, unit> units;
  unit* last = nullptr;
  std::pair<std::size_t, std::vector<std::size_t>> signature;
  std::pair<std::size_t, std::vector<std::size_t>> last_signature;
  for (const row_to_load& each : rows) {
    signature.first = 0;
    signature.second.clear();
    for (const auto& [index, value] : each.row->values) {
      if (key || columns[index].has_default) signature.second.push_back(index);
      if (key && index == *key) signature.first = seen[value->text]++;
    }
    if (last == nullptr || signature != last_signature) {
      last = &units[signature];
      last_signature = signature;
    }
    last->rows.push_back(&each);
  }
  std::vector<unit> all;
  for (auto& [which, each] : units) {
    std::vector<bool> used(columns.size());
    for (const row_to_load* row : each.rows) {
      for (const auto& [index, value] : row->row->values) used[index] = true;
    }
    for (std::size_t i = 0; i < used.size(); ++i) {
      if (used[i]) each.columns.push_back(i);
    }
    // COPY wants at least one column: any that is NULL anyway.
    const auto plain = std::ranges::find(columns, false, &column::has_default);
    if (each.columns.empty() && plain != columns.end()) {
      each.columns.push_back(static_cast<std::size_t>(plain - columns.begin()));
    }
    all.push_back(std::move(each));
  }
  return all;
}

task<> loader::load(std::span<const row_to_load> rows, std::string_view behind) {
  const std::vector<unit> units = units_of(rows);
  all_sent_ = false;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const std::string_view end = i + 1 == units.size() ? behind : std::string_view();
    if (units[i].columns.empty()) {
      co_await insert_defaults(units[i].rows.size(), end);
    } else if (options_.copies) {
      co_await copy(units[i], end);
    } else {
      co_await insert(units[i], end);
    }
  }
}

std::string loader::names(const unit& one, std::string_view prefix) const {
  std::string list;
  for (const std::size_t index : one.columns) {
    list += list.empty() ? "" : ", ";
    list += std::string(prefix) + quoted_name(into_.columns()[index].name);
  }
  return list;
}

std::string loader::on_conflict(const unit& one) const {
  const std::string& key = into_.options().key;
  if (key.empty()) return {};
  std::string updates;
  for (const std::size_t index : one.columns) {
    const std::string& name = into_.columns()[index].name;
    if (name == key) continue;
    const std::string quoted = quoted_name(name);
    updates += (updates.empty() ? "" : ", ") + quoted + " = excluded." + quoted;
  }
  return " ON CONFLICT (" + quoted_name(key) + ") DO " +
         (updates.empty() ? "NOTHING" : "UPDATE SET " + updates);
}

std::string loader::sql_from_stage(const unit& one, std::uint64_t from) const {
  const std::string number = number_name();
  const std::string key = key_name();
  const std::string which = number + " >= " + std::to_string(from);
  const std::string into = "INSERT INTO " + into_.sql_name() + " (" + names(one, "") + ") SELECT " +
                           names(one, "r.") + " FROM " + stage_name + " r";
  const std::string end = " WHERE r." + which + " ORDER BY r." + number + on_conflict(one);
  if (options_.keys.empty()) return into + end;
  return "WITH fresh AS (INSERT INTO " + options_.keys + " (\"table\", key) SELECT " +
         quoted_literal(into_.label()) + ", " + key + " FROM " + stage_name + " WHERE " + which +
         " ON CONFLICT DO NOTHING RETURNING key) " + into + " JOIN fresh ON fresh.key = r." + key +
         end;
}

void loader::append_copy_row(std::string& to, const unit& one, const row_to_load& from) {
  if (stages_rows()) {
    to += std::to_string(staged_++) + "\t";
    append_copy_field(to, from.key);
    to.push_back('\t');
  }
  std::string storage;
  std::size_t at = 0;
  bool first = true;
  for (const std::size_t index : one.columns) {
    if (!std::exchange(first, false)) to.push_back('\t');
    const cell* const value = value_at(*from.row, index, at);
    if (value == nullptr) {
      to += "\\N";
    } else {
      append_copy_value(to, *value, into_.columns()[index].form, storage);
    }
  }
  to.push_back('\n');
}

task<> loader::copy(const unit& one, std::string_view behind) {
  const std::uint64_t from = staged_;
  statements_before_ = queued_.size();
  std::string sql = joined(std::exchange(queued_, {}));
  if (stages_rows()) {
    sql += "COPY " + std::string(stage_name) + " (" + number_name() + ", " + key_name() + ", " +
           names(one, "") + ") FROM STDIN;" + sql_from_stage(one, from) + ";";
    statements_with_ = statements_before_ + 2;
  } else {
    sql += "COPY " + into_.sql_name() + " (" + names(one, "") + ") FROM STDIN;";
    statements_with_ = statements_before_ + 1;
  }
  std::size_t next = 0;
  std::function<bool(std::string&)> more = [&](std::string& piece) {
    for (; next < one.rows.size() && piece.size() < copy_piece; ++next) {
      append_copy_row(piece, one, *one.rows[next]);
    }
    return true;
  };
  co_await copy_rows(std::move(sql), std::move(more), behind);
}

task<> loader::copy_rows(std::string sql, std::function<bool(std::string&)> more,
                         std::string_view behind) {
  sql += behind;
  bool* const all_sent = behind.empty() ? nullptr : &all_sent_;
  auto whole = base_.copy_in(std::move(sql), std::move(more), all_sent);
  const std::vector<result> all = co_await std::move(whole);
  last_command_ = all.back().command();
}

bool loader::takes_rows_one_by_one() const {
  const bool has_defaults =
      std::ranges::any_of(into_.columns(), [](const column& each) { return each.has_default; });
  return options_.copies && !stages_rows() && into_.exists() && !has_defaults;
}

task<> loader::load_one_by_one(std::size_t count, std::function<const placed_row*()> next,
                               std::string_view behind) {
  all_sent_ = false;
  statements_before_ = queued_.size();
  statements_with_ = statements_before_ + 1;
  unit every;
  for (std::size_t i = 0; i < into_.columns().size(); ++i) every.columns.push_back(i);
  std::string sql = joined(std::exchange(queued_, {}));
  sql += "COPY " + into_.sql_name() + " (" + names(every, "") + ") FROM STDIN;";
  std::size_t given = 0;
  std::function<bool(std::string&)> more = [&](std::string& piece) {
    for (; given < count && piece.size() < copy_piece; ++given) {
      const placed_row* const row = next();
      if (row == nullptr) return false;
      append_copy_row(piece, every, row_to_load{row, {}});
    }
    return true;
  };
  co_await copy_rows(std::move(sql), std::move(more), behind);
}

std::string loader::sql_to_insert(const unit& one, std::size_t rows) const {
  std::string values;
  std::size_t number = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    values += i == 0 ? "(" : ", (";
    if (!options_.keys.empty()) values += "CAST($" + std::to_string(++number) + " AS text), ";
    for (std::size_t k = 0; k < one.columns.size(); ++k) {
      values += (k == 0 ? "CAST($" : ", CAST($") + std::to_string(++number) + " AS " +
                into_.columns()[one.columns[k]].type + ")";
    }
    values += ")";
  }
  const std::string into = "INSERT INTO " + into_.sql_name() + " (" + names(one, "") + ") ";
  if (options_.keys.empty()) return into + "VALUES " + values + on_conflict(one);
  const std::string key = key_name();
  return "WITH r (" + key + ", " + names(one, "") + ") AS (VALUES " + values +
         "), fresh AS (INSERT INTO " + options_.keys + " (\"table\", key) SELECT " +
         quoted_literal(into_.label()) + ", " + key +
         " FROM r ON CONFLICT DO NOTHING RETURNING key) " + into + "SELECT " + names(one, "r.") +
         " FROM r JOIN fresh ON fresh.key = r." + key + on_conflict(one);
}

task<> loader::insert(const unit& one, std::string_view behind) {
  std::vector<statement> all;
  for (const std::string& each : std::exchange(queued_, {})) all.emplace_back(each);
  statements_before_ = all.size();
  const std::size_t width = one.columns.size() + (options_.keys.empty() ? 0 : 1);
  std::string storage;
  std::size_t at = 0;
  for (const std::size_t size : rows_a_statement) {
    if (size > 1 && size * width > parameters_max) continue;
    const std::string sql = at + size <= one.rows.size() ? sql_to_insert(one, size) : "";
    for (; at + size <= one.rows.size(); at += size) {
      std::vector<parameter> values;
      for (const row_to_load* each : std::span(one.rows).subspan(at, size)) {
        if (!options_.keys.empty()) values.emplace_back(std::string(each->key));
        std::size_t next = 0;
        for (const std::size_t index : one.columns) {
          const cell* const from = value_at(*each->row, index, next);
          const auto text = from == nullptr
                                ? std::nullopt
                                : value_for(*from, into_.columns()[index].form, storage);
          if (text) {
            values.emplace_back(std::string(*text));
          } else {
            values.emplace_back(std::nullopt);
          }
        }
      }
      all.emplace_back(sql, std::move(values));
    }
  }
  statements_with_ = all.size();
  if (!behind.empty()) all.emplace_back(std::string(behind));
  co_await base_.pipeline(all);
}

// A row without any field, in a table all of whose columns have defaults.
task<> loader::insert_defaults(std::size_t rows, std::string_view behind) {
  statements_before_ = queued_.size();
  std::string sql = joined(std::exchange(queued_, {}));
  for (std::size_t i = 0; i < rows; ++i) {
    sql += "INSERT INTO " + into_.sql_name() + " DEFAULT VALUES;";
  }
  statements_with_ = statements_before_ + rows;
  sql += behind;
  all_sent_ = !behind.empty();
  const std::vector<result> all = co_await base_.script(std::move(sql));
  last_command_ = all.back().command();
}

}  // namespace brigade::postgres
