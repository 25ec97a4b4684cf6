/// Arithmetic on what marks call finished, as plain ranges from 0 on: ascending and disjoint.
#pragma once
#include <brigade/pipeline/mark.hpp>

#include <vector>

namespace brigade::ledger_detail {

using ranges = std::vector<mark::range>;

[[nodiscard]] ranges ranges_of(const mark& at);
/// What is in `from` and not in `what`.
[[nodiscard]] ranges subtract(const ranges& from, const ranges& what);
/// `at` less `what`, with the same parts.
[[nodiscard]] mark without(const mark& at, const ranges& what);

}  // namespace brigade::ledger_detail
