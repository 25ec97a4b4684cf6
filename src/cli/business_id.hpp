/// What a pipeline file's expressions say of an item: its own id, its key, how urgent it is.
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

/// A number; true is 1 and false 0. NaN when the result is nothing of these. Throws as above.
[[nodiscard]] std::function<double(const payload&)> priority_of(std::string_view expression);

}  // namespace brigade::cli
