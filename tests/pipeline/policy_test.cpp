#include <brigade/pipeline/policy.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace brigade {
namespace {

using std::chrono::milliseconds;
constexpr double nearly_one = 0.9999999999;

retry_policy policy(int attempts_max, milliseconds backoff_min, milliseconds backoff_max) {
  return retry_policy{
      .attempts_max = attempts_max, .backoff_min = backoff_min, .backoff_max = backoff_max};
}

TEST(retry, gives_up_after_the_last_completed_attempt) {
  const retry_policy five;
  EXPECT_TRUE(next_delay(five, 4, 0.5, std::nullopt).has_value());
  EXPECT_FALSE(next_delay(five, 5, 0.5, std::nullopt).has_value());
  EXPECT_FALSE(next_delay(five, 6, 0.5, std::nullopt).has_value());
  EXPECT_FALSE(next_delay(policy(1, milliseconds(1), milliseconds(2)), 1, 0.5, std::nullopt));
}

TEST(retry, an_attempt_that_was_not_charged_waits_like_the_first) {
  EXPECT_EQ(next_delay(retry_policy{}, 0, 0.5, std::nullopt), milliseconds(100));
  EXPECT_EQ(next_delay(retry_policy{}, 1, 0.5, std::nullopt), milliseconds(100));
}

TEST(retry, spreads_the_wait_over_everything_up_to_the_backoff) {
  const retry_policy five;
  EXPECT_EQ(next_delay(five, 1, 0.0, std::nullopt), milliseconds(0));
  EXPECT_EQ(next_delay(five, 1, nearly_one, std::nullopt), milliseconds(199));
  EXPECT_EQ(next_delay(five, 2, 0.25, std::nullopt), milliseconds(100));
  EXPECT_EQ(next_delay(five, 3, nearly_one, std::nullopt), milliseconds(799));
  EXPECT_EQ(next_delay(five, 4, 0.5, std::nullopt), milliseconds(800));
}

TEST(retry, never_backs_off_for_longer_than_the_cap) {
  const retry_policy capped = policy(100, milliseconds(200), milliseconds(1000));
  EXPECT_EQ(next_delay(capped, 3, 0.5, std::nullopt), milliseconds(400));
  EXPECT_EQ(next_delay(capped, 4, 0.5, std::nullopt), milliseconds(500));
  EXPECT_EQ(next_delay(capped, 99, 0.5, std::nullopt), milliseconds(500));
}

TEST(retry, survives_any_number_of_attempts) {
  constexpr int most = std::numeric_limits<int>::max();
  const retry_policy endless = policy(most, milliseconds(200), milliseconds(30'000));
  for (const int completed : {63, 64, 65, 1100, most - 1}) {
    EXPECT_EQ(next_delay(endless, completed, 0.5, std::nullopt), milliseconds(15'000)) << completed;
  }
  const retry_policy at_once = policy(most, milliseconds(0), milliseconds(30'000));
  EXPECT_EQ(next_delay(at_once, most - 1, 0.5, std::nullopt), milliseconds(0));
}

TEST(retry, waits_at_least_as_long_as_the_far_side_asked_for) {
  const retry_policy five;
  EXPECT_EQ(next_delay(five, 1, 0.5, milliseconds(60'000)), milliseconds(60'000));
  EXPECT_EQ(next_delay(five, 1, 0.5, milliseconds(10)), milliseconds(100));
  EXPECT_EQ(next_delay(five, 1, 0.0, milliseconds(0)), milliseconds(0));
  EXPECT_FALSE(next_delay(five, 5, 0.5, milliseconds(10)).has_value());
}

}  // namespace
}  // namespace brigade
