#include "cli/value_reader.hpp"

#include "cli/suggest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace brigade::cli {

void value_reader::mismatch(std::string_view key, const yaml_node& node,
                            std::string_view expected) {
  problem(node.at, fmt::format("'{}' must be {}, not {}", key, expected, describe(node)));
}

template <class Parse>
auto value_reader::parsed(std::string_view key, const yaml_node& node, std::string_view expected,
                          Parse parse) -> std::optional<decltype(parse(std::string_view{}))> {
  if (node.what != yaml_node::kind::scalar) {
    mismatch(key, node, expected);
    return std::nullopt;
  }
  try {
    return parse(std::string_view(node.text));
  } catch (const unit_error& error) {
    problem(node.at, fmt::format("'{}': {}", key, error.what()));
    return std::nullopt;
  }
}

std::optional<std::string> value_reader::text(std::string_view key, const yaml_node& node) {
  if (node.what == yaml_node::kind::scalar) return node.text;
  mismatch(key, node, "text");
  return std::nullopt;
}

std::optional<std::int64_t> value_reader::integer(std::string_view key, const yaml_node& node,
                                                  std::int64_t min, std::int64_t max) {
  if (node.quoted && !node.expanded) {
    problem(node.at, fmt::format("'{}' must be a whole number, not the text {}: leave the quotes "
                                 "out",
                                 key, describe(node)));
    return std::nullopt;
  }
  const auto value = parsed(key, node, "a whole number", parse_integer);
  if (!value) return std::nullopt;
  if (*value < min) {
    problem(node.at, fmt::format("'{}' must be at least {}, not {}", key, min, *value));
    return std::nullopt;
  }
  if (*value > max) {
    problem(node.at, fmt::format("'{}' must be at most {}, not {}", key, max, *value));
    return std::nullopt;
  }
  return value;
}

std::optional<bool> value_reader::boolean(std::string_view key, const yaml_node& node) {
  const bool literal = node.what == yaml_node::kind::scalar && (!node.quoted || node.expanded);
  if (literal && node.text == "true") return true;
  if (literal && node.text == "false") return false;
  mismatch(key, node, "true or false");
  return std::nullopt;
}

std::optional<milliseconds> value_reader::duration(std::string_view key, const yaml_node& node) {
  return parsed(key, node, "a duration, such as 5s", parse_duration);
}

std::optional<milliseconds> value_reader::duration_or(std::string_view word, std::string_view key,
                                                      const yaml_node& node) {
  if (node.what == yaml_node::kind::scalar && node.text == word) return milliseconds(0);
  const auto value = duration(key, node);
  if (value && value->count() == 0) {
    problem(node.at,
            fmt::format("'{}' must be more than nothing; write '{}' for no limit", key, word));
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> value_reader::size(std::string_view key, const yaml_node& node) {
  return parsed(key, node, "a size, such as 64KiB", parse_size);
}

std::optional<std::uint64_t> value_reader::size_above_zero(std::string_view key,
                                                           const yaml_node& node) {
  const auto value = size(key, node);
  if (!value || *value > 0) return value;
  problem(node.at, fmt::format("'{}' must be at least 1B, not {}", key, describe(node)));
  return std::nullopt;
}

std::optional<duration_range> value_reader::range(std::string_view key, const yaml_node& node) {
  return parsed(key, node, "a range of durations, such as 200ms..30s", parse_duration_range);
}

std::optional<std::vector<std::string>> value_reader::text_list(std::string_view key,
                                                                const yaml_node& node) {
  if (node.what != yaml_node::kind::list) {
    mismatch(key, node, "a list, such as [a, b]");
    return std::nullopt;
  }
  std::vector<std::string> values;
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const auto value = text(fmt::format("{}[{}]", key, i), node.items[i]);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

std::optional<std::map<std::string, std::string>> value_reader::text_map(std::string_view key,
                                                                         const yaml_node& node) {
  if (!is_map(key, node)) return std::nullopt;
  std::map<std::string, std::string> values;
  for (const yaml_entry& entry : node.entries) {
    const auto value = text(fmt::format("{}.{}", key, entry.key), entry.value);
    if (!value) return std::nullopt;
    values.emplace(entry.key, *value);
  }
  return values;
}

std::optional<std::string> value_reader::choice(std::string_view key, const yaml_node& node,
                                                std::span<const std::string_view> choices) {
  const bool is_one = node.what == yaml_node::kind::scalar &&
                      std::find(choices.begin(), choices.end(), node.text) != choices.end();
  if (is_one) return node.text;
  const std::string hint = did_you_mean(node.text, choices);
  problem(node.at, fmt::format("'{}' must be {}, not {}{}", key, fmt::join(choices, " or "),
                               describe(node), hint));
  return std::nullopt;
}

bool value_reader::is_map(std::string_view key, const yaml_node& node) {
  if (node.what == yaml_node::kind::map) return true;
  mismatch(key, node, "a mapping");
  return false;
}

bool value_reader::keys_are_known(const yaml_node& map, std::span<const std::string_view> known,
                                  std::string_view where) {
  bool all_known = true;
  for (const yaml_entry& entry : map.entries) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    all_known = false;
    problem(entry.at, fmt::format("unknown key '{}' in {}{}", entry.key, where,
                                  did_you_mean(entry.key, known)));
  }
  return all_known;
}

}  // namespace brigade::cli
