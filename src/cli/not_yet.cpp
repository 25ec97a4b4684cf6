#include "cli/not_yet.hpp"

#include <algorithm>
#include <array>

namespace brigade::cli {
namespace {

struct planned_field {
  component_kind kind;
  std::string_view component;
  std::string_view field;
};
struct planned_choice {
  component_kind kind;
  std::string_view component;
  std::string_view field;
  std::string_view value;
};

using enum component_kind;

constexpr std::array<planned_field, 10> planned_fields = {{
    {source, "file", "mode"},
    {source, "file", "max_line"},
    {source, "file", "header"},
    {stage, "parse", "regex"},
    {stage, "parse", "types"},
    {stage, "parse", "from"},
    {stage, "parse", "keep_rest"},
    {stage, "exec", "protocol"},
    {sink, "sqlite", "columns"},
    {sink, "file", "fsync"},
}};
constexpr std::array<planned_choice, 9> planned_choices = {{
    {source, "file", "format", "csv"},
    {source, "stdin", "format", "csv"},
    {stage, "parse", "format", "csv"},
    {stage, "parse", "format", "logfmt"},
    {stage, "parse", "format", "common"},
    {stage, "parse", "format", "syslog"},
    {stage, "exec", "protocol", "once"},
    {sink, "file", "format", "csv"},
    {sink, "stdout", "format", "csv"},
}};

}  // namespace

bool is_planned_field(component_kind kind, std::string_view component, std::string_view field) {
  return std::any_of(planned_fields.begin(), planned_fields.end(), [&](const auto& one) {
    return one.kind == kind && one.component == component && one.field == field;
  });
}

bool is_planned_choice(component_kind kind, std::string_view component, std::string_view field,
                       std::string_view value) {
  return std::any_of(planned_choices.begin(), planned_choices.end(), [&](const auto& one) {
    return one.kind == kind && one.component == component && one.field == field &&
           one.value == value;
  });
}

std::string_view to_string(component_kind kind) {
  switch (kind) {
    case source:
      return "source";
    case stage:
      return "stage";
    case sink:
      return "sink";
  }
  return {};
}

}  // namespace brigade::cli
