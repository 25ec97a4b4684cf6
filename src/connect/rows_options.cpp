#include "connect/rows_options.hpp"

#include <algorithm>
#include <string_view>

namespace brigade::rows {
namespace {

constexpr std::chrono::milliseconds shortest_lease{1000};
constexpr std::chrono::minutes patience_of_finite{5};

field_spec text_field(std::string name, std::string doc, std::string example) {
  return field_spec{.name = std::move(name),
                    .type = field_type::text,
                    .fallback = {},
                    .doc = std::move(doc),
                    .example = std::move(example)};
}

field_spec duration_field(std::string name, std::string doc, std::string example) {
  return field_spec{.name = std::move(name),
                    .type = field_type::duration,
                    .fallback = {},
                    .doc = std::move(doc),
                    .example = std::move(example)};
}

std::string optional_text(const settings& given, const std::string& field) {
  if (!given.has(field)) return {};
  const std::string& text = given.text(field);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
    throw config_error(field, "'" + field + "' is empty");
  }
  return text;
}

void refuse(const settings& given, const std::string& field, const std::string& why) {
  if (given.has(field)) throw config_error(field, "'" + field + "' " + why);
}

void check_claim(const settings& given, const table_options& options) {
  refuse(given, "query", "is for 'by: cursor': rows are claimed in a table");
  refuse(given, "lag", "is for 'by: cursor': a claim finds a row however late it comes");
  if (options.lease < shortest_lease) {
    throw config_error("lease", "a lease is at least 1s long: it is renewed three times in it");
  }
}

void check_cursor(const settings& given) {
  refuse(given, "order", "is for 'by: claim': a cursor goes by the id");
  refuse(given, "lease", "is for 'by: claim': a cursor claims nothing");
}

}  // namespace

std::string table_options::front() const {
  std::string name = table.empty() ? "query" : table;
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return c == ' ' || c == '/' || c == ':' || c == '\n' || c == '\t'; }, '_');
  return source + ":" + name;
}

std::string table_options::fingerprint(const std::string& where_it_is) const {
  return where_it_is + (by == reading::claim ? " claim " : " cursor ") +
         (table.empty() ? query : table) + (id.empty() ? "" : " by " + id);
}

std::vector<field_spec> table_fields(const std::string& poll_doc) {
  return {
      field_spec{.name = "table",
                 .type = field_type::text,
                 .fallback = {},
                 .doc = "The table; schema.table where need be. This or query.",
                 .example = "orders",
                 .usual = true},
      text_field("query", "With by: cursor, instead of a table: a SELECT that gives the id too.",
                 "SELECT id, total FROM orders JOIN customers USING (customer)"),
      field_spec{.name = "by",
                 .type = field_type::choice,
                 .fallback = {},
                 .doc =
                     "cursor reads on behind the last id; claim marks each row as taken and done, "
                     "and shares the table with others who claim.",
                 .required = true,
                 .choices = {"claim", "cursor"}},
      field_spec{.name = "mode",
                 .type = field_type::choice,
                 .fallback = "once",
                 .doc = "once ends when nothing is left; tail waits for more.",
                 .choices = {"once", "tail"}},
      text_field("id", "A column without repetitions, of a cursor one that grows; the primary key.",
                 "id"),
      field_spec{.name = "columns",
                 .type = field_type::text_list,
                 .fallback = {},
                 .doc = "Which columns an item has; all.",
                 .example = "[id, total]"},
      text_field("where", "SQL that a row must meet.", "status = 'new'"),
      text_field("order", "With by: claim, SQL by which rows are taken; the id.", "priority DESC"),
      duration_field("poll", poll_doc, "5s"),
      duration_field("lease", "With by: claim, how long rows stay with one who is gone; 30s.",
                     "2m"),
      duration_field(
          "lag", "With by: cursor, how long a smaller id may come after a larger one; 0s.", "10s")};
}

table_options table_options_of(const settings& given, const component_context& context) {
  table_options options;
  options.pipeline = context.pipeline;
  options.source = context.name;
  options.by = given.text("by") == "claim" ? reading::claim : reading::cursor;
  options.tail = given.text("mode") == "tail";
  const std::chrono::milliseconds usual =
      options.tail ? std::chrono::milliseconds(0) : patience_of_finite;
  options.give_up_after = context.give_up_after.value_or(usual);
  options.table = optional_text(given, "table");
  options.query = optional_text(given, "query");
  options.id = optional_text(given, "id");
  options.where = optional_text(given, "where");
  options.order = optional_text(given, "order");
  if (given.has("columns")) options.columns = given.list("columns");
  for (const std::string& column : options.columns) {
    if (column.empty()) throw config_error("columns", "a name is empty");
  }
  if (given.has("poll")) options.poll = given.duration("poll");
  if (given.has("lease")) options.lease = given.duration("lease");
  if (given.has("lag")) options.lag = given.duration("lag");
  if (options.poll.count() < 1) throw config_error("poll", "'poll' must be at least 1ms");
  if (options.by == reading::claim) {
    check_claim(given, options);
  } else {
    check_cursor(given);
  }
  if (options.table.empty() == options.query.empty()) {
    throw config_error("table", options.table.empty() ? "'table' or 'query' says what to read"
                                                      : "it takes 'table' or 'query', not both");
  }
  if (!options.query.empty() && options.id.empty()) {
    throw config_error("id", "a 'query' needs 'id': the column of it that grows");
  }
  if (options.table.starts_with("_brigade_")) {
    throw config_error("table", "'" + options.table + "' is a reserved name");
  }
  return options;
}

}  // namespace brigade::rows
