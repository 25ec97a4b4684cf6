#include "connect/file_lines.hpp"

#include "connect/json_text.hpp"

#include <algorithm>
#include <utility>

namespace brigade {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

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

line_splitter::line_splitter(std::uint64_t offset, std::uint64_t line_bytes_max, blank_lines blanks)
    : line_bytes_max_(line_bytes_max),
      // One more for a carriage return that may turn out to belong to the line's end.
      held_bytes_max_(std::max<std::uint64_t>(line_bytes_max + 1, cut_line_bytes)),
      blanks_(blanks),
      offset_(offset),
      begin_(offset),
      start_(offset) {
  if (offset == 0) held_bytes_max_ += byte_order_mark.size();
}

void line_splitter::feed(std::string_view chunk) { chunk_ = chunk; }

std::optional<text_line> line_splitter::next() {
  while (!chunk_.empty()) {
    const std::size_t newline = chunk_.find('\n');
    if (newline == std::string_view::npos) {
      hold(chunk_);
      offset_ += chunk_.size();
      chunk_ = {};
      break;
    }
    const std::string_view piece = chunk_.substr(0, newline);
    chunk_.remove_prefix(newline + 1);
    offset_ += newline + 1;
    if (bytes_ != 0 || piece.size() > held_bytes_max_) hold(piece);
    auto line = bytes_ != 0 ? complete_held(true) : complete(piece, piece.size(), true);
    if (line) return line;
  }
  return std::nullopt;
}

std::optional<text_line> line_splitter::finish() {
  if (bytes_ == 0) return std::nullopt;
  return complete_held(false);
}

void line_splitter::hold(std::string_view piece) {
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

std::optional<text_line> line_splitter::complete_held(bool with_newline) {
  given_ = std::exchange(held_, std::string{});  // and what was given before is freed
  return complete(given_, std::exchange(bytes_, 0), with_newline);
}

// `text` is what is here of the line's `bytes`.
std::optional<text_line> line_splitter::complete(std::string_view text, std::uint64_t bytes,
                                                 bool with_newline) {
  text_line line;
  line.text = text;
  line.bytes = bytes;
  line.start = std::exchange(start_, offset_);
  line.begin = begin_;
  line.end = offset_;
  const bool all_here = text.size() == bytes;
  const char last = all_here && bytes > 0 ? text.back() : last_;
  if (line.start == 0 && line.text.starts_with(byte_order_mark)) {
    line.text.remove_prefix(byte_order_mark.size());
    line.bytes -= byte_order_mark.size();
    if (line.bytes == 0 && !with_newline) return std::nullopt;  // the file holds nothing else
  }
  if (with_newline && line.bytes > 0 && last == '\r') {
    --line.bytes;
    if (all_here) line.text.remove_suffix(1);
  }
  line.cut = line.bytes > line_bytes_max_;
  if (line.cut) line.text = line.text.substr(0, cut_line_bytes);
  if (blanks_ == blank_lines::skip && !line.cut && json_text::trimmed(line.text).empty()) {
    return std::nullopt;
  }
  begin_ = offset_;
  return line;
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
