#include "pipeline/engine_fixture.hpp"

#include <brigade/async/group.hpp>
#include <brigade/pipeline/outcome_stream.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using testing::virtual_loop;

int picky(int order) {
  if (order % 10 == 0) throw permanent_error("a round number");
  return order;
}

std::string name_of(int order) { return "order-" + std::to_string(order); }

// Runs it and reads every outcome, `pause` apart.
std::vector<item_outcome> all_outcomes_of(ready_pipeline ready, std::chrono::milliseconds pause,
                                          report* account = nullptr) {
  virtual_loop loop;
  std::vector<item_outcome> all;
  auto main = [&]() -> task<> {
    auto body = [&](task_group& own) -> task<> {
      pipeline_run run = ready.start(own);
      outcome_stream outcomes = run.outcomes();
      for (;;) {
        auto told = co_await outcomes.next();
        if (!told) break;
        all.push_back(std::move(*told));
        if (pause.count() != 0) co_await sleep_for(pause);
      }
      report result = co_await run.finished();
      if (account != nullptr) *account = std::move(result);
    };
    co_await with_group(body);
  };
  loop.run(main());
  return all;
}

TEST(outcome_stream, tells_of_each_item_once_with_its_own_id) {
  const std::vector<item_outcome> all = all_outcomes_of(
      pipeline("orders").from(numbers(100)).id(name_of).stage("picky", picky).to("out", [](int) {}),
      0ms);
  std::map<std::string, outcome> by_id;
  for (const item_outcome& each : all)
    EXPECT_TRUE(by_id.emplace(each.business_id, each.result).second);
  ASSERT_EQ(by_id.size(), 100U);
  EXPECT_EQ(by_id.at("order-7"), outcome::delivered);
  EXPECT_EQ(by_id.at("order-90"), outcome::dead_lettered);
  for (const item_outcome& each : all) {
    if (each.result == outcome::delivered) continue;
    EXPECT_EQ(each.stage, "picky");
    EXPECT_EQ(each.error, "a round number");
    EXPECT_EQ(each.attempts, 1);
  }
}

// A reader that sleeps an hour between two outcomes holds the intake back, and loses nothing.
TEST(outcome_stream, what_is_not_read_keeps_its_place_in_the_window) {
  virtual_loop loop;
  std::uint64_t taken_early = 0;
  std::size_t heard = 0;
  auto main = [&]() -> task<> {
    auto body = [&](task_group& own) -> task<> {
      run_policy narrow;
      narrow.window_items_max = 10;
      pipeline_run run = pipeline("orders")
                             .from(numbers(100))
                             .stage("picky", picky)
                             .to("out", [](int) {})
                             .rules(narrow)
                             .start(own);
      outcome_stream outcomes = run.outcomes();
      co_await sleep_for(1h);
      taken_early = run.look().taken;
      for (;;) {
        auto told = co_await outcomes.next();
        if (!told) break;
        ++heard;
      }
    };
    co_await with_group(body);
  };
  loop.run(main());
  EXPECT_EQ(taken_early, 10U);
  EXPECT_EQ(heard, 100U);
}

TEST(outcome_stream, once_it_is_destroyed_the_run_goes_on_without_it) {
  virtual_loop loop;
  std::optional<report> account;
  auto main = [&]() -> task<> {
    auto body = [&](task_group& own) -> task<> {
      run_policy narrow;
      narrow.window_items_max = 10;
      pipeline_run run =
          pipeline("orders").from(numbers(100)).to("out", [](int) {}).rules(narrow).start(own);
      {
        outcome_stream outcomes = run.outcomes();
        co_await outcomes.next();
        co_await sleep_for(1h);
      }
      account = co_await run.finished();
    };
    co_await with_group(body);
  };
  loop.run(main());
  EXPECT_EQ(account->count(outcome::delivered), 100U);
}

TEST(outcome_stream, what_a_stop_returns_is_told_too) {
  virtual_loop loop;
  std::map<outcome, int> told_of;
  std::optional<report> account;
  auto main = [&]() -> task<> {
    auto body = [&](task_group& own) -> task<> {
      auto slow = [](int) -> task<> { co_await sleep_for(1s); };
      pipeline_run run = pipeline("orders")
                             .from(numbers(100))
                             .stage("slow", slow)
                             .to("out", [](int) {})
                             .start(own);
      outcome_stream outcomes = run.outcomes();
      auto stop_later = [&]() -> task<> {
        co_await sleep_for(5500ms);
        run.stop_now(1, "enough");
      };
      own.spawn(stop_later);
      for (;;) {
        auto told = co_await outcomes.next();
        if (!told) break;
        ++told_of[told->result];
      }
      account = co_await run.finished();
    };
    co_await with_group(body);
  };
  loop.run(main());
  EXPECT_EQ(told_of[outcome::delivered], 5);
  EXPECT_EQ(static_cast<std::uint64_t>(told_of[outcome::returned]),
            account->count(outcome::returned));
  EXPECT_EQ(account->taken, account->count(outcome::delivered) + account->count(outcome::returned));
}

}  // namespace
}  // namespace brigade
