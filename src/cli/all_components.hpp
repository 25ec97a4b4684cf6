/// Every component this program was built with.
#pragma once
#include <brigade/pipeline/registry.hpp>

namespace brigade::cli {

/// Made once; lives as long as the process. Thread safety: call it from one thread first.
[[nodiscard]] const registry& all_components();

}  // namespace brigade::cli
