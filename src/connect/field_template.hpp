/// Text with `{field}` in it, filled in from an item. Pure.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct template_piece {
  bool is_field = false;
  std::string text = {};  ///< as it is, or a field's name
};

/// `{name}` stands for the item's top-level field, `{{name}}` for `{name}` itself; other braces are
/// themselves. At least one piece.
[[nodiscard]] std::vector<template_piece> split_template(std::string_view text);

/// The plain texts of those top-level fields of `item` (JSON) that are among `names`.
[[nodiscard]] std::map<std::string, std::string, std::less<>> fields_of(
    std::string_view item, const std::vector<std::string>& names);

/// The text of a JSON string, and any other value as it is.
[[nodiscard]] std::string plain_text(std::string_view json_value);

}  // namespace brigade
