/// A command with `{field}` in it, filled in from an item. Pure.
#pragma once
#include "connect/field_template.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace brigade::exec {

class command_template {
 public:
  /// `{name}` stands for the item's top-level field, `{{name}}` for `{name}` itself; other braces
  /// are themselves. Throws config_error when the program itself has a placeholder.
  explicit command_template(const std::vector<std::string>& command);

  /// One argument stays one argument, whatever the field holds: a string's text, another value's
  /// JSON. Throws permanent_error when the item has no such field.
  [[nodiscard]] std::vector<std::string> fill(std::string_view item) const;
  [[nodiscard]] bool has_fields() const { return !fields_.empty(); }

 private:
  std::vector<std::vector<template_piece>> arguments_;
  std::vector<std::string> fields_;
};

}  // namespace brigade::exec
