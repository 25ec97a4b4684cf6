#include "connect/socket_format.hpp"

#include "connect/json_text.hpp"
#include "connect/text_lines.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/connect/syslog.hpp>

#include <array>

namespace brigade {
namespace {

constexpr char whole_mark = 'w';
constexpr char cut_mark = 'c';

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view three = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t n = 0; n < 3; ++n) {
      bits = bits << 8U | (n < three.size() ? static_cast<unsigned char>(three[n]) : 0U);
    }
    for (std::size_t n = 0; n < 4; ++n) {
      text.push_back(n <= three.size() ? digits[bits >> (18 - 6 * n) & 63U] : '=');
    }
  }
  return text;
}

socket_item decode_syslog(std::string_view bytes) {
  if (const std::size_t valid = valid_utf8_prefix(bytes); valid != bytes.size()) {
    return {record::line(bytes), "not UTF-8 at byte " + std::to_string(valid)};
  }
  std::string json = "{";
  if (auto wrong = append_syslog(bytes, json)) return {record::line(bytes), std::move(wrong)};
  json.push_back('}');
  return {record::json(json), std::nullopt};
}

socket_item decode(socket_format format, const record& value, std::uint64_t bytes_max) {
  switch (format) {
    case socket_format::syslog:
      if (value.what() == record::shape::line) return decode_syslog(value.raw());
      break;
    case socket_format::bytes:
      if (value.what() == record::shape::line) {
        return {record::json("{\"bytes\":\"" + base64(value.raw()) + "\"}"), std::nullopt};
      }
      break;
    case socket_format::lines:
    case socket_format::ndjson:
      break;
  }
  const line_format lines =
      format == socket_format::ndjson ? line_format::ndjson : line_format::lines;
  decoded_line decoded = decode_again(lines, value, bytes_max);
  return {std::move(decoded.value), std::move(decoded.undecodable)};
}

}  // namespace

bool is_skipped(socket_format format, const socket_frame& frame) {
  const bool may_be_blank = format == socket_format::lines || format == socket_format::bytes;
  return !may_be_blank && !frame.cut && json_text::trimmed(frame.bytes).empty();
}

std::string pack_frame(const socket_frame& frame) {
  if (frame.cut) return cut_mark + text_of(record::cut(frame.bytes, frame.whole_bytes, 0));
  std::string packed;
  packed.reserve(frame.bytes.size() + 1);
  packed.push_back(whole_mark);
  packed.append(frame.bytes);
  return packed;
}

socket_item unpack_frame(socket_format format, std::string_view packed, std::uint64_t bytes_max) {
  BRIGADE_ASSERT(!packed.empty(), "unpack_frame: what no pack_frame made");
  const std::string_view rest = packed.substr(1);
  const record value = packed.front() == cut_mark ? record::from_text(rest) : record::line(rest);
  return decode(format, value, bytes_max);
}

socket_item decode_again(socket_format format, const record& value, std::uint64_t bytes_max) {
  if (value.what() == record::shape::json) return {value, std::nullopt};
  return decode(format, value, bytes_max);
}

}  // namespace brigade
