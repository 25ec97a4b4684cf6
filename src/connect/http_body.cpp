#include "connect/http_body.hpp"

#include "connect/json_text.hpp"

#include <algorithm>
#include <utility>

namespace brigade {
namespace {

http_items refused(unsigned status, std::string error) {
  http_items result;
  result.status = status;
  result.error = std::move(error);
  return result;
}

http_items too_many(std::size_t items_max) {
  return refused(413, "there are more than " + std::to_string(items_max) +
                          " items in the body ('max_items'); post them in several requests");
}

/// Outside of its strings JSON does not mind which blank it is, and inside there is no newline.
record on_one_line(std::string_view value) {
  if (value.find_first_of("\r\n") == value.npos) return record::json(value);
  std::string line(value);
  std::ranges::replace_if(line, [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return record::json(line);
}

std::string unreadable(const json_text::problem& wrong, std::size_t before) {
  return wrong.why + " at byte " + std::to_string(before + wrong.at);
}

http_items items_of_lines(std::string_view body, std::size_t items_max) {
  http_items result;
  result.is_batch = true;
  std::size_t number = 0;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = std::min(body.find('\n', at), body.size());
    const std::string_view line = json_text::trimmed(body.substr(at, end - at));
    const std::size_t begin = at;
    at = end + 1;
    ++number;
    if (line.empty()) continue;
    if (const auto wrong = json_text::check(line)) {
      const auto before = static_cast<std::size_t>(line.data() - body.data()) - begin;
      return refused(400, "line " + std::to_string(number) + " of the body is not JSON: " +
                              unreadable(*wrong, before) + " of the line");
    }
    if (result.items.size() == items_max) return too_many(items_max);
    result.items.push_back(record::json(line));
  }
  return result;
}

}  // namespace

http_items items_of_body(http_body_kind kind, std::string_view body, std::size_t items_max) {
  if (kind == http_body_kind::ndjson) return items_of_lines(body, items_max);
  if (const auto wrong = json_text::check(body)) {
    return refused(400, "the body is not JSON: " + unreadable(*wrong, 0));
  }
  http_items result;
  const std::string_view value = json_text::trimmed(body);
  if (json_text::kind_of(value) != json_text::kind::array) {
    result.items.push_back(on_one_line(value));
    return result;
  }
  result.is_batch = true;
  json_text::array_reader elements(value);
  while (elements.next()) {
    if (result.items.size() == items_max) return too_many(items_max);
    result.items.push_back(on_one_line(elements.value()));
  }
  return result;
}

}  // namespace brigade
