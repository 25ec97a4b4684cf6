#include "connect/json_text.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace brigade::json_text {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

void drop_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

// The length of the string that `text` begins with, quotes included.
std::size_t string_length(std::string_view text) {
  std::size_t at = 1;
  for (;;) {
    const void* const quote =
        at < text.size() ? std::memchr(text.data() + at, '"', text.size() - at) : nullptr;
    if (quote == nullptr) return text.size();
    const auto found = static_cast<std::size_t>(static_cast<const char*>(quote) - text.data());
    std::size_t first_backslash = found;
    while (first_backslash > 1 && text[first_backslash - 1] == '\\') --first_backslash;
    at = found + 1;
    if ((found - first_backslash) % 2 == 0) return at;
  }
}

std::size_t container_length(std::string_view text) {
  std::size_t depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    switch (text[at]) {
      case '"':
        at += string_length(text.substr(at)) - 1;
        break;
      case '{':
      case '[':
        ++depth;
        break;
      case '}':
      case ']':
        if (--depth == 0) return at + 1;
        break;
      default:
        break;
    }
  }
  return text.size();
}

std::size_t scalar_length(std::string_view text) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == ',' || c == '}' || c == ']' || is_blank(c)) break;
  }
  return at;
}

// Behind a value or an opening bracket: to the next value, or false at the closing one.
bool to_next(std::string_view& rest, char close) {
  drop_blanks(rest);
  if (!rest.empty() && rest.front() == ',') rest.remove_prefix(1);
  drop_blanks(rest);
  return !rest.empty() && rest.front() != close;
}

std::string_view take_value(std::string_view& rest) {
  const std::string_view value = leading_value(rest);
  rest.remove_prefix(value.size());
  return value;
}

unsigned hex_unit(std::string_view digits) {
  unsigned unit = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
  return unit;
}

void append_utf8(std::string& to, unsigned code) {
  const auto put = [&to](unsigned byte) { to.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// Takes one escape from the front of `rest` and appends what it means.
void append_escape(std::string& to, std::string_view& rest) {
  const char letter = rest.size() > 1 ? rest[1] : '\\';
  std::size_t taken = 2;
  switch (letter) {
    case 'b':
      to.push_back('\b');
      break;
    case 'f':
      to.push_back('\f');
      break;
    case 'n':
      to.push_back('\n');
      break;
    case 'r':
      to.push_back('\r');
      break;
    case 't':
      to.push_back('\t');
      break;
    case 'u': {
      unsigned code = hex_unit(rest.substr(2, 4));
      taken = 6;
      if (code >= 0xD800 && code <= 0xDBFF && rest.size() >= 12) {
        code = 0x10000 + ((code - 0xD800) << 10) + (hex_unit(rest.substr(8, 4)) - 0xDC00);
        taken = 12;
      }
      append_utf8(to, code);
      break;
    }
    default:
      to.push_back(letter);
  }
  rest.remove_prefix(taken < rest.size() ? taken : rest.size());
}

// A decimal number as digits without zeros at either end, and the exponent of the first digit.
struct decimal {
  std::string digits;
  long long exponent = 0;
  bool operator==(const decimal&) const = default;
};

decimal to_decimal(std::string_view number) {
  decimal result;
  long long behind_point = 0;
  bool point = false;
  std::size_t at = !number.empty() && number.front() == '-' ? 1 : 0;
  for (; at < number.size() && (is_digit(number[at]) || number[at] == '.'); ++at) {
    if (number[at] == '.') {
      point = true;
      continue;
    }
    if (number[at] != '0' || !result.digits.empty()) result.digits.push_back(number[at]);
    if (point) ++behind_point;
  }
  long long exponent = 0;
  if (at < number.size()) {
    ++at;
    if (at < number.size() && number[at] == '+') ++at;
    const char* const end = number.data() + number.size();
    if (std::from_chars(number.data() + at, end, exponent).ec != std::errc{}) {
      exponent = number[at] == '-' ? -(1LL << 40) : 1LL << 40;
    }
  }
  result.exponent = static_cast<long long>(result.digits.size()) + exponent - behind_point;
  while (!result.digits.empty() && result.digits.back() == '0') result.digits.pop_back();
  if (result.digits.empty()) result.exponent = 0;
  return result;
}

}  // namespace

kind kind_of(std::string_view value) {
  switch (value.empty() ? 'n' : value.front()) {
    case 'n':
      return kind::null;
    case 'f':
      return kind::boolean_false;
    case 't':
      return kind::boolean_true;
    case '"':
      return kind::string;
    case '[':
      return kind::array;
    case '{':
      return kind::object;
    default:
      return kind::number;
  }
}

std::string_view kind_name(kind what) {
  constexpr std::array<std::string_view, 7> names = {"null",   "boolean", "boolean", "number",
                                                     "string", "array",   "object"};
  return names[static_cast<std::size_t>(what)];
}

std::string_view trimmed(std::string_view text) {
  drop_blanks(text);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view leading_value(std::string_view text) {
  if (text.empty()) return text;
  switch (text.front()) {
    case '"':
      return text.substr(0, string_length(text));
    case '{':
    case '[':
      return text.substr(0, container_length(text));
    default:
      return text.substr(0, scalar_length(text));
  }
}

object_reader::object_reader(std::string_view object) : rest_(object) {
  if (!rest_.empty()) rest_.remove_prefix(1);
}

bool object_reader::next() {
  if (!to_next(rest_, '}')) return false;
  take_member(leading_value(rest_).size());
  return true;
}

bool object_reader::next_if(std::string_view key) {
  const std::string_view before = rest_;
  if (to_next(rest_, '}') && rest_.starts_with(key)) {
    take_member(key.size());
    return true;
  }
  rest_ = before;
  return false;
}

void object_reader::take_member(std::size_t key_size) {
  key_ = rest_.substr(0, key_size);
  rest_.remove_prefix(key_size);
  drop_blanks(rest_);
  if (!rest_.empty()) rest_.remove_prefix(1);
  drop_blanks(rest_);
  value_ = take_value(rest_);
}

unsigned object_shape::learn(std::string_view object, std::size_t names) {
  std::vector<std::string> keys;
  object_reader members(object);
  while (members.next()) {
    if (members.key().find('\\') != std::string_view::npos) return 0;
    keys.emplace_back(members.key());
  }
  if (keys.size() != names) return 0;
  keys_ = std::move(keys);
  return ++version_;
}

array_reader::array_reader(std::string_view array) : rest_(array) {
  if (!rest_.empty()) rest_.remove_prefix(1);
}

bool array_reader::next() {
  if (!to_next(rest_, ']')) return false;
  value_ = take_value(rest_);
  return true;
}

std::optional<std::string_view> member(std::string_view object, std::string_view key) {
  std::optional<std::string_view> found;
  std::string storage;
  object_reader members(object);
  while (members.next()) {
    if (unquoted(members.key(), storage) == key) found = members.value();
  }
  return found;
}

std::string_view unquoted(std::string_view quoted, std::string& storage) {
  if (quoted.size() < 2) return {};
  std::string_view rest = quoted.substr(1, quoted.size() - 2);
  std::size_t backslash = rest.find('\\');
  if (backslash == std::string_view::npos) return rest;
  storage.clear();
  for (; backslash != std::string_view::npos; backslash = rest.find('\\')) {
    storage.append(rest.substr(0, backslash));
    rest.remove_prefix(backslash);
    append_escape(storage, rest);
  }
  storage.append(rest);
  return storage;
}

bool survives_double(std::string_view number) {
  constexpr std::size_t always_safe = 15;  // that many digits fit every double
  if (number.size() <= always_safe && number.find_first_of("eE") == std::string_view::npos) {
    return true;
  }
  double value = 0;
  const char* const end = number.data() + number.size();
  const decimal wanted = to_decimal(number);
  if (std::from_chars(number.data(), end, value).ec != std::errc{}) return wanted.digits.empty();
  std::array<char, 32> shortest{};
  const auto written = std::to_chars(shortest.data(), shortest.data() + shortest.size(), value,
                                     std::chars_format::scientific);
  return to_decimal({shortest.data(), static_cast<std::size_t>(written.ptr - shortest.data())}) ==
         wanted;
}

std::optional<std::int64_t> to_int64(std::string_view number) {
  std::int64_t value = 0;
  const char* const end = number.data() + number.size();
  const auto read = std::from_chars(number.data(), end, value);
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return value;
}

std::optional<double> to_double(std::string_view number) {
  double value = 0;
  const auto read = std::from_chars(number.data(), number.data() + number.size(), value);
  if (read.ec == std::errc{}) return value;
  const std::size_t exponent = number.find_first_of("eE");
  if (exponent == std::string_view::npos) return std::nullopt;
  // Out of range: too near to zero for a double, or too far from it.
  return number.substr(exponent + 1).starts_with('-') ? std::optional<double>(0) : std::nullopt;
}

bool is_integer(std::string_view number) {
  return number.find_first_of(".eE") == std::string_view::npos;
}

}  // namespace brigade::json_text
