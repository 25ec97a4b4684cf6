#include <brigade/async/event.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/staggered.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using attempts = std::vector<std::function<task<int>()>>;
using strings = std::vector<std::string>;

/// Notes when it starts, in ms, and gives `value` or fails after `duration`.
task<int> attempt(detail::time_point began, strings& log, std::chrono::milliseconds duration,
                  int value) {
  const auto now = current_loop().now() - began;
  log.push_back(std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()));
  co_await sleep_for(duration);
  if (value < 0) throw std::runtime_error("refused");
  co_return value;
}

TEST(staggered_race, starts_the_next_after_the_delay_or_when_the_newest_has_failed) {
  virtual_loop loop;
  strings log;
  auto main = [&]() -> task<> {
    const auto began = current_loop().now();
    attempts four = {
        [&] { return attempt(began, log, 1h, 1); }, [&] { return attempt(began, log, 10ms, -1); },
        [&] { return attempt(began, log, 60ms, 3); }, [&] { return attempt(began, log, 1h, 4); }};
    const auto race = co_await staggered_race(std::move(four), 100ms);
    EXPECT_EQ(race.winner, 2U);
    EXPECT_EQ(race.value, 3);
    EXPECT_EQ(race.errors.size(), 3U);  // the fourth never started
  };
  loop.run(main());
  EXPECT_EQ(log, (strings{"0", "100", "110"}));
}

TEST(staggered_race, waits_for_the_end_of_the_losers) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    bool cleaned_up = false;
    auto slow = [&cleaned_up]() -> task<> {
      bool struck = false;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        struck = true;
      }
      if (struck) co_await shielded(1s, [](int) -> task<> { co_await sleep_for(5ms); }(0));
      cleaned_up = true;
      throw std::runtime_error("lost");
    };
    auto quick = []() -> task<> { co_return; };
    std::vector<std::function<task<>()>> two = {slow, quick};
    const auto race = co_await staggered_race(std::move(two), 1ms);
    EXPECT_EQ(race.winner, 1U);
    EXPECT_TRUE(race.value.has_value());
    EXPECT_TRUE(cleaned_up);
    EXPECT_EQ(error_text(race.errors[0]), "lost");
  };
  loop.run(main());
}

TEST(staggered_race, gives_what_cannot_be_copied) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto makes = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); };
    std::vector<decltype(makes)> one = {makes};
    auto race = co_await staggered_race(std::move(one), std::nullopt);
    EXPECT_EQ(**race.value, 5);
  };
  loop.run(main());
}

TEST(staggered_race, inside_a_scope_that_ends_starts_nothing_more) {
  virtual_loop loop;
  strings log;
  auto main = [&]() -> task<> {
    const auto began = current_loop().now();
    attempts three(3, [&] { return attempt(began, log, 1h, 1); });
    bool late = false;
    try {
      co_await timeout(150ms, staggered_race(std::move(three), 100ms));
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    EXPECT_EQ(current_loop().now() - began, 150ms);
  };
  loop.run(main());
  EXPECT_EQ(log, (strings{"0", "100"}));
}

TEST(staggered_race, is_named_with_its_line_when_it_hangs) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event never("never");
    auto waits = [](event& on) -> task<> { co_await on.wait(); };
    std::vector<std::function<task<>()>> one = {std::bind_front(waits, std::ref(never))};
    co_await staggered_race(std::move(one), std::nullopt);
  };
  std::string text;
  try {
    loop.run(main());
  } catch (const deadlock& found) {
    text = found.what();
  }
  EXPECT_NE(text.find("race of 1 attempts: 1 to go, at "), std::string::npos) << text;
}

TEST(staggered_race, dies_at_every_step_without_leaving_anything) {
  bool killed = true;
  for (std::uint64_t steps = 1; killed; ++steps) {
    ASSERT_LT(steps, 200U);
    strings log;
    virtual_loop loop;
    loop.kill_after(steps);
    auto main = [&]() -> task<> {
      const auto began = current_loop().now();
      attempts three = {[&] { return attempt(began, log, 1h, 1); },
                        [&] { return attempt(began, log, 1ms, -1); },
                        [&] { return attempt(began, log, 2ms, 3); }};
      co_await staggered_race(std::move(three), 1ms);
    };
    try {
      loop.run(main());
    } catch (const cancelled&) {
      static_cast<void>(0);
    }
    killed = loop.killed();
    EXPECT_EQ(loop.task_count(), 0U);
    EXPECT_TRUE(loop.timers().empty());
  }
}

}  // namespace
}  // namespace brigade
