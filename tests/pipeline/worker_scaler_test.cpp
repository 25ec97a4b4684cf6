// The scaler alone, against loads that are formulas: how fast n workers are, and how unsteadily.
#include "pipeline/worker_scaler.hpp"

#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using detail::rate_meter;
using detail::time_point;
using detail::worker_scaler;

/// A stage that always has items waiting.
class loaded_stage {
 public:
  /// `speed` of n workers, in items a second, each look off by up to `noise` of it.
  loaded_stage(std::function<double(int)> speed, double noise, std::uint64_t seed)
      : speed_(std::move(speed)), noise_(noise), random_(seed) {}

  std::vector<int> run(worker_scaler& scaler, std::chrono::seconds how_long) {
    std::vector<int> wanted;
    for (const time_point end = now_ + how_long; now_ < end; now_ += worker_scaler::look_every) {
      const int workers = scaler.wanted();
      const double off = 1 + noise_ * (2 * random_.unit() - 1);
      progress_ += speed_(workers) * off * 0.01;
      worker_scaler::sight seen;
      seen.now = now_;
      seen.done = static_cast<std::uint64_t>(progress_);
      seen.waiting = true;
      seen.busy = workers;
      reports_.resize(
          static_cast<std::size_t>(std::max<int>(workers, static_cast<int>(reports_.size()))));
      for (worker_report& each : reports_) ++each.items;
      seen.workers = reports_;
      wanted.push_back(scaler.look(seen));
    }
    return wanted;
  }

 private:
  std::function<double(int)> speed_;
  double noise_;
  testing::random_source random_;
  time_point now_ = time_point(1h);
  double progress_ = 0;
  std::vector<worker_report> reports_;
};

int most_of(const std::vector<int>& wanted) { return *std::ranges::max_element(wanted); }

/// The number it had for longest.
int usual_of(const std::vector<int>& wanted) {
  std::vector<int> looks(static_cast<std::size_t>(most_of(wanted)) + 1);
  for (const int each : wanted) ++looks[static_cast<std::size_t>(each)];
  return static_cast<int>(std::ranges::max_element(looks) - looks.begin());
}

TEST(worker_scaler, begins_with_the_least_and_stays_in_its_range) {
  worker_scaler scaler(3, 10);
  EXPECT_EQ(scaler.wanted(), 3);
  loaded_stage stage([](int workers) { return 100.0 * workers; }, 0, 1);
  const std::vector<int> wanted = stage.run(scaler, 60s);
  EXPECT_EQ(*std::ranges::min_element(wanted), 3);
  EXPECT_EQ(most_of(wanted), 10);
  EXPECT_EQ(usual_of(wanted), 10);
}

TEST(worker_scaler, stays_low_when_more_bring_nothing_however_noisy_it_is) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    worker_scaler scaler(1, 64);
    loaded_stage stage([](int) { return 3000.0; }, 0.8, seed);
    const std::vector<int> wanted = stage.run(scaler, 120s);
    EXPECT_EQ(usual_of(wanted), 1) << "seed " << seed;
    EXPECT_LE(most_of(wanted), 8) << "seed " << seed;
  }
}

TEST(worker_scaler, finds_where_a_service_is_full) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    worker_scaler scaler(1, 64);
    loaded_stage stage([](int workers) { return 50.0 * std::min(workers, 12); }, 0.3, seed);
    const int usual = usual_of(stage.run(scaler, 120s));
    EXPECT_GE(usual, 11) << "seed " << seed;
    EXPECT_LE(usual, 16) << "seed " << seed;
  }
}

TEST(worker_scaler, goes_back_where_more_do_harm) {
  worker_scaler scaler(1, 64);
  const auto thrashing = [](int workers) {
    return workers <= 8 ? 100.0 * workers : 6400.0 / workers;
  };
  loaded_stage stage(thrashing, 0.1, 1);
  EXPECT_EQ(usual_of(stage.run(scaler, 60s)), 8);
}

// The service gets slower, and then better than it was.
TEST(worker_scaler, follows_a_load_that_changes) {
  worker_scaler scaler(1, 64);
  int room = 32;
  loaded_stage stage([&room](int workers) { return 50.0 * std::min(workers, room); }, 0.1, 1);
  EXPECT_EQ(usual_of(stage.run(scaler, 60s)), 32);
  room = 4;
  stage.run(scaler, 60s);
  EXPECT_LE(usual_of(stage.run(scaler, 60s)), 5);
  room = 64;
  stage.run(scaler, 60s);
  EXPECT_EQ(usual_of(stage.run(scaler, 60s)), 64);
}

TEST(rate_meter, knows_how_fast_and_how_sure) {
  const time_point began(5s);
  rate_meter steady;
  rate_meter uneven;
  steady.begin(began, 1000, true);
  uneven.begin(began, 0, false);
  for (int look = 1; look <= 100; ++look) {
    steady.add(began + look * 10ms, 1000 + static_cast<std::uint64_t>(look) * 5, true);
    // The same in all, but in lumps of 100.
    uneven.add(began + look * 10ms, static_cast<std::uint64_t>(look / 20) * 100, look % 2 == 0);
  }
  EXPECT_DOUBLE_EQ(steady.rate(), 500);
  EXPECT_DOUBLE_EQ(uneven.rate(), 500);
  EXPECT_EQ(steady.count(), 500U);
  EXPECT_LT(steady.variance(), 0.0001);
  EXPECT_GT(uneven.variance(), 0.01);
  EXPECT_DOUBLE_EQ(steady.waiting(), 1);
  EXPECT_NEAR(uneven.waiting(), 0.5, 0.01);
}

}  // namespace
}  // namespace brigade
