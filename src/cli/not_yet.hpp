/// What the file format defines and this version does not do: refused by name, so that nobody
/// takes it for a spelling mistake, or for done.
#pragma once
#include <brigade/pipeline/registry.hpp>

#include <string_view>

namespace brigade::cli {

/// Asked only of what the registry does not have.
[[nodiscard]] bool is_planned_field(component_kind kind, std::string_view component,
                                    std::string_view field);
[[nodiscard]] bool is_planned_choice(component_kind kind, std::string_view component,
                                     std::string_view field, std::string_view value);

[[nodiscard]] std::string_view to_string(component_kind kind);

}  // namespace brigade::cli
