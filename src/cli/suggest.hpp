/// "Did you mean": the known word nearest to a misspelt one.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace brigade::cli {

/// How many letters must be put in, taken out, changed or swapped with their neighbour to make
/// one word the other.
[[nodiscard]] std::size_t edit_distance(std::string_view left, std::string_view right);

/// The nearest of `known` when it is near enough to be what was meant; else empty.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       std::span<const std::string_view> known);

/// `; did you mean 'workers'?`, or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       std::span<const std::string_view> known);

}  // namespace brigade::cli
