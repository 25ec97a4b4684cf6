/// The components of the connector `http`, each declared in a file of its own.
#pragma once
#include <brigade/pipeline/registry.hpp>

namespace brigade::http {

[[nodiscard]] component source_component();
[[nodiscard]] component stage_component();
[[nodiscard]] component sink_component();

}  // namespace brigade::http
