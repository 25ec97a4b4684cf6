#include "connect/text_lines.hpp"

#include "connect/json_text.hpp"

#include <algorithm>
#include <utility>

namespace brigade {
namespace {

std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kib = 1024;
  constexpr std::uint64_t mib = kib * kib;
  if (bytes >= mib && bytes % mib == 0) return std::to_string(bytes / mib) + "MiB";
  if (bytes >= kib && bytes % kib == 0) return std::to_string(bytes / kib) + "KiB";
  return std::to_string(bytes) + " bytes";
}

std::string too_long(std::uint64_t bytes, std::uint64_t line_bytes_max) {
  return "line of " + std::to_string(bytes) + " bytes is longer than max_line (" +
         size_text(line_bytes_max) + ")";
}

decoded_line decode_text(line_format format, std::string_view text) {
  if (format == line_format::lines) return {record::line(text), std::nullopt};
  if (const auto problem = json_text::check(text)) {
    std::string why = "not JSON: " + problem->why + " at byte " + std::to_string(problem->at);
    return {record::line(text), std::move(why)};
  }
  return {record::json(text), std::nullopt};
}

}  // namespace

piece_splitter::piece_splitter(std::uint64_t offset, std::uint64_t bytes_max)
    : bytes_max_(bytes_max),
      // The mark, and a carriage return that may turn out to belong to the end, are no part of it.
      held_bytes_max_(std::max<std::uint64_t>(bytes_max, cut_line_bytes) + byte_order_mark.size() +
                      1),
      offset_(offset),
      begin_(offset),
      start_(offset) {}

void piece_splitter::hold_chunk() {
  hold(chunk_);
  offset_ += chunk_.size();
  chunk_ = {};
}

text_line piece_splitter::take_to(std::size_t newline) {
  const std::string_view piece = chunk_.substr(0, newline);
  chunk_.remove_prefix(newline + 1);
  offset_ += newline + 1;
  if (bytes_ != 0 || piece.size() > held_bytes_max_) hold(piece);
  return bytes_ != 0 ? framed_held(true) : framed(piece, piece.size(), true);
}

void piece_splitter::hold(std::string_view piece) {
  if (piece.empty()) return;
  last_ = piece.back();
  bytes_ += piece.size();
  if (bytes_ <= held_bytes_max_) {
    held_.append(piece);
    return;
  }
  if (held_.size() < cut_line_bytes) held_.append(piece.substr(0, cut_line_bytes - held_.size()));
  held_.resize(cut_line_bytes);
}

text_line piece_splitter::framed_held(bool with_newline) {
  given_ = std::exchange(held_, std::string{});  // and what was given before is freed
  return framed(given_, std::exchange(bytes_, 0), with_newline);
}

// `text` is what is here of the piece's `bytes`.
text_line piece_splitter::framed(std::string_view text, std::uint64_t bytes, bool with_newline) {
  const bool all_here = text.size() == bytes;
  const char last = all_here && bytes > 0 ? text.back() : last_;
  text_line line;
  line.start = std::exchange(start_, offset_);
  line.begin = begin_;
  line.end = offset_;
  if (line.start == 0 && text.starts_with(byte_order_mark)) {
    text.remove_prefix(byte_order_mark.size());
    bytes -= byte_order_mark.size();
  }
  if (with_newline && bytes > 0 && last == '\r') {
    --bytes;
    if (all_here) text.remove_suffix(1);
  }
  line.bytes = bytes;
  line.cut = bytes > bytes_max_;
  line.text = line.cut ? text.substr(0, cut_line_bytes) : text;
  return line;
}

line_splitter::line_splitter(std::uint64_t offset, std::uint64_t line_bytes_max, blank_lines blanks)
    : piece_splitter(offset, line_bytes_max), blanks_(blanks) {}

std::optional<text_line> line_splitter::next() {
  while (!chunk().empty()) {
    const std::size_t newline = chunk().find('\n');
    if (newline == std::string_view::npos) {
      hold_chunk();
      break;
    }
    const text_line line = take_to(newline);
    if (is_skipped(line)) continue;
    given(line);
    return line;
  }
  return std::nullopt;
}

std::optional<text_line> line_splitter::finish() {
  if (held_bytes() == 0) return std::nullopt;
  const text_line line = take_held();
  if (line.bytes == 0 || is_skipped(line)) return std::nullopt;  // 0: a byte order mark alone
  given(line);
  return line;
}

bool line_splitter::is_skipped(const text_line& line) const {
  return blanks_ == blank_lines::skip && !line.cut && json_text::trimmed(line.text).empty();
}

decoded_line decode_line(line_format format, const text_line& line, std::uint64_t line_bytes_max) {
  if (!line.cut) return decode_text(format, line.text);
  return {record::cut(line.text, line.bytes, line.start), too_long(line.bytes, line_bytes_max)};
}

decoded_line decode_again(line_format format, const record& value, std::uint64_t line_bytes_max) {
  switch (value.what()) {
    case record::shape::json:
      return {value, std::nullopt};
    case record::shape::cut:
      return {value, too_long(value.whole_bytes(), line_bytes_max)};
    case record::shape::line:
      break;
  }
  return decode_text(format, value.raw());
}

}  // namespace brigade
