#include "cli/component_text.hpp"

#include "cli/suggest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace brigade::cli {

std::string_view to_string(component_kind kind) {
  switch (kind) {
    case component_kind::source:
      return "source";
    case component_kind::stage:
      return "stage";
    case component_kind::sink:
      return "sink";
  }
  return {};
}

std::vector<const component*> components_of(const registry& known, component_kind kind) {
  std::vector<const component*> found;
  for (const component& one : known.all()) {
    if (one.kind == kind) found.push_back(&one);
  }
  std::ranges::sort(found, {}, [](const component* one) { return std::string_view(one->name); });
  return found;
}

std::vector<const component*> components_called(const registry& known, std::string_view name) {
  std::vector<const component*> found;
  for (const auto kind : {component_kind::source, component_kind::stage, component_kind::sink}) {
    if (const component* const one = known.find(kind, name)) found.push_back(one);
  }
  return found;
}

std::string no_such_component(const registry& known, std::string_view name) {
  std::vector<std::string_view> names;
  for (const component& one : known.all()) names.emplace_back(one.name);
  const std::string_view near = nearest(name, names);
  return near.empty()
             ? fmt::format("there is no component '{}'; `brigade list` shows what there is", name)
             : fmt::format("there is no component '{}'; did you mean '{}'?", name, near);
}

std::string type_text(const field_spec& field) {
  switch (field.type) {
    case field_type::text:
      return "text";
    case field_type::integer:
      return "whole number";
    case field_type::boolean:
      return "true or false";
    case field_type::duration:
      return "duration, such as 5s";
    case field_type::bytes:
      return "size, such as 64KiB";
    case field_type::text_list:
      return "list of texts";
    case field_type::text_or_list:
      return "text, or a list of texts";
    case field_type::text_map:
      return "mapping of texts";
    case field_type::branches:
      return "list of branches";
    case field_type::choice:
      return fmt::format("{}", fmt::join(field.choices, " or "));
  }
  return {};
}

std::string example_value(const field_spec& field) {
  if (!field.example.empty()) return field.example;
  if (field.type == field_type::boolean) return field.fallback == "true" ? "false" : "true";
  for (const std::string& choice : field.choices) {
    if (choice != field.fallback) return choice;
  }
  return field.fallback;
}

const field_spec* shorthand_field(const component& what) {
  const field_spec* only = nullptr;
  for (const field_spec& field : what.fields) {
    const bool counts = what.shorthand.empty() ? field.required : field.name == what.shorthand;
    if (!counts) continue;
    if (only != nullptr) return nullptr;
    only = &field;
  }
  return only;
}

std::vector<const field_spec*> needed_fields(const component& what) {
  std::vector<const field_spec*> needed;
  for (const field_spec& field : what.fields) {
    if (field.required || field.usual) needed.push_back(&field);
  }
  const field_spec* const alone = shorthand_field(what);
  if (needed.empty() && alone != nullptr) needed.push_back(alone);
  return needed;
}

}  // namespace brigade::cli
