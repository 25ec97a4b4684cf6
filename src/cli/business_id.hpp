/// The `id:` of a pipeline file: what an item calls itself.
#pragma once
#include <brigade/pipeline/payload.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace brigade::cli {

/// Strings give their content, other values their JSON text; null, no result and an item for which
/// the expression fails give none (empty). Throws std::invalid_argument as jq_program does.
[[nodiscard]] std::function<std::string(const payload&)> business_id_of(
    std::string_view expression);

}  // namespace brigade::cli
