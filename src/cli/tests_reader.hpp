/// Reads `tests`: items to try a pipeline with, and what is to come of them.
#pragma once
#include "cli/pipeline_config.hpp"
#include "cli/value_reader.hpp"

#include <string>
#include <vector>

namespace brigade::cli {

/// Those that are sound; what is wrong with the others is among the reader's problems.
[[nodiscard]] std::vector<test_config> read_tests(value_reader& reader, const yaml_entry& entry);

/// A YAML value as JSON: what is plain and reads as a number, true, false or null is that, and what
/// is quoted is text.
[[nodiscard]] std::string json_of(const yaml_node& node);

}  // namespace brigade::cli
