#include "pipeline/engine_fixture.hpp"

#include <brigade/async/group.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/pipeline/pipeline_run.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using testing::virtual_loop;

auto slow_pipeline(int items, std::vector<int>& got) {
  auto slow = [](int) -> task<> { co_await sleep_for(100ms); };
  return pipeline("orders").from(numbers(items)).stage("slow", slow).to("out", [&](int item) {
    got.push_back(item);
  });
}

TEST(pipeline_run, is_asked_while_it_runs_and_waited_for_at_its_end) {
  virtual_loop loop;
  std::vector<int> got;
  std::optional<report> in_between;
  std::optional<report> at_the_end;
  auto main = [&]() -> task<> {
    task_group group;
    auto body = [&](task_group& own) -> task<> {
      pipeline_run run = slow_pipeline(10, got).start(own);
      EXPECT_EQ(run.account().pipeline, "orders");
      EXPECT_EQ(run.status().phase, status_phase::starting);
      co_await sleep_for(550ms);
      in_between = run.account();
      EXPECT_EQ(run.look().taken, 10U);
      EXPECT_FALSE(run.ended());
      EXPECT_EQ(run.status().phase, status_phase::running);
      EXPECT_EQ(run.status().stages.front().busy_workers, 1U);
      at_the_end = co_await run.finished();
      EXPECT_TRUE(run.ended());
      EXPECT_EQ(run.status().phase, status_phase::ended);
      const report again = co_await run.finished();
      EXPECT_EQ(again.line(), at_the_end->line());
    };
    co_await group.run(body);
  };
  loop.run(main());
  ASSERT_TRUE(in_between && at_the_end);
  EXPECT_EQ(in_between->taken, 10U);
  EXPECT_GT(in_between->in_flight, 0U);
  EXPECT_TRUE(in_between->adds_up());
  EXPECT_EQ(at_the_end->count(outcome::delivered), 10U);
  EXPECT_EQ(at_the_end->exit_code, 0);
  EXPECT_EQ(got, numbers(10));
}

TEST(pipeline_run, a_drain_before_its_first_step_takes_nothing) {
  virtual_loop loop;
  std::vector<int> got;
  auto main = [&]() -> task<report> {
    std::optional<report> result;
    auto body = [&](task_group& own) -> task<> {
      pipeline_run run = slow_pipeline(10, got).start(own);
      run.drain();
      result = co_await run.finished();
    };
    co_await with_group(body);
    co_return *result;
  };
  const report result = loop.run(main());
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.taken, 0U);
}

// asyncio's gather would lose what is in flight; here the group's cancellation is a drain.
TEST(pipeline_run, a_cancelled_group_finishes_what_is_in_flight) {
  virtual_loop loop;
  std::vector<int> got;
  std::optional<pipeline_run> run;
  auto main = [&]() -> task<report> {
    task_group group;
    auto body = [&](task_group& own) -> task<> {
      run = slow_pipeline(1000, got).start(own);
      co_await sleep_for(250ms);
      own.cancel("closing time");
    };
    co_await group.run(body);
    co_return co_await run->finished();
  };
  const report result = loop.run(main());
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_TRUE(result.adds_up());
  EXPECT_GT(result.count(outcome::delivered), 3U);  // the queue of the stage as well
  EXPECT_EQ(result.count(outcome::delivered), got.size());
  EXPECT_EQ(result.in_flight, 0U);
}

TEST(pipeline_run, stop_now_returns_what_is_unfinished_and_says_why) {
  virtual_loop loop;
  std::vector<int> got;
  auto main = [&]() -> task<report> {
    std::optional<report> result;
    auto body = [&](task_group& own) -> task<> {
      pipeline_run run = slow_pipeline(1000, got).start(own);
      co_await sleep_for(250ms);
      run.stop_now(4, "enough");
      result = co_await run.finished();
    };
    co_await with_group(body);
    co_return *result;
  };
  const report result = loop.run(main());
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_EQ(result.error, "enough");
  EXPECT_GT(result.count(outcome::returned), 0U);
}

TEST(pipeline_run, a_handle_keeps_neither_the_ledger_nor_the_signals_of_a_run_that_has_ended) {
  std::string folder = ::testing::TempDir() + "brigade-run-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  struct sigaction before{};
  ASSERT_EQ(::sigaction(SIGINT, nullptr, &before), 0);
  struct sigaction after{};
  std::vector<std::uint64_t> taken;
  auto days = [&](task_group& own) -> task<> {
    std::vector<pipeline_run> runs;
    for (const int items : {3, 5}) {
      auto day = pipeline("orders").from(numbers(items)).to("out", [](int) {});
      runs.push_back(day.ledger(folder + "/orders.ledger.db").stop_on_signals().start(own));
      const report account = co_await runs.back().finished();
      taken.push_back(account.taken);
    }
    ::sigaction(SIGINT, nullptr, &after);
  };
  run(with_group(days));
  std::filesystem::remove_all(folder);
  EXPECT_EQ(taken, (std::vector<std::uint64_t>{3, 2}));
  EXPECT_EQ(after.sa_handler, before.sa_handler);
}

TEST(pipeline_run_death, a_pipeline_is_run_once) {
  auto twice = [] {
    auto day = pipeline("orders").from(numbers(3)).to("out", [](int) {});
    day.run();
    day.run();
  };
  EXPECT_DEATH(twice(), "is run once");
}

}  // namespace
}  // namespace brigade
