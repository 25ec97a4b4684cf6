#include "connect/file_rows.hpp"

#include "connect/file_csv.hpp"
#include "connect/json_text.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace brigade {
namespace {

void append_line(std::string& to, const record& value) {
  if (value.what() == record::shape::line) {
    to += value.raw();
    return;
  }
  const std::string json = value.json_text();
  const std::string_view text = json_text::trimmed(json);
  const bool is_object = json_text::kind_of(text) == json_text::kind::object;
  const auto line = is_object ? json_text::member(text, "line") : std::nullopt;
  if (!line || json_text::kind_of(*line) != json_text::kind::string) {
    throw permanent_error("it has no text in .line to write as a line; use format: ndjson");
  }
  std::string storage;
  const std::string_view unquoted = json_text::unquoted(*line, storage);
  if (unquoted.find('\n') != std::string_view::npos) {
    throw permanent_error("its .line holds a newline, so it is no line; use format: ndjson");
  }
  to += unquoted;
}

/// What stands in a cell for a JSON value: text as such, nothing for null, else the JSON.
std::string_view cell_of(std::string_view value, std::string& storage) {
  switch (json_text::kind_of(value)) {
    case json_text::kind::string:
      return json_text::unquoted(value, storage);
    case json_text::kind::null:
      return {};
    default:
      return value;
  }
}

std::string row_of(std::span<const std::string> cells) {
  std::string row;
  for (const std::string& cell : cells) {
    if (&cell != cells.data()) row.push_back(',');
    append_csv_field(row, cell);
  }
  if (row.empty()) row = R"("")";  // an empty line would be no row
  return row;
}

/// The first row of a CSV file, as far as it is here.
std::vector<std::string> header_of(std::string_view beginning) {
  csv_splitter splitter(0, row_maker::header_bytes_max);
  splitter.feed(beginning);
  const auto header = splitter.next();
  csv_row fields;
  if (!header || header->cut || !valid_utf8(header->text) || fields.read(header->text)) return {};
  return {fields.fields().begin(), fields.fields().end()};
}

bool has_repeated(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) != names.end();
}

std::vector<std::string> columns_to_go_on_with(std::string_view beginning) {
  std::vector<std::string> columns = header_of(beginning);
  if (!columns.empty() && !has_repeated(columns)) return columns;
  throw std::runtime_error("has no header of CSV to go on with: move it away, or write to another");
}

[[noreturn]] void refuse_columns(std::span<const std::string> there,
                                 std::span<const std::string> wanted) {
  throw std::runtime_error("has the columns " + row_of(there) + ", not " + row_of(wanted) +
                           ": move it away, or write to another");
}

}  // namespace

row_maker::row_maker(row_format format, std::vector<std::string> columns)
    : format_(format), chosen_(!columns.empty()) {
  set_columns(std::move(columns));
}

void row_maker::set_columns(std::vector<std::string> columns) {
  columns_ = std::move(columns);
  place_.clear();
  for (std::size_t i = 0; i < columns_.size(); ++i) place_.emplace(columns_[i], i);
}

rows row_maker::make(std::span<const sink_item> batch) {
  rows result;
  result.failures.resize(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const std::size_t before = result.text.size();
    try {
      append(result.text, batch[i].value->get<record>());
      result.text.push_back('\n');
    } catch (const permanent_error& error) {
      result.text.resize(before);
      result.failures[i].emplace(verdict::permanent, error.what());
    }
  }
  return result;
}

void row_maker::append(std::string& to, const record& value) {
  switch (format_) {
    case row_format::ndjson:
      return value.append_json_text(to);
    case row_format::lines:
      return append_line(to, value);
    case row_format::csv:
      return append_csv(to, value);
  }
}

void row_maker::append_csv(std::string& to, const record& value) {
  const std::string json = value.json_text();
  const std::string_view object = json_text::trimmed(json);
  if (json_text::kind_of(object) != json_text::kind::object) {
    throw permanent_error("it is no object, so it has no columns: '" + excerpt(object) + "'");
  }
  std::vector<std::string> names;
  std::vector<std::string> cells(columns_.size());
  std::string storage;
  json_text::object_reader members(object);
  while (members.next()) {
    const std::string_view name = json_text::unquoted(members.key(), storage);
    auto found = place_.find(name);
    if (found == place_.end()) {
      if (chosen_) continue;
      if (!columns_.empty()) {
        throw permanent_error("its field '" + excerpt(name) +
                              "' is no column of the file; name the columns to write in 'columns'");
      }
      const auto known = std::find(names.begin(), names.end(), name);
      const auto at = static_cast<std::size_t>(known - names.begin());
      if (known == names.end()) {
        names.emplace_back(name);
        cells.emplace_back();
      }
      cells[at] = cell_of(members.value(), storage);
      continue;
    }
    cells[found->second] = cell_of(members.value(), storage);
  }
  if (columns_.empty()) {
    if (names.empty()) throw permanent_error("it has no fields to name the columns after");
    set_columns(std::move(names));
  }
  to += row_of(cells);
}

std::string row_maker::header() const {
  return columns_.empty() ? std::string{} : row_of(columns_) + "\n";
}

void row_maker::go_on(std::string_view beginning) {
  if (format_ != row_format::csv || beginning.empty()) return;
  std::vector<std::string> columns = columns_to_go_on_with(beginning);
  if (chosen_ && columns != columns_) refuse_columns(columns, columns_);
  set_columns(std::move(columns));
}

void check_header(std::string_view beginning, std::string_view header) {
  const std::vector<std::string> there = columns_to_go_on_with(beginning);
  const std::vector<std::string> wanted = header_of(header);
  if (there != wanted) refuse_columns(there, wanted);
}

std::size_t end_of_row(row_format format, std::string_view text, std::size_t at) {
  if (format != row_format::csv) return std::min(text.find('\n', at), text.size() - 1) + 1;
  bool quoted = false;  // in rows of ours a quote in a field is doubled: it opens and closes
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (text[i] == '\n' && !quoted && i >= at) return i + 1;
  }
  return text.size();
}

}  // namespace brigade
