/// What became of an item, and what came of one attempt at it.
///
/// An item has exactly one outcome. Timed out and cancelled are results of an attempt, never
/// outcomes.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace brigade {

enum class outcome : std::uint8_t {
  delivered,      ///< the sink has it, durably
  filtered,       ///< a stage decided that it need not go on
  dead_lettered,  ///< failed for good; kept, with its error, where it can be replayed
  dropped,   ///< the user's own words allowed to lose it (`when_full: drop_*`, optional branch)
  returned,  ///< not finished; the source still has it
};
inline constexpr std::size_t outcome_count = 5;
inline constexpr std::array<outcome, outcome_count> all_outcomes = {
    outcome::delivered, outcome::filtered, outcome::dead_lettered, outcome::dropped,
    outcome::returned};

[[nodiscard]] constexpr std::string_view to_string(outcome result) {
  constexpr std::array<std::string_view, outcome_count> names = {
      "delivered", "filtered", "dead_lettered", "dropped", "returned"};
  return names[static_cast<std::size_t>(result)];
}

/// How a failed attempt is to be taken. What a handler does not say counts as retryable.
enum class verdict : std::uint8_t {
  retryable,  ///< the same item may succeed later
  permanent,  ///< this item never will: dead-letter it now
  fatal,      ///< the run cannot go on: stop, return everything unfinished
};

}  // namespace brigade
