#include "connect/postgres_row.hpp"

#include <brigade/connect/record.hpp>

#include <algorithm>

namespace brigade::postgres {
namespace {

using json_text::kind;

constexpr std::size_t name_bytes_max = 63;  // what is longer is cut off by the server, unasked

std::string in_quotes(std::string_view name) { return "'" + excerpt(name) + "'"; }

std::optional<std::string> name_problem(std::string_view name) {
  if (name.empty()) return "a field has no name, which no column can have";
  if (name.find('\0') != std::string_view::npos) {
    return "field " + in_quotes(name) + " has a NUL in its name, which no column can have";
  }
  if (name.size() > name_bytes_max) {
    return "field " + in_quotes(name) + " has a name of " + std::to_string(name.size()) +
           " bytes; a column's has at most " + std::to_string(name_bytes_max);
  }
  return std::nullopt;
}

bool is_escaped(char c) { return c == '\n' || c == '\r' || c == '\t'; }

// `{1,NULL,"a \"b\"",{2}}`, as array_in reads it. What is nested more deeply than it can have it,
// is written no more deeply than it takes to be refused.
void append_array(std::string& to, std::string_view json, int depth = 1) {
  constexpr int dimensions_max = 6;
  to.push_back('{');
  json_text::array_reader elements(json);
  for (bool first = true; elements.next(); first = false) {
    if (!first) to.push_back(',');
    const std::string_view value = elements.value();
    const kind what = json_text::kind_of(value);
    if (what == kind::array && depth > dimensions_max) {
      to += "{}";
    } else if (what == kind::array) {
      append_array(to, value, depth + 1);
    } else if (what == kind::null) {
      to += "NULL";
    } else {
      std::string storage;
      const std::string_view text =
          what == kind::string ? json_text::unquoted(value, storage) : value;
      to.push_back('"');
      for (const char c : text) {
        if (c == '"' || c == '\\') to.push_back('\\');
        to.push_back(c);
      }
      to.push_back('"');
    }
  }
  to.push_back('}');
}

}  // namespace

std::optional<std::string> row::read(std::string_view json, json_text::object_shape& shape) {
  storage_.clear();
  const std::string_view object = json_text::trimmed(json);
  if (json_text::kind_of(object) != kind::object) {
    cells_.clear();
    return "not a JSON object, so no row: '" + excerpt(object) + "'";
  }
  if (read_as(shape, object)) return std::nullopt;
  cells_.clear();
  storage_.clear();
  json_text::object_reader members(object);
  while (members.next()) {
    if (auto why = add(members.key(), members.value())) {
      cells_.clear();
      return why;
    }
  }
  shape_ = shape.learn(object, cells_.size());
  return std::nullopt;
}

// False: its names are others.
bool row::read_as(const json_text::object_shape& shape, std::string_view object) {
  cells_.resize(shape.size());
  shape_ = shape.version();
  return shape.read(object, [&](std::size_t at, std::string_view name, std::string_view value) {
    cells_[at].name = name;
    set_value(cells_[at], value);
  });
}

void row::set_value(cell& to, std::string_view value) {
  to.kind = json_text::kind_of(value);
  to.json = value;
  to.text = to.kind == kind::string ? unquoted(value) : value;
}

std::optional<std::string> row::add(std::string_view key, std::string_view value) {
  cell next;
  next.name = unquoted(key);
  set_value(next, value);
  if (auto why = name_problem(next.name)) return why;
  const auto same = std::find_if(cells_.begin(), cells_.end(),
                                 [&](const cell& each) { return each.name == next.name; });
  if (same == cells_.end()) {
    cells_.push_back(next);
  } else {
    *same = next;
  }
  return std::nullopt;
}

std::string_view row::unquoted(std::string_view quoted) {
  std::string unescaped;
  const std::string_view text = json_text::unquoted(quoted, unescaped);
  if (text.data() != unescaped.data()) return text;
  return storage_.emplace_back(std::move(unescaped));
}

std::optional<std::string_view> value_for(const cell& from, column_form form,
                                          std::string& storage) {
  if (from.kind == kind::null) return std::nullopt;
  if (form == column_form::json) return from.json;
  if (form == column_form::array && from.kind == kind::array) {
    storage.clear();
    append_array(storage, from.json);
    return storage;
  }
  const bool is_boolean = from.kind == kind::boolean_true || from.kind == kind::boolean_false;
  if (is_boolean && form == column_form::number) {
    return from.kind == kind::boolean_true ? "1" : "0";
  }
  return from.text;
}

std::optional<std::string> value_problem(const cell& from, column_form form) {
  if (form == column_form::json || from.kind != kind::string) return std::nullopt;
  if (from.text.data() == from.json.data() + 1) return std::nullopt;  // it takes an escape
  if (from.text.find('\0') == std::string_view::npos) return std::nullopt;
  return "field " + in_quotes(from.name) + " has a NUL, which no text of PostgreSQL can have";
}

void append_copy_field(std::string& to, std::optional<std::string_view> value) {
  if (!value) {
    to += "\\N";
    return;
  }
  const std::string_view text = *value;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '\\' && (static_cast<unsigned char>(c) > '\r' || !is_escaped(c))) continue;
    to.append(text, done, at - done);
    to.push_back('\\');
    to.push_back(c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\');
    done = at + 1;
  }
  to.append(text, done, text.size() - done);
}

}  // namespace brigade::postgres
