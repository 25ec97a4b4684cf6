// What the admin endpoint answers with.
#pragma once
#include <brigade/pipeline/status.hpp>

#include <chrono>
#include <string>

namespace brigade::admin {

/// In the text format of Prometheus, version 0.0.4.
[[nodiscard]] std::string metrics_page(const run_status& now);
/// JSON, an object.
[[nodiscard]] std::string status_page(const run_status& now, std::chrono::milliseconds stuck_after);

}  // namespace brigade::admin
