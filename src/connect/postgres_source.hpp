/// The source `postgres`.
#pragma once
#include <brigade/pipeline/registry.hpp>

namespace brigade::postgres {

[[nodiscard]] component source_component();

}  // namespace brigade::postgres
