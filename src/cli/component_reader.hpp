/// Reads what a pipeline file says to a component, by the component's own list of fields.
#pragma once
#include "cli/pipeline_config.hpp"
#include "cli/value_reader.hpp"

#include <string>

namespace brigade::cli {

/// Fills `use.values`, `use.places` and `use.complete` from the entry `component: value`;
/// `use.what` and `use.at` are set. `owner` is for messages: `stage 'charge'`. What is wrong goes
/// to the reader's problems.
void read_settings(value_reader& reader, const yaml_entry& entry, const std::string& owner,
                   component_use& use);

}  // namespace brigade::cli
