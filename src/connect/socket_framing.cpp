#include "connect/socket_framing.hpp"

#include "connect/text_lines.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/connect/record.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace brigade {
namespace {

constexpr std::size_t length_bytes = 4;
// Enough for four gibibytes.
constexpr std::size_t digits_max = 10;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::uint64_t number_in(std::string_view digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

}  // namespace

frame_splitter::frame_splitter(socket_framing how, std::uint64_t bytes_max)
    : how_(how), bytes_max_(bytes_max) {
  BRIGADE_ASSERT(how != socket_framing::datagram, "a datagram is a frame, and not split");
}

std::optional<socket_frame> frame_splitter::next() {
  while (true) {
    if (place_ == place::start) begin();
    if (place_ == place::head && !head_is_whole()) return std::nullopt;
    if (place_ == place::body) return body();
    if (place_ == place::line) return line();
    if (chunk_.empty()) return std::nullopt;
  }
}

void frame_splitter::begin() {
  if (how_ == socket_framing::syslog) {
    // What is between frames that are counted, and what an empty line is: nothing.
    while (!chunk_.empty() && chunk_.front() == '\n') chunk_.remove_prefix(1);
  }
  if (chunk_.empty()) return;
  held_.clear();
  head_.clear();
  bytes_ = 0;
  const bool counted =
      how_ == socket_framing::syslog ? is_digit(chunk_.front()) : how_ != socket_framing::line;
  place_ = counted ? place::head : place::line;
}

// False: more of it is to come, or it turned out that there is none.
bool frame_splitter::head_is_whole() {
  switch (how_) {
    case socket_framing::length:
      return length_is_whole();
    case socket_framing::octet_counting:
      return count_is_whole();
    default:
      return syslog_head_is_whole();
  }
}

bool frame_splitter::length_is_whole() {
  const std::size_t count = std::min(length_bytes - head_.size(), chunk_.size());
  head_.append(chunk_.substr(0, count));
  chunk_.remove_prefix(count);
  if (head_.size() < length_bytes) return false;
  std::uint64_t bytes = 0;
  for (const char c : head_) bytes = bytes << 8U | static_cast<unsigned char>(c);
  begin_body(bytes);
  return true;
}

bool frame_splitter::count_is_whole() {
  while (!chunk_.empty()) {
    const char c = chunk_.front();
    const bool is_end = c == ' ' && !head_.empty();
    if (!is_end && (!is_digit(c) || head_.size() == digits_max)) {
      throw framing_error("no length before a message: '" +
                          excerpt(head_ + std::string(chunk_.substr(0, 40))) + "'");
    }
    chunk_.remove_prefix(1);
    if (is_end) {
      begin_body(number_in(head_));
      return true;
    }
    head_.push_back(c);
  }
  return false;
}

// Digits, a blank and the `<` of the priority; anything else is the beginning of a line.
bool frame_splitter::syslog_head_is_whole() {
  while (!chunk_.empty()) {
    const char c = chunk_.front();
    const bool behind_blank = head_.ends_with(' ');
    if (behind_blank && c == '<' && number_in(head_) != 0) {
      begin_body(number_in(head_));
      return true;
    }
    const bool goes_on = !behind_blank && (c == ' ' || (is_digit(c) && head_.size() < digits_max));
    if (!goes_on) {
      head_was_line();
      return true;
    }
    head_.push_back(c);
    chunk_.remove_prefix(1);
  }
  return false;
}

void frame_splitter::begin_body(std::uint64_t bytes) {
  missing_ = bytes;
  place_ = place::body;
}

void frame_splitter::head_was_line() {
  place_ = place::line;
  hold(head_);
}

std::optional<socket_frame> frame_splitter::body() {
  const std::string_view piece = chunk_.substr(0, std::min<std::uint64_t>(missing_, chunk_.size()));
  chunk_.remove_prefix(piece.size());
  missing_ -= piece.size();
  if (missing_ != 0) {
    hold(piece);
    return std::nullopt;
  }
  socket_frame frame = give(piece);
  if (how_ != socket_framing::length && !frame.cut && frame.bytes.ends_with('\n')) {
    frame.bytes.remove_suffix(1);  // some senders count the newline of the other framing in
  }
  return frame;
}

std::optional<socket_frame> frame_splitter::line() {
  const std::size_t newline = chunk_.find('\n');
  if (newline == std::string_view::npos) {
    hold(chunk_);
    chunk_ = {};
    return std::nullopt;
  }
  const std::string_view piece = chunk_.substr(0, newline);
  chunk_.remove_prefix(newline + 1);
  socket_frame frame = give(piece);
  if (!frame.cut && frame.bytes.ends_with('\r')) {
    frame.bytes.remove_suffix(1);
    --frame.whole_bytes;
  }
  return frame;
}

void frame_splitter::hold(std::string_view piece) {
  bytes_ += piece.size();
  const std::uint64_t keep = std::max<std::uint64_t>(bytes_max_, cut_line_bytes) + 1;
  if (held_.size() < keep) held_.append(piece.substr(0, keep - held_.size()));
}

// The frame ends with this piece.
socket_frame frame_splitter::give(std::string_view last) {
  place_ = place::start;
  if (held_.empty()) return framed(last, last.size());
  hold(last);
  given_.swap(held_);
  held_.clear();
  return framed(given_, bytes_);
}

socket_frame frame_splitter::framed(std::string_view text, std::uint64_t whole) const {
  socket_frame frame;
  // One more byte may be a carriage return.
  frame.cut = whole > bytes_max_ + 1 || (whole == bytes_max_ + 1 && !text.ends_with('\r'));
  frame.whole_bytes = whole;
  frame.bytes = frame.cut ? text.substr(0, cut_line_bytes) : text;
  return frame;
}

std::optional<socket_frame> frame_splitter::finish() {
  const bool is_line =
      place_ == place::line || (place_ == place::head && how_ == socket_framing::syslog);
  if (place_ == place::head && is_line) hold(head_);
  if (is_line && bytes_ != 0) return give({});
  if (place_ != place::start) unfinished_ = head_.size() + bytes_;
  return std::nullopt;
}

}  // namespace brigade
