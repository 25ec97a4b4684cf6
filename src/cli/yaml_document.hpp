/// A YAML file as a tree that knows where everything stood.
///
/// Stricter than YAML: duplicate keys, merge keys, tags, keys that are not text, aliases that hold
/// themselves and a second document are problems. An alias becomes a copy of what it refers to,
/// with the positions of the original.
///
/// Errors are added to the `problem_list` given, never thrown; reading goes on where it can.
/// Thread safety: none; each call works on its own values.
#pragma once
#include "cli/problems.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::cli {

struct yaml_entry;

struct yaml_node {
  enum class kind : std::uint8_t { null, scalar, list, map };

  kind what = kind::null;
  position at;  ///< of a null: its key's, for there is nothing to point at
  std::string text;
  bool quoted = false;       ///< a plain `5` is a number, a quoted one is text ...
  bool expanded = false;     ///< ... unless a variable stood there: in `{ }` it must be quoted
  std::string spelled = {};  ///< then this is the text as it stands in the file
  std::vector<yaml_node> items;
  std::vector<yaml_entry> entries;  ///< in the order of the file, keys unique

  [[nodiscard]] const yaml_entry* find(std::string_view key) const;
  [[nodiscard]] yaml_entry* find(std::string_view key);
};

struct yaml_entry {
  std::string key;
  position at;
  yaml_node value;
};

/// The one document in `text`; nothing after a syntax error, which ends the reading.
[[nodiscard]] std::optional<yaml_node> parse_yaml(const std::string& text, problem_list& problems);

/// The value of an environment variable, if it is set.
using environment = std::function<std::optional<std::string>(const std::string& name)>;

/// Replaces `${VAR}` and `${VAR:default}` in every scalar (not in keys).
void expand_variables(yaml_node& node, const environment& lookup, problem_list& problems);

/// A scalar, or the items of a list with blanks between them, as in the file: variables are not
/// filled in, for they may be secrets.
[[nodiscard]] std::string as_spelled(const yaml_node& node);

/// Everything in `node` stands at the argument that gave it.
void place_at(yaml_node& node, position at);

/// Applies a `--set`, argument number `number` (from 1), `stages.charge.workers=8`: the path's last
/// key is set to the value, read as YAML; keys that are missing on the way are made. Items of a
/// list are addressed by their index from 0, or by name: their `name`, or else any of their keys.
void apply_override(yaml_node& root, std::string_view assignment, int number,
                    problem_list& problems);

/// For messages: `'text'`, `a list`, `a mapping`, `nothing`.
[[nodiscard]] std::string describe(const yaml_node& node);

}  // namespace brigade::cli
