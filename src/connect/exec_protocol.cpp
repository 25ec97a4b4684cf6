#include "connect/exec_protocol.hpp"

#include "connect/field_template.hpp"
#include "connect/json_text.hpp"

#include <brigade/connect/record.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

namespace brigade::exec {

namespace {

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
  bool twice = false;  ///< one of them came twice

  void put(std::string_view name, std::string_view value) {
    std::string_view* const place = name == "id"      ? &id
                                    : name == "ok"    ? &ok
                                    : name == "error" ? &error
                                    : name == "retry" ? &retry
                                    : name == "fatal" ? &fatal
                                                      : nullptr;
    if (place == nullptr) return;
    twice = twice || !place->empty();
    *place = value;
  }
};

}  // namespace

void append_request(std::string& out, std::uint64_t id, std::string_view key, int attempt,
                    std::string_view item) {
  out += "{\"id\": ";
  append_number(out, id);
  out += ", \"key\": ";
  append_json_quoted(out, key);
  out += ", \"attempt\": ";
  append_number(out, static_cast<std::uint64_t>(attempt));
  out += ", \"item\": ";
  out += item;
  out += "}\n";
}

std::variant<answer, rubbish> decode_answer(std::string_view line) {
  const auto problem = json_text::check(line);
  if (problem && json_text::trimmed(line).starts_with('{')) {
    return rubbish{"not a JSON object (byte " + std::to_string(problem->at) + ": " + problem->why +
                   "): " + quote_for_people(line)};
  }
  if (problem || json_text::kind_of(json_text::trimmed(line)) != json_text::kind::object) {
    return rubbish{"not a JSON object: " + quote_for_people(line) +
                   "; stdout is for answers alone, print to stderr"};
  }
  answer_members members;
  std::string storage;
  json_text::object_reader reader(json_text::trimmed(line));
  while (reader.next()) members.put(json_text::unquoted(reader.key(), storage), reader.value());
  if (members.twice) {
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

std::string indented_line(std::string_view text, std::size_t bytes_max) {
  const std::size_t blanks = std::min(text.find_first_not_of(" \t"), text.size());
  std::string result;
  for (const char blank : text.substr(0, blanks)) result += blank == '\t' ? "  " : " ";
  const std::string rest = one_line(text.substr(blanks), bytes_max);
  if (rest.empty()) return rest;
  result.resize(std::min(result.size(), bytes_max));
  return result + rest;
}

std::string one_line(std::string_view text, std::size_t bytes_max) {
  text = json_text::trimmed(text);
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

}  // namespace brigade::exec
