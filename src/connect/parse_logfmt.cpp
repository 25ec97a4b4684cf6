#include "connect/parse_logfmt.hpp"

#include "connect/json_text.hpp"

#include <brigade/connect/record.hpp>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

namespace brigade {
namespace {

bool is_blank(char c) { return static_cast<unsigned char>(c) <= ' '; }

struct pair {
  std::string_view key;
  std::string_view value;  ///< quoted: with its quotes
  bool quoted = false;
  bool alone = false;
};

class pair_reader {
 public:
  explicit pair_reader(std::string_view line) : rest_(line) {}

  /// The next pair; nothing: there is none, or `wrong` says why.
  std::optional<pair> next() {
    while (!rest_.empty() && is_blank(rest_.front())) rest_.remove_prefix(1);
    if (rest_.empty()) return std::nullopt;
    pair found;
    found.key = take_while([](char c) { return !is_blank(c) && c != '=' && c != '"'; });
    if (found.key.empty()) return fail("a value without a key");
    if (rest_.empty() || is_blank(rest_.front())) {
      found.alone = true;
      return found;
    }
    if (rest_.front() == '"') return fail("a quote inside of a key");
    rest_.remove_prefix(1);
    if (rest_.starts_with('"')) return quoted(found);
    found.value = take_while([](char c) { return !is_blank(c) && c != '"'; });
    if (rest_.starts_with('"')) return fail("a quote inside of a value");
    return found;
  }
  [[nodiscard]] std::string_view wrong() const { return wrong_; }

 private:
  std::optional<pair> quoted(pair found) {
    std::size_t end = 1;
    while (end < rest_.size() && rest_[end] != '"') end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return fail("a quote that is never closed");
    found.value = rest_.substr(0, end + 1);
    found.quoted = true;
    rest_.remove_prefix(end + 1);
    if (!rest_.empty() && !is_blank(rest_.front())) {
      return fail("a value that goes on behind its closing quote");
    }
    return found;
  }

  template <class Belongs>
  std::string_view take_while(Belongs belongs) {
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), belongs);
    const std::string_view taken(rest_.begin(), end);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::nullopt_t fail(std::string_view why) {
    wrong_ = why;
    return std::nullopt;
  }

  std::string_view rest_;
  std::string_view wrong_;
};

// Within quotes a tab may stand as it is, which JSON does not allow.
std::string as_json_string(std::string_view quoted) {
  std::string text;
  for (const char c : quoted) {
    if (static_cast<unsigned char>(c) >= 0x20) {
      text.push_back(c);
    } else {
      const std::string escaped = json_quoted(std::string_view(&c, 1));
      text.append(escaped, 1, escaped.size() - 2);
    }
  }
  return text;
}

std::optional<std::string> append_value(const pair& found, const value_types& types,
                                        std::string& to) {
  if (found.alone) {
    to += "true";
    return std::nullopt;
  }
  std::string_view text = found.value;
  std::string json;
  std::string storage;
  if (found.quoted) {
    json = as_json_string(found.value);
    if (json_text::check(json)) {
      return "'" + excerpt(found.key) + "' has an escape that JSON does not know";
    }
    text = json_text::unquoted(json, storage);
  }
  const auto type = types.find(found.key);
  const auto wanted = append_typed(to, type == types.end() ? value_type::text : type->second, text);
  if (!wanted) return std::nullopt;
  return not_of_type(found.key, *wanted, text);
}

// Of a key given again, only the last pair, at the place of the first.
void keep_last(std::vector<pair>& pairs) {
  std::unordered_map<std::string_view, std::size_t> place;
  std::vector<pair> kept;
  for (const pair& each : pairs) {
    const auto [found, is_new] = place.emplace(each.key, kept.size());
    if (is_new) {
      kept.push_back(each);
    } else {
      kept[found->second] = each;
    }
  }
  pairs = std::move(kept);
}

}  // namespace

std::optional<std::string> append_logfmt(std::string_view line, const value_types& types,
                                         std::string& to) {
  const std::size_t before = to.size();
  const auto no = [&](std::string_view why) {
    to.resize(before);
    return "not a line of logfmt (" + std::string(why) + "): '" + excerpt(line) + "'";
  };
  pair_reader reader(line);
  std::vector<pair> pairs;
  bool has_value = false;
  while (const auto found = reader.next()) {
    has_value = has_value || !found->alone;
    pairs.push_back(*found);
  }
  if (!reader.wrong().empty()) return no(reader.wrong());
  if (!has_value) return no("no key=value in it");
  keep_last(pairs);
  for (const pair& each : pairs) {
    if (to.size() != before) to.push_back(',');
    append_json_quoted(to, each.key);
    to.push_back(':');
    if (const auto why = append_value(each, types, to)) return no(*why);
  }
  return std::nullopt;
}

}  // namespace brigade
