// What a pipeline file can say to the source `http`.
#pragma once
#include <brigade/pipeline/registry.hpp>

namespace brigade {

[[nodiscard]] component http_source_component();

}  // namespace brigade
