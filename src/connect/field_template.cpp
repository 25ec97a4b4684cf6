#include "connect/field_template.hpp"

#include "connect/json_text.hpp"

#include <algorithm>
#include <utility>

namespace brigade {
namespace {

bool is_name_character(char c, bool first) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  return letter || (!first && c >= '0' && c <= '9');
}

/// The name in the `{name}` at the front of `text`; empty when there is none.
std::string_view name_in_braces(std::string_view text) {
  std::size_t end = 1;
  while (end < text.size() && is_name_character(text[end], end == 1)) ++end;
  const bool closed = end > 1 && end < text.size() && text[end] == '}';
  return closed && text.front() == '{' ? text.substr(1, end - 1) : std::string_view{};
}

}  // namespace

std::vector<template_piece> split_template(std::string_view text) {
  std::vector<template_piece> result;
  std::string literal;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view doubled =
        rest.front() == '{' ? name_in_braces(rest.substr(1)) : std::string_view{};
    if (!doubled.empty() && rest.substr(doubled.size() + 3).starts_with('}')) {
      literal += "{" + std::string(doubled) + "}";
      rest.remove_prefix(doubled.size() + 4);
    } else if (const std::string_view name = name_in_braces(rest); !name.empty()) {
      if (!literal.empty()) result.push_back({false, std::exchange(literal, {})});
      result.push_back({true, std::string(name)});
      rest.remove_prefix(name.size() + 2);
    } else {
      literal += rest.front();
      rest.remove_prefix(1);
    }
  }
  if (!literal.empty() || result.empty()) result.push_back({false, std::move(literal)});
  return result;
}

std::map<std::string, std::string, std::less<>> fields_of(std::string_view item,
                                                          const std::vector<std::string>& names) {
  std::map<std::string, std::string, std::less<>> values;
  if (json_text::kind_of(item) != json_text::kind::object) return values;
  std::string storage;
  json_text::object_reader reader(item);
  while (reader.next()) {
    const std::string_view name = json_text::unquoted(reader.key(), storage);
    if (std::ranges::find(names, name) == names.end()) continue;
    values.insert_or_assign(std::string(name), plain_text(reader.value()));
  }
  return values;
}

std::string plain_text(std::string_view json_value) {
  if (json_value.empty() || json_value.front() != '"') return std::string(json_value);
  std::string storage;
  return std::string(json_text::unquoted(json_value, storage));
}

}  // namespace brigade
