/// What `list`, `help` and `new` say of components, made of their own lists of fields.
#pragma once
#include <brigade/pipeline/registry.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace brigade::cli {

[[nodiscard]] std::string_view to_string(component_kind kind);
/// The components of a kind, by name.
[[nodiscard]] std::vector<const component*> components_of(const registry& known,
                                                          component_kind kind);
/// Those of a name: none, one, or a source and a sink.
[[nodiscard]] std::vector<const component*> components_called(const registry& known,
                                                              std::string_view name);
/// `there is no component 'fiel'; did you mean 'file'?`, and how to see them all.
[[nodiscard]] std::string no_such_component(const registry& known, std::string_view name);

/// `text`, `duration, such as 5s`, `lines or ndjson`.
[[nodiscard]] std::string type_text(const field_spec& field);
/// A value for the field, as it stands in a pipeline file; where there is a default, another one.
[[nodiscard]] std::string example_value(const field_spec& field);
/// The field that a value without a field's name means; null: there is none.
[[nodiscard]] const field_spec* shorthand_field(const component& what);
/// The fields that a pipeline file has to give: the required ones, or else the one that may stand
/// alone.
[[nodiscard]] std::vector<const field_spec*> needed_fields(const component& what);

}  // namespace brigade::cli
