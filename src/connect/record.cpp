#include <brigade/connect/record.hpp>
#include <brigade/pipeline/stage.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>
#include <optional>

namespace brigade {
namespace {

constexpr std::string_view line_form = "line:";
constexpr std::string_view bytes_form = "bytes:";
constexpr std::string_view cut_form = "cut:";
constexpr std::string_view hex_digits = "0123456789abcdef";

unsigned char byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

// The length of the sequence at `at`, which is not ASCII; 0: it is ill-formed (Unicode, table 3-7).
std::size_t sequence_length(std::string_view text, std::size_t at) {
  const unsigned char lead = byte_at(text, at);
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  }
  if (length == 0 || text.size() - at < length) return 0;
  if (byte_at(text, at + 1) < low || byte_at(text, at + 1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte_at(text, at + i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7F;
}

bool printable(std::string_view text) {
  for (const char c : text) {
    if (is_control(c) && c != '\t') return false;
  }
  return valid_utf8(text);
}

void append_hex(std::string& to, char c) {
  const auto byte = static_cast<unsigned char>(c);
  to += "\\x";
  to.push_back(hex_digits[byte >> 4]);
  to.push_back(hex_digits[byte & 0xF]);
}

std::string escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size() + 16);
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const std::size_t length = byte_at(text, at) < 0x80 ? 1 : sequence_length(text, at);
    if (length == 0 || (is_control(c) && c != '\t')) {
      append_hex(result, c);
      ++at;
      continue;
    }
    if (c == '\\') result.push_back('\\');
    result.append(text, at, length);
    at += length;
  }
  return result;
}

std::string unescaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    unsigned byte = 0;
    if (text.substr(at).starts_with("\\x") && text.size() - at >= 4 &&
        std::from_chars(text.data() + at + 2, text.data() + at + 4, byte, 16).ptr ==
            text.data() + at + 4) {
      result.push_back(static_cast<char>(byte));
      at += 3;
    } else {
      if (text.substr(at).starts_with("\\\\")) ++at;
      result.push_back(text[at]);
    }
  }
  return result;
}

// The parts of `5000000@123:GET ...`.
std::optional<record> read_cut(std::string_view rest) {
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
  const char* const end = rest.data() + rest.size();
  const auto first = std::from_chars(rest.data(), end, bytes);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '@') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, offset);
  if (second.ec != std::errc{} || second.ptr == end || *second.ptr != ':') return std::nullopt;
  const auto taken = static_cast<std::size_t>(second.ptr + 1 - rest.data());
  return record::cut(unescaped(rest.substr(taken)), bytes, offset);
}

bool needs_escape(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

// Whether one of eight bytes needs an escape; a byte above 0x7F may be taken for one that does.
bool any_needs_escape(std::uint64_t eight) {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  constexpr std::uint64_t high_bits = 0x8080808080808080U;
  const auto has_zero = [](std::uint64_t word) { return (word - ones) & ~word; };
  const std::uint64_t control = eight - ones * 0x20;
  const std::uint64_t quote = has_zero(eight ^ (ones * '"'));
  const std::uint64_t backslash = has_zero(eight ^ (ones * '\\'));
  return ((control | quote | backslash) & high_bits) != 0;
}

// The first byte from `at` on that needs an escape, or the end.
std::size_t next_escape(std::string_view text, std::size_t at) {
  for (std::uint64_t eight = 0; text.size() - at >= sizeof(eight); at += sizeof(eight)) {
    std::memcpy(&eight, text.data() + at, sizeof(eight));
    if (!any_needs_escape(eight)) continue;
    for (std::size_t i = 0; i < sizeof(eight); ++i) {
      if (needs_escape(text[at + i])) return at + i;
    }
  }
  while (at < text.size() && !needs_escape(text[at])) ++at;
  return at;
}

void append_json_escape(std::string& to, char c) {
  switch (c) {
    case '"':
      to += "\\\"";
      return;
    case '\\':
      to += "\\\\";
      return;
    case '\b':
      to += "\\b";
      return;
    case '\f':
      to += "\\f";
      return;
    case '\n':
      to += "\\n";
      return;
    case '\r':
      to += "\\r";
      return;
    case '\t':
      to += "\\t";
      return;
    default:
      break;
  }
  to += "\\u00";
  to.push_back(hex_digits[static_cast<unsigned char>(c) >> 4]);
  to.push_back(hex_digits[static_cast<unsigned char>(c) & 0xF]);
}

}  // namespace

namespace detail {

shared_bytes::shared_bytes(std::string_view bytes) {
  void* const room = ::operator new(sizeof(header) + bytes.size());
  held_ = ::new (room) header(bytes.size());
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(held_ + 1));
}

// Who is the only owner stays it, and is spared the locked instruction.
void shared_bytes::let_go() noexcept {
  if (held_->owners.load(std::memory_order_acquire) != 1 &&
      held_->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) {
    return;
  }
  const std::size_t bytes = sizeof(header) + held_->size;
  held_->~header();
  ::operator delete(held_, bytes);
}

}  // namespace detail

std::string record::json_text() const {
  if (shape_ == shape::json) return std::string(raw());
  std::string result;
  append_json_text(result);
  return result;
}

void record::append_json_text(std::string& to) const {
  if (shape_ == shape::json) {
    to += raw();
    return;
  }
  if (shape_ == shape::cut) {
    throw permanent_error("only the first " + std::to_string(raw().size()) +
                          " bytes of this line of " + std::to_string(whole_bytes_) + " are here");
  }
  if (const std::size_t valid = valid_utf8_prefix(raw()); valid != raw().size()) {
    throw permanent_error("invalid UTF-8 at byte " + std::to_string(valid + 1) + " of the line '" +
                          excerpt(raw()) + "'");
  }
  to += R"({"line":)";
  append_json_quoted(to, raw());
  to.push_back('}');
}

std::string text_of(const record& value) {
  switch (value.shape_) {
    case record::shape::json:
      return std::string(value.raw());
    case record::shape::cut:
      return std::string(cut_form) + std::to_string(value.whole_bytes_) + "@" +
             std::to_string(value.offset_) + ":" + escaped(value.raw());
    case record::shape::line:
      break;
  }
  if (printable(value.raw())) return std::string(line_form).append(value.raw());
  return std::string(bytes_form) + escaped(value.raw());
}

record record::from_text(std::string_view stored) {
  if (stored.starts_with(line_form)) return line(stored.substr(line_form.size()));
  if (stored.starts_with(bytes_form)) return line(unescaped(stored.substr(bytes_form.size())));
  if (stored.starts_with(cut_form)) {
    if (auto beginning = read_cut(stored.substr(cut_form.size()))) return *std::move(beginning);
  }
  return json(stored);
}

std::size_t valid_utf8_prefix(std::string_view text) {
  constexpr std::uint64_t high_bits = 0x8080808080808080U;
  std::size_t at = 0;
  while (at < text.size()) {
    std::uint64_t eight = 0;
    if (text.size() - at >= sizeof(eight)) {
      std::memcpy(&eight, text.data() + at, sizeof(eight));
      if ((eight & high_bits) == 0) {
        at += sizeof(eight);
        continue;
      }
    }
    const std::size_t length = byte_at(text, at) < 0x80 ? 1 : sequence_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return at;
}

bool valid_utf8(std::string_view text) { return valid_utf8_prefix(text) == text.size(); }

std::string json_quoted(std::string_view text) {
  std::string result;
  result.reserve(text.size() + 2);
  append_json_quoted(result, text);
  return result;
}

void append_json_quoted(std::string& to, std::string_view text) {
  to.push_back('"');
  std::size_t from = 0;
  for (std::size_t at = next_escape(text, 0); at < text.size(); at = next_escape(text, from)) {
    to.append(text, from, at - from);
    append_json_escape(to, text[at]);
    from = at + 1;
  }
  to.append(text, from);
  to.push_back('"');
}

std::string excerpt(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return escaped(text);
  std::size_t end = bytes_max;
  while (end > 0 && (byte_at(text, end) & 0xC0) == 0x80) --end;
  return escaped(text.substr(0, end)) + "...";
}

}  // namespace brigade
