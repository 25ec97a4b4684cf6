// asyncio's tests of staggered_race (test_staggered.py), each with the outcome asserted there.

#include <brigade/async/event.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/staggered.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using attempts = std::vector<std::function<task<std::string>()>>;
using strings = std::vector<std::string>;

task<std::string> named(int index) { co_return "Res: " + std::to_string(index); }

task<std::string> fails(int index) {
  throw std::runtime_error(std::to_string(index));
  co_return "";
}

TEST(StaggeredTests, empty) {
  virtual_loop loop;
  auto main = []() -> task<> {
    const auto race = co_await staggered_race(attempts{}, std::nullopt);
    EXPECT_FALSE(race.winner.has_value());
    EXPECT_FALSE(race.value.has_value());
    EXPECT_TRUE(race.errors.empty());
  };
  loop.run(main());
}

TEST(StaggeredTests, one_successful) {
  virtual_loop loop;
  auto main = []() -> task<> {
    attempts one = {std::bind_front(named, 0)};
    const auto race = co_await staggered_race(std::move(one), std::nullopt);
    EXPECT_EQ(race.winner, 0U);
    EXPECT_EQ(race.value, "Res: 0");
    EXPECT_EQ(race.errors, std::vector<std::exception_ptr>{nullptr});
  };
  loop.run(main());
}

TEST(StaggeredTests, first_error_second_successful) {
  virtual_loop loop;
  auto main = []() -> task<> {
    attempts two = {std::bind_front(fails, 0), std::bind_front(named, 1)};
    const auto race = co_await staggered_race(std::move(two), std::nullopt);
    EXPECT_EQ(race.winner, 1U);
    EXPECT_EQ(race.value, "Res: 1");
    EXPECT_EQ(race.errors.size(), 2U);
    EXPECT_EQ(error_text(race.errors[0]), "0");
    EXPECT_EQ(race.errors[1], nullptr);
  };
  loop.run(main());
}

TEST(StaggeredTests, first_timeout_second_successful) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto slow_then_quick = [](int index) -> task<std::string> {
      if (index == 0) co_await sleep_for(10s);
      co_return "Res: " + std::to_string(index);
    };
    attempts two = {std::bind_front(slow_then_quick, 0), std::bind_front(slow_then_quick, 1)};
    const auto began = current_loop().now();
    const auto race = co_await staggered_race(std::move(two), 100ms);
    EXPECT_EQ(current_loop().now() - began, 100ms);
    EXPECT_EQ(race.winner, 1U);
    EXPECT_EQ(race.value, "Res: 1");
    EXPECT_EQ(race.errors.size(), 2U);
    EXPECT_THROW(std::rethrow_exception(race.errors[0]), cancelled);
    EXPECT_EQ(race.errors[1], nullptr);
  };
  loop.run(main());
}

TEST(StaggeredTests, none_successful) {
  for (const auto delay : {std::optional<std::chrono::nanoseconds>(), {0ns}, {1s}}) {
    virtual_loop loop;
    auto main = [&]() -> task<> {
      attempts two = {std::bind_front(fails, 0), std::bind_front(fails, 1)};
      const auto race = co_await staggered_race(std::move(two), delay);
      EXPECT_FALSE(race.winner.has_value());
      EXPECT_FALSE(race.value.has_value());
      EXPECT_EQ(race.errors.size(), 2U);
      EXPECT_EQ(error_text(race.errors[0]), "0");
      EXPECT_EQ(error_text(race.errors[1]), "1");
    };
    loop.run(main());
  }
}

TEST(StaggeredTests, multiple_winners) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event go;
    auto waits = [](int index, event& on) -> task<std::string> {
      co_await on.wait();
      co_return "Res: " + std::to_string(index);
    };
    auto sets = [](event& on) -> task<std::string> {
      on.set();
      co_await sleep_for(1h);
      co_return "";
    };
    attempts three = {std::bind_front(waits, 0, std::ref(go)),
                      std::bind_front(waits, 1, std::ref(go)), std::bind_front(sets, std::ref(go))};
    const auto race = co_await staggered_race(std::move(three), 100ms);
    EXPECT_EQ(race.winner, 0U);
    EXPECT_EQ(race.value, "Res: 0");
    EXPECT_EQ(race.errors.size(), 3U);
    EXPECT_EQ(race.errors[0], nullptr);
    EXPECT_THROW(std::rethrow_exception(race.errors[1]), cancelled);
    EXPECT_THROW(std::rethrow_exception(race.errors[2]), cancelled);
  };
  loop.run(main());
}

TEST(StaggeredTests, cancelled) {
  virtual_loop loop;
  strings log;
  auto main = [&]() -> task<> {
    auto stubborn = [](strings& lines) -> task<std::string> {
      for (const char* line : {"cancelled 1", "cancelled 2"}) {
        try {
          co_await sleep_for(1h);
        } catch (const brigade::cancelled&) {
          lines.emplace_back(line);
        }
      }
      co_return "";
    };
    auto races = [](auto attempt, strings& lines) -> task<> {
      attempts one = {std::bind_front(attempt, std::ref(lines))};
      std::exception_ptr struck;
      try {
        co_await staggered_race(std::move(one), std::nullopt);
      } catch (const brigade::cancelled&) {
        struck = std::current_exception();
        lines.emplace_back("cancelled 3");
      }
      if (struck) std::rethrow_exception(struck);
    };
    auto outer = spawn(races, stubborn, std::ref(log));
    co_await sleep_for(1ms);
    outer.cancel();
    co_await sleep_for(1ms);
    EXPECT_FALSE(outer.done());
    outer.cancel();
    co_await sleep_for(1ms);
    EXPECT_TRUE(outer.cancelled());
  };
  loop.run(main());
  EXPECT_EQ(log, (strings{"cancelled 1", "cancelled 2", "cancelled 3"}));
}

}  // namespace
}  // namespace brigade
