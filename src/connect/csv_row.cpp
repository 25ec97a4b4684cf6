#include "connect/csv_row.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/config_spec.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace brigade {
namespace {

std::string counted(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

// Every name once, and none without text.
std::vector<std::string> apart(std::vector<std::string> names) {
  std::set<std::string, std::less<>> taken(names.begin(), names.end());
  std::set<std::string, std::less<>> seen;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool is_empty = names[i].empty();
    const std::string wanted = is_empty ? std::to_string(i + 1) : names[i];
    if (is_empty ? taken.insert(wanted).second : seen.insert(wanted).second) {
      names[i] = wanted;
      continue;
    }
    std::size_t number = 2;
    while (!taken.insert(wanted + "_" + std::to_string(number)).second) ++number;
    names[i] = wanted + "_" + std::to_string(number);
  }
  return names;
}

}  // namespace

std::optional<std::string> csv_row::read(std::string_view text) {
  fields_.clear();
  unquoted_.clear();
  unquoted_.reserve(text.size());  // never grows: views into it stay valid
  const bool has_newline = text.find('\n') != std::string_view::npos;
  for (std::size_t at = 0;;) {
    if (at < text.size() && text[at] == '"') {
      if (auto why = read_quoted(text, at)) return why;
    } else {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      fields_.push_back(text.substr(at, comma - at));
      if (has_newline && fields_.back().find('\n') != std::string_view::npos) {
        return "field " + std::to_string(fields_.size()) + " has a newline outside of quotes";
      }
      at = comma;
    }
    if (at == text.size()) return std::nullopt;
    ++at;  // the comma
  }
}

// From the opening quote to the comma behind the closing one, or the end.
std::optional<std::string> csv_row::read_quoted(std::string_view text, std::size_t& at) {
  const std::size_t number = fields_.size() + 1;
  std::size_t from = at + 1;
  const std::size_t kept = unquoted_.size();
  for (;;) {
    const std::size_t quote = text.find('"', from);
    if (quote == std::string_view::npos) {
      return "the quote of field " + std::to_string(number) + " is never closed";
    }
    const bool is_doubled = quote + 1 < text.size() && text[quote + 1] == '"';
    const bool is_whole = unquoted_.size() == kept && !is_doubled;
    if (is_whole) {
      fields_.push_back(text.substr(from, quote - from));
    } else {
      unquoted_.append(text, from, quote - from + (is_doubled ? 1 : 0));
    }
    from = quote + (is_doubled ? 2 : 1);
    if (is_doubled) continue;
    if (!is_whole) fields_.push_back(std::string_view(unquoted_).substr(kept));
    break;
  }
  if (from < text.size() && text[from] != ',') {
    return "field " + std::to_string(number) + " goes on behind its closing quote";
  }
  at = from;
  return std::nullopt;
}

csv_columns::csv_columns(std::vector<std::string> names, const value_types& types)
    : names_(apart(std::move(names))), types_(names_.size(), value_type::text) {
  for (const std::string& name : names_) keys_.push_back(json_quoted(name) + ":");
  for (const auto& [name, type] : types) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      throw config_error("types", "there is no column '" + name + "'");
    }
    types_[static_cast<std::size_t>(found - names_.begin())] = type;
  }
}

std::optional<std::string> csv_columns::append(std::span<const std::string_view> fields,
                                               std::string& to) const {
  const std::size_t before = to.size();
  const bool is_object = !names_.empty();
  if (is_object && fields.size() != names_.size()) {
    return counted(fields.size(), "field") + " in a row of " + counted(names_.size(), "column");
  }
  to.push_back(is_object ? '{' : '[');
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) to.push_back(',');
    if (!is_object) {
      append_json_quoted(to, fields[i]);
      continue;
    }
    to += keys_[i];
    if (const auto wanted = append_typed(to, types_[i], fields[i])) {
      to.resize(before);
      return not_of_type(names_[i], *wanted, fields[i]);
    }
  }
  to.push_back(is_object ? '}' : ']');
  return std::nullopt;
}

std::optional<std::string> append_csv_row(const csv_columns& columns, std::string_view text,
                                          std::string& to) {
  if (const std::size_t valid = valid_utf8_prefix(text); valid != text.size()) {
    return "invalid UTF-8 at byte " + std::to_string(valid + 1) + " of the row";
  }
  thread_local csv_row row;
  if (auto why = row.read(text)) return why;
  return columns.append(row.fields(), to);
}

void append_csv_field(std::string& to, std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    to += text;
    return;
  }
  to.push_back('"');
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t quote = std::min(text.find('"', at), text.size());
    to.append(text, at, quote - at);
    if (quote < text.size()) to += "\"\"";
    at = quote + 1;
  }
  to.push_back('"');
}

}  // namespace brigade
