#include "connect/typed_value.hpp"

#include "connect/json_text.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/config_spec.hpp>

#include <array>
#include <charconv>
#include <cmath>

namespace brigade {
namespace {

value_type type_of(const std::string& name, const std::string& word) {
  if (word == "text") return value_type::text;
  if (word == "int") return value_type::integer;
  if (word == "float") return value_type::decimal;
  if (word == "bool") return value_type::boolean;
  throw config_error("types",
                     "'" + word + "' of '" + name + "' is no type: int, float, bool or text");
}

}  // namespace

value_types read_types(const std::map<std::string, std::string>& words) {
  value_types types;
  for (const auto& [name, word] : words) types.emplace(name, type_of(name, word));
  return types;
}

std::optional<std::string_view> append_typed(std::string& to, value_type type,
                                             std::string_view text) {
  if (type == value_type::text) {
    append_json_quoted(to, text);
    return std::nullopt;
  }
  if (text.empty()) {
    to += "null";
    return std::nullopt;
  }
  if (type == value_type::boolean) {
    if (text != "true" && text != "false") return "true or false";
    to += text;
    return std::nullopt;
  }
  if (type == value_type::integer) {
    if (append_integer(to, text)) return std::nullopt;
    return "an integer";
  }
  if (append_float(to, text)) return std::nullopt;
  return "a number";
}

std::string not_of_type(std::string_view name, std::string_view wanted, std::string_view text) {
  return "'" + excerpt(name) + "' is not " + std::string(wanted) + ": '" + excerpt(text) + "'";
}

bool append_integer(std::string& to, std::string_view text) {
  const bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return false;
  }
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  if (negative) to.push_back('-');
  to += digits;
  return true;
}

bool append_float(std::string& to, std::string_view text) {
  const char* const end = text.data() + text.size();
  double value = 0;
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc{} || read.ptr != end || !std::isfinite(value)) return false;
  if (!json_text::check(text)) {
    to += text;  // as it was written: nothing is rounded
    return true;
  }
  std::array<char, 32> shortest{};
  const auto written = std::to_chars(shortest.data(), shortest.data() + shortest.size(), value);
  to.append(shortest.data(), written.ptr);
  return true;
}

}  // namespace brigade
