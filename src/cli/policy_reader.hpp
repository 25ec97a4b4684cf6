/// Reads the keys that stand beside a component, and those of the whole file that are no component:
/// retries, queues, timeouts, windows. What this version cannot do is a problem, never ignored.
#pragma once
#include "cli/pipeline_config.hpp"
#include "cli/value_reader.hpp"

#include <string>
#include <string_view>

namespace brigade::cli {

/// The reserved keys beside a component of that kind.
[[nodiscard]] std::span<const std::string_view> reserved_keys(component_kind kind);

/// `owner` is for messages: `stage 'charge'`. The defaults that the component has are in place.
void read_stage_policy(value_reader& reader, const yaml_node& node, const std::string& owner,
                       stage_config& stage);
void read_sink_policy(value_reader& reader, const yaml_node& sink, const std::string& owner,
                      sink_policy& policy);
/// `window`, `give_up_after`, `stop_timeout`, `ledger`, the order, and the planned keys of the
/// file.
void read_run_keys(value_reader& reader, const yaml_node& root, pipeline_config& config);

}  // namespace brigade::cli
