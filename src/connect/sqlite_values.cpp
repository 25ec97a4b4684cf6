#include "connect/sqlite_values.hpp"

#include "connect/json_text.hpp"
#include "connect/sqlite_row.hpp"

#include <brigade/connect/record.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace brigade::sqlite {
namespace {

std::string_view bytes_of(const void* data, int size) {
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

std::string_view blob_of(sqlite3_stmt* rows, int column) {
  const void* const data = sqlite3_column_blob(rows, column);
  return bytes_of(data, sqlite3_column_bytes(rows, column));
}

std::string_view text_of(sqlite3_stmt* rows, int column) {
  const void* const data = sqlite3_column_text(rows, column);
  return bytes_of(data, sqlite3_column_bytes(rows, column));
}

std::string in_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "\\x";
  text.reserve(2 + 2 * bytes.size());
  for (const char each : bytes) {
    const auto byte = static_cast<unsigned char>(each);
    text.push_back(digits[byte >> 4U]);
    text.push_back(digits[byte & 15U]);
  }
  return text;
}

template <class Number>
std::string_view digits_of(Number value, std::array<char, 32>& room) {
  char* const end = std::to_chars(room.data(), room.data() + room.size(), value).ptr;
  return {room.data(), static_cast<std::size_t>(end - room.data())};
}

}  // namespace

row_reader::row_reader(const statement& rows, int first) : first_(first) {
  for (int at = first; at < sqlite3_column_count(rows.handle()); ++at) {
    column next;
    next.name = sqlite3_column_name(rows.handle(), at);
    next.key = json_quoted(next.name) + ":";
    const char* const declared = sqlite3_column_decltype(rows.handle(), at);
    const std::string type = folded(declared != nullptr ? declared : "");
    if (type == "boolean" || type == "bool") next.what = kind::boolean;
    if (type == "json") next.what = kind::json;
    columns_.push_back(std::move(next));
  }
}

rows::row row_reader::read(const statement& rows, std::uint64_t number, std::string id) {
  json_ = "{";
  problem_.clear();
  for (std::size_t n = 0; n < columns_.size(); ++n) {
    if (n > 0) json_.push_back(',');
    json_ += columns_[n].key;
    append(rows, first_ + static_cast<int>(n), columns_[n]);
  }
  json_.push_back('}');
  if (problem_.empty()) return rows::row(number, std::move(id), record::json(json_));
  rows::row bad(number, std::move(id), record::line(json_));
  bad.undecodable = problem_;
  return bad;
}

void row_reader::append(const statement& rows, int at, const column& of) {
  sqlite3_stmt* const from = rows.handle();
  std::array<char, 32> room{};
  switch (sqlite3_column_type(from, at)) {
    case SQLITE_INTEGER: {
      const std::int64_t value = sqlite3_column_int64(from, at);
      const bool is_truth = of.what == kind::boolean && (value == 0 || value == 1);
      json_ += is_truth ? std::string_view(value == 1 ? "true" : "false") : digits_of(value, room);
      break;
    }
    case SQLITE_FLOAT:
      append_real(sqlite3_column_double(from, at), of);
      break;
    case SQLITE_TEXT:
      append_text(text_of(from, at), of);
      break;
    case SQLITE_BLOB:
      append_json_quoted(json_, in_hex(blob_of(from, at)));
      break;
    default:
      json_ += "null";
  }
}

void row_reader::append_real(double value, const column& of) {
  std::array<char, 32> room{};
  const std::string_view digits = digits_of(value, room);
  json_ += digits;
  if (!std::isfinite(value)) {
    problem_ = "column '" + excerpt(of.name) + "' is infinite, which no JSON number is";
  } else if (digits.find_first_of(".e") == std::string_view::npos) {
    json_ += ".0";
  }
}

void row_reader::append_text(std::string_view text, const column& of) {
  if (!valid_utf8(text)) {
    problem_ = "column '" + excerpt(of.name) + "' is not UTF-8: '" + excerpt(text) + "'";
    json_ += text;
  } else if (of.what == kind::json && !json_text::check(text)) {
    const std::size_t from = json_.size();
    json_ += text;
    // Outside of its strings JSON does not mind, and an item is one line.
    std::replace_if(
        json_.begin() + static_cast<std::ptrdiff_t>(from), json_.end(),
        [](char c) { return c == '\n' || c == '\r'; }, ' ');
  } else {
    append_json_quoted(json_, text);
  }
}

std::string key_text(const statement& rows, int column) {
  if (sqlite3_column_type(rows.handle(), column) == SQLITE_BLOB) {
    return in_hex(blob_of(rows.handle(), column));
  }
  return std::string(text_of(rows.handle(), column));
}

}  // namespace brigade::sqlite
