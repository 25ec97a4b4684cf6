#include "pipeline/text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <iterator>

namespace brigade::detail {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

/// Length of the well-formed character at the front of `bytes`; 0 when there is none.
std::size_t character_length(std::string_view bytes) {
  const auto at = [&](std::size_t index) { return static_cast<unsigned char>(bytes[index]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80;  // bounds of the second byte: no overlong forms, no surrogates
  unsigned char high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  }
  if (length == 0 || bytes.size() < length || at(1) < low || at(1) > high) return 0;
  for (std::size_t index = 2; index < length; ++index) {
    if (at(index) < 0x80 || at(index) > 0xBF) return 0;
  }
  return length;
}

/// Calls `use` with each well-formed character, and with U+FFFD for each byte that is in none.
template <class Use>
void for_each_character(std::string_view bytes, Use use) {
  while (!bytes.empty()) {
    const std::size_t length = character_length(bytes);
    use(length == 0 ? replacement : bytes.substr(0, length));
    bytes.remove_prefix(length == 0 ? 1 : length);
  }
}

}  // namespace

bool is_plain_text(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = character_length(bytes);
    if (length == 0 || bytes.front() == '\0') return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string as_utf8(std::string_view bytes) {
  std::string result;
  result.reserve(bytes.size());
  for_each_character(bytes, [&](std::string_view character) { result += character; });
  return result;
}

std::string as_json(std::string_view bytes) {
  std::string result = "\"";
  for_each_character(bytes, [&](std::string_view character) {
    const unsigned char first = static_cast<unsigned char>(character.front());
    if (first == '"' || first == '\\') {
      result += '\\';
      result += character;
    } else if (first == '\n') {
      result += "\\n";
    } else if (first == '\t') {
      result += "\\t";
    } else if (first < 0x20 || first == 0x7F) {
      fmt::format_to(std::back_inserter(result), "\\u{:04x}", first);
    } else {
      result += character;
    }
  });
  result += '"';
  return result;
}

std::string iso_utc(std::chrono::system_clock::time_point at) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(at);
  const auto millis = std::chrono::floor<std::chrono::milliseconds>(at - whole).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(whole)), millis);
}

}  // namespace brigade::detail
