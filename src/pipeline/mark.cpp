#include <brigade/async/assert.hpp>
#include <brigade/pipeline/mark.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <stdexcept>

namespace brigade {
namespace {

/// Reads exactly what `encode_above` writes: no spaces, no other keys, nothing behind.
class above_parser {
 public:
  above_parser(std::uint64_t low, std::string_view text) : all_(text), rest_(text) {
    result_.low = low;
  }

  mark parse() {
    if (accept("{")) {
      expect("\"ranges\":");
      parse_ranges();
      expect(",\"parts\":");
      parse_parts();
      expect("}");
    } else {
      parse_ranges();
    }
    // A mark that says the same in other words (ranges that touch, a part of a finished item, a
    // leading zero) was not written by us.
    if (!rest_.empty() || mark_builder(result_).at() != result_ || result_.encode_above() != all_) {
      fail();
    }
    return std::move(result_);
  }

 private:
  void parse_ranges() {
    expect("[");
    if (accept("]")) return;
    do {
      expect("[");
      const std::uint64_t begin = number();
      expect(",");
      const std::uint64_t end = number();
      expect("]");
      if (end <= begin) fail();
      result_.above.push_back({begin, end});
    } while (accept(","));
    expect("]");
  }

  void parse_parts() {
    expect("[");
    do {
      expect("[");
      const std::uint64_t begin = number();
      expect(",\"");
      const std::size_t length = rest_.find_first_not_of("0123456789/");
      if (length == 0 || length == std::string_view::npos) fail();
      result_.parts.push_back({begin, std::string(rest_.substr(0, length))});
      rest_.remove_prefix(length);
      expect("\"]");
    } while (accept(","));
    expect("]");
  }

  bool accept(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) fail();
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc{}) fail();
    rest_.remove_prefix(static_cast<std::size_t>(stop - rest_.data()));
    return value;
  }
  [[noreturn]] void fail() const {
    throw std::invalid_argument(fmt::format("not the ranges of a mark with low {}: '{}'",
                                            result_.low, all_.substr(0, 200)));
  }

  std::string_view all_;
  std::string_view rest_;
  mark result_;
};

}  // namespace

std::string mark::encode_above() const {
  std::string ranges = "[";
  for (const range& each : above) {
    fmt::format_to(std::back_inserter(ranges), "{}[{},{}]", ranges.size() > 1 ? "," : "",
                   each.begin, each.end);
  }
  ranges += ']';
  if (parts.empty()) return ranges;

  std::string children = "[";
  for (const part& each : parts) {
    BRIGADE_ASSERT(each.path.find_first_not_of("0123456789/") == std::string::npos,
                   "the path of a part is not made of digits and slashes");
    fmt::format_to(std::back_inserter(children), "{}[{},\"{}\"]", children.size() > 1 ? "," : "",
                   each.begin, each.path);
  }
  return fmt::format("{{\"ranges\":{},\"parts\":{}]}}", ranges, children);
}

mark mark::decode(std::uint64_t low, std::string_view above) {
  return above_parser(low, above).parse();
}

bool mark::finished(std::uint64_t begin) const {
  if (begin < low) return true;
  const auto behind = std::upper_bound(
      above.begin(), above.end(), begin,
      [](std::uint64_t position, const range& each) { return position < each.begin; });
  return behind != above.begin() && begin < std::prev(behind)->end;
}

mark mark::merge(const mark& left, const mark& right) {
  mark_builder both(left);
  both.finish(0, right.low);
  for (const range& each : right.above) both.finish(each.begin, each.end);
  for (const part& each : right.parts) both.finish_part(each.begin, each.path);
  return both.at();
}

mark_builder::mark_builder(const mark& start) : low_(start.low) {
  for (const mark::range& each : start.above) finish(each.begin, each.end);
  for (const mark::part& each : start.parts) finish_part(each.begin, each.path);
}

void mark_builder::finish(std::uint64_t begin, std::uint64_t end) {
  if (end <= low_ || begin >= end) return;
  if (!parts_.empty()) {
    parts_.erase(parts_.lower_bound({begin, {}}), parts_.lower_bound({end, {}}));
  }
  auto next = above_.upper_bound(begin);
  if (next != above_.begin() && std::prev(next)->second >= begin) {
    --next;
    begin = next->first;
  }
  while (next != above_.end() && next->first <= end) {
    end = std::max(end, next->second);
    next = above_.erase(next);
  }
  if (begin <= low_) {
    low_ = end;
  } else {
    above_.emplace_hint(next, begin, end);
  }
}

void mark_builder::finish_part(std::uint64_t begin, std::string path) {
  if (!finished(begin)) parts_.insert({begin, std::move(path)});
}

bool mark_builder::finished(std::uint64_t begin) const {
  if (begin < low_) return true;
  const auto behind = above_.upper_bound(begin);
  return behind != above_.begin() && begin < std::prev(behind)->second;
}

bool mark_builder::has_parts(std::uint64_t begin) const {
  const auto first = parts_.lower_bound({begin, {}});
  return first != parts_.end() && first->begin == begin;
}

bool mark_builder::part_finished(std::uint64_t begin, const std::string& path) const {
  return finished(begin) || parts_.contains({begin, path});
}

mark mark_builder::at() const {
  mark result;
  result.low = low_;
  result.above.reserve(above_.size());
  for (const auto& [begin, end] : above_) result.above.push_back({begin, end});
  result.parts.assign(parts_.begin(), parts_.end());
  return result;
}

}  // namespace brigade
