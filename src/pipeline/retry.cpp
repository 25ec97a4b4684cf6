#include <brigade/async/assert.hpp>
#include <brigade/pipeline/policy.hpp>

#include <algorithm>
#include <cmath>

namespace brigade {

std::optional<milliseconds> next_delay(const retry_policy& policy, int attempts_completed,
                                       double random, std::optional<milliseconds> retry_after) {
  BRIGADE_ASSERT(attempts_completed >= 0, "next_delay: a negative number of attempts");
  BRIGADE_ASSERT(random >= 0.0, "next_delay: random is below 0");
  BRIGADE_ASSERT(random < 1.0, "next_delay: random is not below 1");
  if (attempts_completed >= policy.attempts_max) return std::nullopt;

  // In floating point a large number of attempts gives infinity, which the cap then cuts.
  const double doubled = std::ldexp(static_cast<double>(policy.backoff_min.count()),
                                    std::max(attempts_completed - 1, 0));
  const double ceiling = std::min(doubled, static_cast<double>(policy.backoff_max.count()));
  const milliseconds jittered(static_cast<milliseconds::rep>(ceiling * random));
  return std::max(jittered, retry_after.value_or(milliseconds{0}));
}

}  // namespace brigade
