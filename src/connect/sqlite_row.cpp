#include "connect/sqlite_row.hpp"

#include <brigade/connect/record.hpp>

#include <algorithm>

namespace brigade::sqlite {
namespace {

using json_text::kind;

char folded(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

std::string in_quotes(std::string_view name) { return "'" + excerpt(name) + "'"; }

}  // namespace

std::optional<std::string> row::set_number(cell& to, std::string_view number) {
  if (json_text::is_integer(number)) {
    const auto value = json_text::to_int64(number);
    if (!value) {
      return "field " + in_quotes(to.name) + " is " + excerpt(number) +
             ", beyond the integers of SQLite";
    }
    to.type = cell_type::integer;
    to.integer = *value;
    return std::nullopt;
  }
  const auto value = json_text::to_double(number);
  if (!value) {
    return "field " + in_quotes(to.name) + " is " + excerpt(number) +
           ", beyond the numbers of SQLite";
  }
  to.real = *value;
  to.type = cell_type::real;
  return std::nullopt;
}

bool same_column(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return folded(a) == folded(b); });
}

std::string folded(std::string_view name) {
  std::string text(name);
  for (char& c : text) c = folded(c);
  return text;
}

std::optional<std::string> row::read(std::string_view json, json_text::object_shape& shape) {
  storage_.clear();
  const std::string_view object = json_text::trimmed(json);
  if (json_text::kind_of(object) != kind::object) {
    cells_.clear();
    return "not a JSON object, so no row: '" + excerpt(object) + "'";
  }
  std::optional<std::string> problem;
  cells_.resize(shape.size());
  shape_ = shape.version();
  const bool has_shape =
      shape.read(object, [&](std::size_t at, std::string_view name, std::string_view value) {
        cells_[at].name = name;
        auto why = set_value(cells_[at], value);
        if (why && !problem) problem = std::move(why);
      });
  if (has_shape) {
    if (problem) cells_.clear();
    return problem;
  }
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

std::optional<std::string> row::set_value(cell& to, std::string_view value) {
  to.text = {};
  switch (const kind what = json_text::kind_of(value); what) {
    case kind::null:
      to.type = cell_type::null;
      break;
    case kind::boolean_false:
    case kind::boolean_true:
      to.type = cell_type::integer;
      to.integer = what == kind::boolean_true ? 1 : 0;
      break;
    case kind::number:
      return set_number(to, value);
    case kind::string:
      to.type = cell_type::text;
      to.text = unquoted(value);
      break;
    case kind::array:
    case kind::object:
      to.type = cell_type::text;
      to.text = value;
      break;
  }
  return std::nullopt;
}

std::optional<std::string> row::add(std::string_view key, std::string_view value) {
  cell next;
  next.name = unquoted(key);
  if (next.name.find('\0') != std::string_view::npos) {
    return "field " + in_quotes(next.name) + " has a NUL in its name, which no column can have";
  }
  if (auto why = set_value(next, value)) return why;
  const auto same = std::find_if(cells_.begin(), cells_.end(), [&](const cell& each) {
    return same_column(each.name, next.name);
  });
  if (same == cells_.end()) {
    cells_.push_back(next);
  } else if (same->name == next.name) {
    *same = next;
  } else {
    return "fields " + in_quotes(same->name) + " and " + in_quotes(next.name) +
           " are one column to SQLite";
  }
  return std::nullopt;
}

std::string_view row::unquoted(std::string_view quoted) {
  std::string unescaped;
  const std::string_view text = json_text::unquoted(quoted, unescaped);
  if (text.data() != unescaped.data()) return text;
  return storage_.emplace_back(std::move(unescaped));
}

}  // namespace brigade::sqlite
