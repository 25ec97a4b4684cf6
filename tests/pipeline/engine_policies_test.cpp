// Queues that are not first in, first out, rates and error budgets, in virtual time.
#include "pipeline/engine_fixture.hpp"

#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

using test::numbers;
using test::run_and_drain;
using test::run_on;

/// What a stage with one slow worker took, in which order, of numbers that all came at once.
std::vector<int> taken_from_a_queue(const stage_policy& policy, int count, auto... priority) {
  virtual_loop loop;
  std::vector<int> order;
  auto slow = [&](int item) -> task<int> {
    order.push_back(item);
    co_await sleep_for(10ms);
    co_return item;
  };
  const report result = run_on(loop, pipeline("queue")
                                         .from(numbers(count))
                                         .stage("work", slow, policy, priority...)
                                         .to("out", [](int) {})
                                         .take_plan());
  EXPECT_TRUE(result.adds_up());
  return order;
}

TEST(engine_queue, last_in_first_out_takes_the_latest_first) {
  const auto order = taken_from_a_queue({.queue_order = queue_kind::lifo}, 5);
  EXPECT_EQ(order, (std::vector<int>{5, 4, 3, 2, 1}));
}

TEST(engine_queue, the_greatest_priority_is_taken_first_and_equal_ones_in_their_order) {
  const auto by_tens = [](int item) { return item / 10; };
  const auto order = taken_from_a_queue({}, 25, by_tens);
  std::vector<int> expected;
  for (int n = 20; n <= 25; ++n) expected.push_back(n);
  for (int n = 10; n <= 19; ++n) expected.push_back(n);
  for (int n = 1; n <= 9; ++n) expected.push_back(n);
  EXPECT_EQ(order, expected);
}

TEST(engine_queue, a_priority_that_is_no_number_or_throws_is_the_least) {
  const auto priority = [](int item) -> double {
    if (item == 2) throw std::runtime_error("no urgency");
    return item == 1 ? std::numeric_limits<double>::quiet_NaN() : -item;
  };
  EXPECT_EQ(taken_from_a_queue({}, 4, priority), (std::vector<int>{3, 4, 1, 2}));
}

// A stream of urgent items that never ends, and seven that are not: each must have its turn.
TEST(engine_queue, what_has_waited_for_long_has_its_turn_though_more_urgent_ones_keep_coming) {
  virtual_loop loop;
  const auto begun = loop.now();
  std::map<int, double> taken;
  auto generate = [n = 0]() mutable { return ++n > 200 ? std::nullopt : std::optional<int>(n); };
  auto slow = [&](int item) -> task<> {
    taken[item] = std::chrono::duration<double>(loop.now() - begun).count();
    co_await sleep_for(1s);
  };
  run_on(loop, pipeline("queue")
                   .from(generate)
                   .stage("work", slow, {.queue_items_max = 8}, [](int item) { return item; })
                   .to("out", [](int) {})
                   .take_plan());
  for (int n = 1; n <= 7; ++n) EXPECT_DOUBLE_EQ(taken[n], 30 + 4 * n - 1) << n;
}

/// One after the other, a millisecond apart, so that the workers have begun.
auto trickle(std::vector<int> items) {
  return [items = std::move(items), at = std::size_t{0}]() mutable {
    return [](const std::vector<int>& all, std::size_t next) -> task<std::optional<int>> {
      co_await sleep_for(1ms);
      if (next >= all.size()) co_return std::nullopt;
      co_return all[next];
    }(items, at++);
  };
}

report run_full(virtual_loop& loop, const stage_policy& policy, std::set<int>& got) {
  auto slow = [](int item) -> task<int> {
    co_await sleep_for(1s);
    co_return item;
  };
  return run_on(loop, pipeline("full")
                          .from(trickle(numbers(20)))
                          .stage("work", slow, policy)
                          .to("out", [&](int item) { got.insert(item); })
                          .take_plan());
}

TEST(engine_queue, a_full_queue_drops_the_newest_when_told_to_and_the_account_says_so) {
  virtual_loop loop;
  std::set<int> got;
  const stage_policy policy{.queue_items_max = 4, .queue_full = when_full::drop_newest};
  const report result = run_full(loop, policy, got);
  EXPECT_EQ(got, (std::set<int>{1, 2, 3, 4, 5}));
  EXPECT_EQ(result.count(outcome::dropped), 15U);
  EXPECT_EQ(result.stages[0].settled[static_cast<std::size_t>(outcome::dropped)], 15U);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(result.adds_up());
}

TEST(engine_queue, a_full_queue_drops_the_oldest_when_told_to) {
  virtual_loop loop;
  std::set<int> got;
  const stage_policy policy{.queue_items_max = 4, .queue_full = when_full::drop_oldest};
  const report result = run_full(loop, policy, got);
  EXPECT_EQ(got, (std::set<int>{1, 17, 18, 19, 20}));
  EXPECT_EQ(result.count(outcome::dropped), 15U);
  EXPECT_TRUE(result.adds_up());
}

TEST(engine_queue, by_priority_the_least_urgent_is_dropped) {
  virtual_loop loop;
  std::set<int> got;
  auto slow = [](int item) -> task<int> {
    co_await sleep_for(1s);
    co_return item;
  };
  const stage_policy policy{.queue_items_max = 2, .queue_full = when_full::drop_oldest};
  run_on(loop, pipeline("full")
                   .from(trickle({5, 9, 1, 8, 2}))
                   .stage("work", slow, policy, [](int item) { return item; })
                   .to("out", [&](int item) { got.insert(item); })
                   .take_plan());
  EXPECT_EQ(got, (std::set<int>{5, 8, 9}));
}

TEST(engine_rate, a_stage_starts_so_many_attempts_a_second_and_no_more) {
  virtual_loop loop;
  std::vector<detail::time_point> starts;
  auto work = [&](int item) -> task<int> {
    starts.push_back(loop.now());
    co_await sleep_for(30ms);
    co_return item;
  };
  const stage_policy policy{.workers = 8, .rate = {.items = 10}};
  const report result = run_on(loop, pipeline("rate")
                                         .from(numbers(51))
                                         .stage("work", work, policy)
                                         .to("out", [](int) {})
                                         .take_plan());
  EXPECT_EQ(result.count(outcome::delivered), 51U);
  ASSERT_EQ(starts.size(), 51U);
  EXPECT_NEAR(std::chrono::duration<double>(starts.back() - starts.front()).count(), 5.0, 0.01);
  for (std::size_t n = 10; n < starts.size(); ++n) {
    EXPECT_GE(starts[n] - starts[n - 10], 999ms) << n;
  }
}

TEST(engine_rate, retries_are_attempts_too) {
  virtual_loop loop;
  auto fails = [](int) -> int { throw std::runtime_error("no"); };
  stage_policy policy{.rate = {.items = 1}};
  policy.retry.attempts_max = 3;
  policy.retry.backoff_min = policy.retry.backoff_max = 1ms;
  const report result = run_on(loop, pipeline("rate")
                                         .from(numbers(4))
                                         .stage("work", fails, policy)
                                         .to("out", [](int) {})
                                         .take_plan());
  EXPECT_EQ(result.count(outcome::dead_lettered), 4U);
  EXPECT_NEAR(result.seconds, 11.0, 0.2);
}

TEST(engine_rate, a_sink_is_given_no_more_than_its_rate) {
  virtual_loop loop;
  std::vector<detail::time_point> got;
  const sink_policy slow{.rate = {.items = 600, .per = 1min}};
  const report result = run_on(loop, pipeline("rate")
                                         .from(numbers(31))
                                         .stage("work", [](int) {})
                                         .to(
                                             "out", [&](int) { got.push_back(loop.now()); }, slow)
                                         .take_plan());
  EXPECT_EQ(result.count(outcome::delivered), 31U);
  EXPECT_NEAR(result.seconds, 3.0, 0.1);
  EXPECT_GE(got.at(30) - got.at(20), 999ms);
}

// The stream ends while workers wait for leave to start: they do not wait for a token each.
TEST(engine_rate, workers_with_nothing_to_do_do_not_hold_the_end_up) {
  virtual_loop loop;
  const stage_policy policy{.workers = 20, .rate = {.items = 1, .per = 1h}};
  const report result = run_on(loop, pipeline("rate")
                                         .from(numbers(1))
                                         .stage(
                                             "work", [](int) {}, policy)
                                         .to("out", [](int) {})
                                         .take_plan());
  EXPECT_EQ(result.count(outcome::delivered), 1U);
  EXPECT_LT(result.seconds, 1.0);
}

struct failing_run {
  report result;
  std::vector<std::string> notices;
};

/// Items for which `fails` says so are refused for good.
failing_run run_with_budget(const error_budget& budget, int count, std::predicate<int> auto fails) {
  virtual_loop loop;
  failing_run run;
  auto work = [&](int item) -> task<int> {
    co_await sleep_for(10ms);
    if (fails(item)) throw permanent_error("refused");
    co_return item;
  };
  const stage_policy policy{.failure = on_error::tolerate, .budget = budget};
  pipeline_plan plan = pipeline("budget")
                           .from(numbers(count))
                           .stage("work", work, policy)
                           .to("out", [](int) {})
                           .take_plan();
  plan.observer.on_notice = [&](std::string_view line) { run.notices.emplace_back(line); };
  run.result = run_on(loop, std::move(plan));
  EXPECT_TRUE(run.result.adds_up());
  return run;
}

TEST(engine_budget, so_many_failures_are_tolerated_and_one_more_stops_the_run) {
  const auto third = [](int item) { return item % 3 == 0; };
  EXPECT_EQ(run_with_budget({.count = 10}, 30, third).result.exit_code, 3);
  const report over = run_with_budget({.count = 9}, 100, third).result;
  EXPECT_EQ(over.exit_code, 4);
  EXPECT_EQ(over.count(outcome::dead_lettered), 10U);
  EXPECT_GT(over.count(outcome::returned), 0U);
  EXPECT_NE(over.error.find("10 items failed, and 9 are tolerated"), std::string::npos);
  EXPECT_NE(over.error.find("refused"), std::string::npos);
}

TEST(engine_budget, a_share_counts_from_a_hundred_results_on) {
  const auto first_ten = [](int item) { return item <= 10; };
  const report early = run_with_budget({.share = 0.10}, 200, first_ten).result;
  EXPECT_EQ(early.exit_code, 3) << early.error;
  const report at_hundred = run_with_budget({.share = 0.09}, 200, first_ten).result;
  EXPECT_EQ(at_hundred.exit_code, 4);
  EXPECT_EQ(at_hundred.count(outcome::dead_lettered), 10U);
  EXPECT_NEAR(static_cast<double>(at_hundred.count(outcome::delivered)), 90, 1);
  EXPECT_NE(at_hundred.error.find("10 of the last 100 items failed, and 9% are tolerated"),
            std::string::npos)
      << at_hundred.error;
}

TEST(engine_budget, a_share_is_of_the_last_thousand) {
  // 40 early failures are forgotten when 40 more come.
  const auto twice_forty = [](int item) { return item <= 40 || (item > 1040 && item <= 1080); };
  const auto spread = [](int item) { return item % 20 == 0; };  // 5% all along
  EXPECT_EQ(run_with_budget({.share = 0.05}, 3000, spread).result.exit_code, 3);
  const report result = run_with_budget({.share = 0.40}, 1200, twice_forty).result;
  EXPECT_EQ(result.exit_code, 3) << result.error;
  const report late = run_with_budget({.share = 0.05}, 3000, [](int item) {
                        return item > 2000 && item % 2 == 0;
                      }).result;
  EXPECT_EQ(late.exit_code, 4);
  EXPECT_EQ(late.count(outcome::dead_lettered), 51U);
}

TEST(engine_budget, a_paused_stage_tries_one_item_every_thirty_seconds_and_goes_on) {
  const auto outage = [](int item) { return item > 5 && item <= 10; };
  const error_budget budget{.count = 2, .then = error_budget::spent::pause};
  const failing_run run = run_with_budget(budget, 50, outage);
  EXPECT_EQ(run.result.exit_code, 3);
  EXPECT_EQ(run.result.count(outcome::dead_lettered), 5U);
  EXPECT_EQ(run.result.count(outcome::delivered), 45U);
  // 6, 7 and 8 use it up; 9 and 10 are probes that fail, 11 is the one that gets through.
  EXPECT_NEAR(run.result.seconds, 90.5, 0.5);
  ASSERT_EQ(run.notices.size(), 2U);
  EXPECT_NE(run.notices[0].find("stage 'work' pauses, and tries one item every 30 s: 3 items "
                                "failed, and 2 are tolerated"),
            std::string::npos);
  EXPECT_EQ(run.notices[1], "stage 'work' goes on: an item got through");
}

TEST(engine_budget, a_pause_holds_the_source_and_ends_with_a_stop) {
  virtual_loop loop;
  int given = 0;
  auto generate = [&]() -> std::optional<int> { return ++given; };
  auto work = [](int) -> task<> {
    co_await sleep_for(10ms);
    throw permanent_error("refused");
  };
  const stage_policy policy{
      .failure = on_error::tolerate,
      .budget = {.count = 1, .then = error_budget::spent::pause},
  };
  pipeline_plan plan = pipeline("budget")
                           .from(generate)
                           .stage("work", work, policy)
                           .to("out", [](int) {})
                           .take_plan();
  plan.rules.window_items_max = 100;
  plan.rules.stop_timeout = 2s;
  const report result = run_and_drain(loop, std::move(plan), 10min);
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_NEAR(static_cast<double>(result.count(outcome::dead_lettered)), 21, 2);
  EXPECT_LT(given, 1000);
  EXPECT_LT(result.seconds, 606);
  EXPECT_TRUE(result.adds_up());
}

}  // namespace
}  // namespace brigade
