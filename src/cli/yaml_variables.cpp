// `${VAR}` and `--set`: what changes a tree between reading and checking.
#include "cli/suggest.hpp"
#include "cli/yaml_document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace brigade::cli {
namespace {

bool is_variable_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || is_digit(c); });
}

/// What stands for the inside of one `${...}`.
std::string value_of(std::string_view inside, position at, const environment& lookup,
                     problem_list& problems) {
  const std::size_t colon = inside.find(':');
  const std::string name(inside.substr(0, colon));
  if (!is_variable_name(name)) {
    problems.add(at, fmt::format("'${{{}}}' names no variable: write ${{NAME}} or "
                                 "${{NAME:default}}",
                                 inside));
    return {};
  }
  if (const auto value = lookup(name)) return *value;
  if (colon != std::string_view::npos) return std::string(inside.substr(colon + 1));
  problems.add(at, fmt::format("variable '{}' is not set: set it, or give a default, ${{{}:...}}",
                               name, name));
  return {};
}

void expand_scalar(yaml_node& node, const environment& lookup, problem_list& problems) {
  std::string result;
  std::string_view rest = node.text;
  for (std::size_t begin = rest.find("${"); begin != std::string_view::npos;
       begin = rest.find("${")) {
    const std::size_t end = rest.find('}', begin);
    if (end == std::string_view::npos) {
      problems.add(node.at, "'${' without its '}'");
      return;
    }
    result += rest.substr(0, begin);
    result += value_of(rest.substr(begin + 2, end - begin - 2), node.at, lookup, problems);
    rest.remove_prefix(end + 1);
    node.expanded = true;
  }
  if (!node.expanded) return;
  result += rest;
  node.spelled = std::exchange(node.text, std::move(result));
}

std::vector<std::string_view> names_of(const yaml_node& item) {
  const yaml_entry* const name = item.find("name");
  if (name != nullptr && name->value.what == yaml_node::kind::scalar) return {name->value.text};
  std::vector<std::string_view> names;
  for (const yaml_entry& entry : item.entries) names.push_back(entry.key);
  return names;
}

/// The item of a list that a path's segment means; nullptr: there is none.
yaml_node* find_item(yaml_node& list, std::string_view segment, position at,
                     problem_list& problems) {
  std::size_t index = 0;
  const char* const end = segment.data() + segment.size();
  const auto [stop, error] = std::from_chars(segment.data(), end, index);
  if (error == std::errc() && stop == end) {
    if (index < list.items.size()) return &list.items[index];
    problems.add(at, fmt::format("there is no item {}: the list has {}, counted from 0", index,
                                 list.items.size()));
    return nullptr;
  }
  std::vector<std::string_view> known;
  for (yaml_node& item : list.items) {
    for (const std::string_view name : names_of(item)) {
      if (name == segment) return &item;
      known.push_back(name);
    }
  }
  problems.add(
      at, fmt::format("the list has no item named '{}'{}", segment, did_you_mean(segment, known)));
  return nullptr;
}

yaml_node* find_or_make(yaml_node& parent, std::string_view segment, position at,
                        problem_list& problems) {
  if (parent.what == yaml_node::kind::list) return find_item(parent, segment, at, problems);
  if (parent.what == yaml_node::kind::scalar) {
    problems.add(at, fmt::format("'{}' cannot be set: its place is taken by the text {}", segment,
                                 describe(parent)));
    return nullptr;
  }
  parent.what = yaml_node::kind::map;
  if (yaml_entry* const entry = parent.find(segment)) return &entry->value;
  parent.entries.push_back(yaml_entry{std::string(segment), at, yaml_node{}});
  parent.entries.back().value.at = at;
  return &parent.entries.back().value;
}

}  // namespace

void expand_variables(yaml_node& node, const environment& lookup, problem_list& problems) {
  if (node.what == yaml_node::kind::scalar) expand_scalar(node, lookup, problems);
  for (yaml_node& item : node.items) expand_variables(item, lookup, problems);
  for (yaml_entry& entry : node.entries) expand_variables(entry.value, lookup, problems);
}

std::string as_spelled(const yaml_node& node) {
  if (node.what == yaml_node::kind::scalar) return node.expanded ? node.spelled : node.text;
  std::string text;
  for (const yaml_node& item : node.items) text += (text.empty() ? "" : " ") + as_spelled(item);
  return text;
}

void place_at(yaml_node& node, position at) {
  node.at = at;
  for (yaml_node& item : node.items) place_at(item, at);
  for (yaml_entry& entry : node.entries) {
    entry.at = at;
    place_at(entry.value, at);
  }
}

void apply_override(yaml_node& root, std::string_view assignment, int number,
                    problem_list& problems) {
  const position at{0, number};
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    problems.add(at, "write path=value, such as stages.charge.workers=8");
    return;
  }
  problem_list in_value;
  std::optional<yaml_node> value = parse_yaml(std::string(assignment.substr(equals + 1)), in_value);
  if (!value || !in_value.empty()) {
    problems.add(at, "the value is not valid YAML");
    return;
  }
  place_at(*value, at);

  yaml_node* target = &root;
  std::string_view path = assignment.substr(0, equals);
  while (target != nullptr) {
    const std::size_t dot = path.find('.');
    const std::string_view segment = path.substr(0, dot);
    if (segment.empty()) {
      problems.add(at, "the path has an empty part");
      return;
    }
    target = find_or_make(*target, segment, at, problems);
    if (dot == std::string_view::npos) break;
    path.remove_prefix(dot + 1);
  }
  if (target != nullptr) *target = std::move(*value);
}

}  // namespace brigade::cli
