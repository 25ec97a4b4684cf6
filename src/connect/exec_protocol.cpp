#include "connect/exec_protocol.hpp"

#include <brigade/connect/record.hpp>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace brigade::exec {

namespace {

namespace json = boost::json;

/// Takes no notice of what is parsed: only whether it is JSON, and where it ends, matters.
struct ignore_all {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);
  using error = json::error_code;
  bool on_document_begin(error&) { return true; }
  bool on_document_end(error&) { return true; }
  bool on_object_begin(error&) { return true; }
  bool on_object_end(std::size_t, error&) { return true; }
  bool on_array_begin(error&) { return true; }
  bool on_array_end(std::size_t, error&) { return true; }
  bool on_key_part(json::string_view, std::size_t, error&) { return true; }
  bool on_key(json::string_view, std::size_t, error&) { return true; }
  bool on_string_part(json::string_view, std::size_t, error&) { return true; }
  bool on_string(json::string_view, std::size_t, error&) { return true; }
  bool on_number_part(json::string_view, error&) { return true; }
  bool on_int64(std::int64_t, json::string_view, error&) { return true; }
  bool on_uint64(std::uint64_t, json::string_view, error&) { return true; }
  bool on_double(double, json::string_view, error&) { return true; }
  bool on_bool(bool, error&) { return true; }
  bool on_null(error&) { return true; }
  bool on_comment_part(json::string_view, error&) { return true; }
  bool on_comment(json::string_view, error&) { return true; }
};

constexpr std::size_t depth_max = 256;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

json::parse_options reading_options() {
  json::parse_options options;
  options.max_depth = depth_max;
  return options;
}

/// Cuts one JSON value off the front of `text`; an empty view when there is none.
std::string_view take_value(std::string_view& text) {
  static thread_local json::basic_parser<ignore_all> parser(reading_options());
  parser.reset();
  json::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (error) return {};
  std::string_view value = text.substr(0, used);
  text.remove_prefix(used);
  while (!value.empty() && is_space(value.back())) value.remove_suffix(1);
  return value;
}

void append_quoted(std::string& out, std::string_view text) {
  const bool plain = std::ranges::all_of(
      text, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  if (!plain) {
    out += json_quoted(text);
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits;
  const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out.append(digits.data(), written.ptr);
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  return result.ec == std::errc{} && result.ptr == text.data() + text.size();
}

constexpr std::size_t error_bytes_max = 4096;
constexpr double retry_seconds_max = 1e9;

failure failure_of(std::string_view error, std::string_view retry, std::string_view fatal) {
  std::string text = one_line(plain_text(error), error_bytes_max);
  if (fatal == "true") return failure(verdict::fatal, std::move(text));
  if (retry == "false") return failure(verdict::permanent, std::move(text));
  double seconds = 0;
  if (!retry.empty() && read_number(retry, seconds) && seconds >= 0) {
    const auto after = std::chrono::duration<double>(std::min(seconds, retry_seconds_max));
    return failure(verdict::retryable, std::move(text),
                   std::chrono::duration_cast<milliseconds>(after));
  }
  return failure(verdict::retryable, std::move(text));
}

std::string quote_for_people(std::string_view line) {
  constexpr std::size_t shown_bytes = 120;
  return "'" + one_line(line, shown_bytes) + "'";
}

/// The members of an answer that mean something; empty: not there.
struct answer_members {
  std::string_view id, ok, error, retry, fatal;
  std::string_view twice;  ///< a name that came twice

  void put(std::string_view name, std::string_view value) {
    std::string_view* const place = name == "id"      ? &id
                                    : name == "ok"    ? &ok
                                    : name == "error" ? &error
                                    : name == "retry" ? &retry
                                    : name == "fatal" ? &fatal
                                                      : nullptr;
    if (place == nullptr) return;
    if (!place->empty()) twice = place == &id ? "id" : place == &ok ? "ok" : "another member";
    *place = value;
  }
};

}  // namespace

void append_request(std::string& out, std::uint64_t id, std::string_view key, int attempt,
                    std::string_view item) {
  out += "{\"id\": ";
  append_number(out, id);
  out += ", \"key\": ";
  append_quoted(out, key);
  out += ", \"attempt\": ";
  append_number(out, static_cast<std::uint64_t>(attempt));
  out += ", \"item\": ";
  out += item;
  out += "}\n";
}

std::variant<answer, rubbish> decode_answer(std::string_view line) {
  answer_members members;
  const bool is_object = each_member(
      line, [&](std::string_view name, std::string_view value) { members.put(name, value); });
  if (!is_object)
    return rubbish{"not a JSON object: " + quote_for_people(line) +
                   "; stdout is for answers alone, print to stderr"};
  if (!members.twice.empty()) {
    return rubbish{"a member given twice in one answer: " + quote_for_people(line)};
  }
  answer result;
  if (!read_number(members.id, result.id)) {
    return rubbish{"an answer without the id of a request: " + quote_for_people(line)};
  }
  if (members.ok.empty() == members.error.empty()) {
    const std::string what = members.ok.empty() ? "neither 'ok' nor" : "both 'ok' and";
    return rubbish{"an answer with " + what + " 'error': " + quote_for_people(line)};
  }
  result.value = members.ok;
  if (members.ok.empty()) result.error = failure_of(members.error, members.retry, members.fatal);
  return result;
}

std::optional<std::string_view> one_json_value(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  const std::string_view value = take_value(text);
  if (value.empty() || !text.empty()) return std::nullopt;
  return value;
}

std::string plain_text(std::string_view json_value) {
  if (json_value.empty() || json_value.front() != '"') return std::string(json_value);
  json::error_code error;
  const json::value parsed = json::parse({json_value.data(), json_value.size()}, error);
  const json::string* const text = error ? nullptr : parsed.if_string();
  return text == nullptr ? std::string(json_value) : std::string(text->data(), text->size());
}

std::string one_line(std::string_view text, std::size_t bytes_max) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  std::string result(text.substr(0, bytes_max));
  if (text.size() > bytes_max) {
    const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; };
    while (!result.empty() && continues(text[result.size()])) result.pop_back();
    result += "...";
  }
  if (!valid_utf8(result)) {
    std::ranges::replace_if(
        result, [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
  }
  std::ranges::replace_if(
      result, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }, ' ');
  return result;
}

std::span<char> line_buffer::space() {
  if (begin_ > 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  if (bytes_.size() < end_ + chunk_bytes) bytes_.resize(std::max(end_ + chunk_bytes, 2 * end_));
  return {bytes_.data() + end_, chunk_bytes};
}

std::optional<std::string_view> line_buffer::next() {
  const void* const found =
      scanned_ == end_ ? nullptr : std::memchr(bytes_.data() + scanned_, '\n', end_ - scanned_);
  if (found == nullptr) {
    scanned_ = end_;
    return std::nullopt;
  }
  const char* const first = bytes_.data() + begin_;
  const std::string_view line(first,
                              static_cast<std::size_t>(static_cast<const char*>(found) - first));
  begin_ += line.size() + 1;
  scanned_ = begin_;
  return line;
}

member_walk::member_walk(std::string_view text) : rest_(text) {
  skip_space();
  if (!take('{')) rest_ = {};
}

void member_walk::skip_space() {
  while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
}

bool member_walk::take(char expected) {
  if (rest_.empty() || rest_.front() != expected) return false;
  rest_.remove_prefix(1);
  skip_space();
  return true;
}

bool member_walk::take_name() {
  if (rest_.empty() || rest_.front() != '"') return false;
  const std::string_view quoted = take_value(rest_);
  if (quoted.empty()) return false;
  name_ = quoted.substr(1, quoted.size() - 2);
  if (name_.find('\\') != std::string_view::npos) {
    decoded_name_ = plain_text(quoted);
    name_ = decoded_name_;
  }
  skip_space();
  return true;
}

bool member_walk::next() {
  if (take('}')) {
    complete_ = rest_.empty();
    rest_ = {};
    return false;
  }
  const bool separated = std::exchange(first_, false) || take(',');
  if (!separated || !take_name() || !take(':')) {
    rest_ = {};
    return false;
  }
  value_ = take_value(rest_);
  if (value_.empty()) {
    rest_ = {};
    return false;
  }
  skip_space();
  return true;
}

}  // namespace brigade::exec
