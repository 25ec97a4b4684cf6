#include "sim/coverage.hpp"
#include "sim/pipeline_scenario.hpp"
#include "sim/seeds.hpp"

#include <gtest/gtest.h>

namespace brigade::sim {
namespace {

using detail::probe::coverage;

TEST(pipeline_sim, gives_every_item_one_outcome_whatever_fails_stops_or_is_killed) {
  const seed_range seeds = seeds_for_one_of_two();
  const coverage_since_now seen;
  std::uint64_t steps = 0;
  std::uint64_t runs = 0;
  for (std::uint64_t n = 0; n < seeds.count; ++n) {
    const seed_under_way seed("pipeline_sim", seeds.first + n);
    pipeline_scenario scenario(seeds.first + n);
    const std::string problem = scenario.run();
    ASSERT_EQ(problem, "") << seed.how_to_repeat();
    steps += scenario.steps();
    runs += scenario.runs();
  }
  std::cout << "  " << runs << " runs, " << steps << " steps\n";
  seen.expect(seeds.count, {coverage::stop_during_retry, coverage::child_died});
}

TEST(pipeline_sim, a_seed_repeats_exactly) {
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    pipeline_scenario first(seed);
    pipeline_scenario second(seed);
    EXPECT_EQ(first.run(), second.run());
    EXPECT_EQ(first.trace(), second.trace()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace brigade::sim
