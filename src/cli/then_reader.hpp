/// Reads `then`: the last step of a pipeline.
#pragma once
#include "cli/pipeline_config.hpp"
#include "cli/value_reader.hpp"

#include <optional>

namespace brigade::cli {

/// Nothing where something is wrong with it; that is among the reader's problems.
[[nodiscard]] std::optional<then_config> read_then(value_reader& reader, const yaml_entry& entry);

}  // namespace brigade::cli
