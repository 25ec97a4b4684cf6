/// How one JSON value differs from another, for people.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace brigade::cli {

/// A line for each difference, by its path: `.total: expected 5, got 6`; none: they mean the same.
/// The order of members makes no difference, nor how a number is written. Both are JSON.
[[nodiscard]] std::vector<std::string> json_differences(std::string_view expected,
                                                        std::string_view got);

}  // namespace brigade::cli
