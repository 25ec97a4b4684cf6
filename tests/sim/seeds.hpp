// Which seeds a simulation runs, and what it says when one fails.
//
//   BRIGADE_SIM_SEEDS   how many: halved between the queue and the pipeline; each test of
//                       conservation runs them all [10000]
//   BRIGADE_SIM_FIRST   the first one [1]
#pragma once
#include <cstdint>
#include <string>

namespace brigade::sim {

inline constexpr std::uint64_t seeds_by_default = 10'000;
/// How often each rare situation must have come up in a run of that many.
inline constexpr std::uint64_t coverage_min = 100;

struct seed_range {
  std::uint64_t first = 1;
  std::uint64_t count = 0;
};
[[nodiscard]] seed_range seeds_for_one_of_two();
[[nodiscard]] seed_range all_seeds();

/// While it lives, an end by an assertion or a sanitizer prints the line of `how_to_repeat`.
class seed_under_way {
 public:
  seed_under_way(const char* suite, std::uint64_t seed);
  ~seed_under_way();
  seed_under_way(const seed_under_way&) = delete;
  seed_under_way& operator=(const seed_under_way&) = delete;
  /// The command that runs this one seed again.
  [[nodiscard]] std::string how_to_repeat() const;
};

}  // namespace brigade::sim
