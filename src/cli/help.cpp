#include "cli/component_text.hpp"
#include "cli/exit_code.hpp"
#include "cli/policy_reader.hpp"
#include "cli/verbs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ostream>

namespace brigade::cli {
namespace {

std::string default_text(const field_spec& field) {
  if (field.required) return "required";
  return field.fallback.empty() ? "no default" : fmt::format("default {}", field.fallback);
}

void show_field(const field_spec& field, std::size_t width, std::ostream& out) {
  out << fmt::format("  {:<{}}  {}; {}\n", field.name, width, type_text(field),
                     default_text(field));
  out << fmt::format("  {:<{}}  {}\n", "", width, field.doc);
  out << fmt::format("  {:<{}}  e.g.  {}: {}\n\n", "", width, field.name, example_value(field));
}

/// The reserved keys that make sense beside the component.
std::vector<std::string_view> keys_beside(const component& what) {
  std::vector<std::string_view> keys;
  for (const std::string_view key : reserved_keys(what.kind)) {
    if (std::ranges::find(what.refuses, key) == what.refuses.end()) keys.push_back(key);
  }
  return keys;
}

void show_example(const component& what, std::ostream& out) {
  const std::string_view lead = what.kind == component_kind::stage ? "  - " : "  ";
  out << fmt::format("In a pipeline file:\n\n  {}{}:\n", to_string(what.kind),
                     what.kind == component_kind::stage ? "s" : "");
  const auto needed = needed_fields(what);
  if (needed.empty()) {
    out << fmt::format("  {}{}: {{}}\n", lead, what.name);
    return;
  }
  const bool stands_alone = needed.size() == 1 && shorthand_field(what) == needed.front();
  if (stands_alone) {
    out << fmt::format("  {}{}: {}\n", lead, what.name, example_value(*needed.front()));
    return;
  }
  out << fmt::format("  {}{}:\n", lead, what.name);
  for (const field_spec* const field : needed) {
    out << fmt::format("  {:<{}}{}: {}\n", "", lead.size() + 2, field->name, example_value(*field));
  }
}

void show_component(const component& what, std::ostream& out) {
  out << fmt::format("{} {}\n{}\n\n", to_string(what.kind), what.name, what.doc);
  std::size_t width = 0;
  for (const field_spec& field : what.fields) width = std::max(width, field.name.size());
  for (const field_spec& field : what.fields) show_field(field, width, out);
  if (what.fields.empty()) out << "  It has no fields.\n\n";
  if (const field_spec* const alone = shorthand_field(what)) {
    out << fmt::format("A value alone is '{}':  {}: {}\n", alone->name, what.name,
                       example_value(*alone));
  }
  out << fmt::format("Keys beside it: {}\n\n", fmt::join(keys_beside(what), ", "));
  show_example(what, out);
}

std::optional<component_kind> kind_called(std::string_view word) {
  for (const auto kind : {component_kind::source, component_kind::stage, component_kind::sink}) {
    if (word == to_string(kind)) return kind;
  }
  return std::nullopt;
}

}  // namespace

int help_verb(const help_options& options, const registry& known, std::ostream& out,
              std::ostream& err) {
  const std::string& name = options.words.back();
  std::vector<const component*> found = components_called(known, name);
  if (options.words.size() == 2) {
    const auto kind = kind_called(options.words.front());
    if (!kind) {
      err << fmt::format("brigade: '{}' is no kind of component: write source, stage or sink\n",
                         options.words.front());
      return exit_usage;
    }
    const auto of_other_kind = [&](const component* one) { return one->kind != *kind; };
    if (!found.empty() && std::ranges::all_of(found, of_other_kind)) {
      err << fmt::format("brigade: '{}' is a {}, not a {}\n", name, to_string(found.front()->kind),
                         to_string(*kind));
      return exit_usage;
    }
    std::erase_if(found, of_other_kind);
  }
  if (found.empty()) {
    err << "brigade: " << no_such_component(known, name) << '\n';
    return exit_usage;
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0) out << "\n\n";
    show_component(*found[i], out);
  }
  if (found.size() > 1) {
    out << fmt::format("\nOne of them alone: brigade help {} {}\n", to_string(found.front()->kind),
                       name);
  }
  return exit_ok;
}

}  // namespace brigade::cli
