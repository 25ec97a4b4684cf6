#include "sim/coverage.hpp"
#include "sim/queue_scenario.hpp"
#include "sim/seeds.hpp"

#include <gtest/gtest.h>

namespace brigade::sim {
namespace {

using detail::probe::coverage;

TEST(queue_sim, loses_nothing_whatever_is_cancelled_closed_or_killed) {
  const seed_range seeds = seeds_for_one_of_two();
  const coverage_since_now seen;
  std::uint64_t steps = 0;
  std::uint64_t taken_up = 0;
  for (std::uint64_t n = 0; n < seeds.count; ++n) {
    const seed_under_way seed("queue_sim", seeds.first + n);
    queue_scenario scenario(seeds.first + n);
    const std::string problem = scenario.run();
    ASSERT_EQ(problem, "") << seed.how_to_repeat();
    steps += scenario.steps();
    taken_up += scenario.taken_up();
  }
  EXPECT_GE(taken_up * seeds_by_default, coverage_min * seeds.count);
  RecordProperty("steps", std::to_string(steps));
  seen.expect(seeds.count, {coverage::grant_revoked, coverage::put_cancelled_after_grant,
                            coverage::abort_with_grant_out, coverage::join_raced_by_put});
}

}  // namespace
}  // namespace brigade::sim
