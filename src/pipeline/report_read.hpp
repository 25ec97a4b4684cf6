/// A report from the JSON that `report::json` wrote.
#pragma once
#include <brigade/pipeline/report.hpp>

#include <string_view>

namespace brigade::ledger_detail {

/// Throws std::exception when it is no such JSON.
[[nodiscard]] report read_report(std::string_view json);

}  // namespace brigade::ledger_detail
