/// The components of the connector `http`, each declared in a file of its own.
#pragma once
#include <brigade/pipeline/registry.hpp>

#include <string>

namespace brigade::http {

/// A field that is not required.
[[nodiscard]] field_spec field(std::string name, field_type type, std::string fallback,
                               std::string doc, std::string example = {});

[[nodiscard]] component source_component();
[[nodiscard]] component stage_component();
[[nodiscard]] component sink_component();

}  // namespace brigade::http
