// Several items as one, and one as several.
#include "pipeline/engine_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>
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

using batches = std::vector<std::vector<int>>;

auto into(batches& got) {
  return [&got](const std::vector<int>& all) { got.push_back(all); };
}

/// A number every second.
auto trickle(int count) {
  return [n = 0, count]() mutable -> task<std::optional<int>> {
    if (n == count) co_return std::nullopt;
    co_await sleep_for(1s);
    co_return ++n;
  };
}

/// Gives some at once, and then nothing for ever.
auto then_silence(int count) {
  return [n = 0, count]() mutable -> task<std::optional<int>> {
    if (n == count) co_await sleep_for(24h);
    co_return ++n;
  };
}

TEST(batch, is_complete_with_its_count_and_the_last_at_the_end_of_the_source) {
  virtual_loop loop;
  batches got;
  const report result = run_on(loop, pipeline("batch")
                                         .from(numbers(10))
                                         .batch("fours", {.count = 4})
                                         .to("out", into(got))
                                         .take_plan());
  EXPECT_EQ(got, (batches{{1, 2, 3, 4}, {5, 6, 7, 8}, {9, 10}}));
  EXPECT_EQ(result.taken, 10U);
  EXPECT_EQ(result.count(outcome::delivered), 10U);
  EXPECT_EQ(result.stages[1].in, 10U);
  EXPECT_EQ(result.stages[1].passed, 10U);
  EXPECT_TRUE(result.adds_up());
}

TEST(batch, is_complete_when_its_first_item_has_waited_long_enough) {
  virtual_loop loop;
  batches got;
  const report result = run_on(loop, pipeline("batch")
                                         .from(trickle(7))
                                         .batch("some", {.count = 100, .within = 2500ms})
                                         .to("out", into(got))
                                         .take_plan());
  EXPECT_EQ(got, (batches{{1, 2, 3}, {4, 5, 6}, {7}}));
  EXPECT_TRUE(result.adds_up());
}

TEST(batch, is_complete_with_its_bytes) {
  virtual_loop loop;
  batches got;
  run_on(loop, pipeline("batch")
                   .from(numbers(6))
                   .batch("small", {.bytes = 2 * sizeof(int)})
                   .to("out", into(got))
                   .take_plan());
  EXPECT_EQ(got, (batches{{1, 2}, {3, 4}, {5, 6}}));
}

// Reliability row 5. Seen to fail: with company_may_come blind to a drain and to the end of what
// feeds the stage, the batch is not flushed.
TEST(batch, a_drain_flushes_at_once) {
  virtual_loop loop;
  batches got;
  pipeline_plan plan = pipeline("batch")
                           .from(then_silence(3))
                           .batch("later", {.count = 100, .within = 30min})
                           .to("out", into(got))
                           .take_plan();
  plan.rules.stop_timeout = 5s;
  const report result = run_and_drain(loop, std::move(plan), 1s);
  EXPECT_EQ(got, (batches{{1, 2, 3}}));
  EXPECT_EQ(result.count(outcome::delivered), 3U);
  EXPECT_LT(result.seconds, 1.5);
  EXPECT_TRUE(result.adds_up());
}

TEST(batch, does_not_wait_for_more_than_the_window_lets_in) {
  virtual_loop loop;
  batches got;
  pipeline_plan plan = pipeline("batch")
                           .from(numbers(10))
                           .batch("all", {.count = 1000, .within = 1h})
                           .to("out", into(got))
                           .take_plan();
  plan.rules.window_items_max = 4;
  const report result = run_on(loop, std::move(plan));
  EXPECT_EQ(result.count(outcome::delivered), 10U);
  EXPECT_LT(result.seconds, 5);
  EXPECT_LE(got.front().size(), 4U);
}

TEST(batch, a_permanent_failure_behind_it_dead_letters_each_member_as_it_came_in) {
  virtual_loop loop;
  batches got;
  const auto store = [](const std::vector<int>& all) {
    if (all.front() == 60) throw permanent_error("table is gone");
    return all;
  };
  const report result = run_on(loop, pipeline("batch")
                                         .from(numbers(10))
                                         .stage("tenfold", [](int item) { return item * 10; })
                                         .batch("fives", {.count = 5})
                                         .stage("store", store)
                                         .to("out", into(got))
                                         .take_plan());
  EXPECT_EQ(got, (batches{{10, 20, 30, 40, 50}}));
  EXPECT_EQ(result.count(outcome::dead_lettered), 5U);
  EXPECT_EQ(result.count(outcome::delivered), 5U);
  EXPECT_EQ(result.stages[2].settled[static_cast<std::size_t>(outcome::dead_lettered)], 5U);
  ASSERT_EQ(result.dead_letters.size(), 5U);
  EXPECT_EQ(result.dead_letters.front().id, "items:0:5");
  EXPECT_EQ(result.dead_letters.front().stage, "fives");
  EXPECT_EQ(result.dead_letters.front().error, "in a batch, at stage 'store': table is gone");
  EXPECT_TRUE(result.adds_up());
}

/// Keeps what it is told.
class noting_journal final : public journal {
 public:
  std::uint64_t record(settled_batch batch, const std::vector<std::string>&,
                       std::vector<sink_token>) override {
    for (settlement& each : batch.items) all.push_back(std::move(each));
    on_durable(++last_);
    return last_;
  }
  std::vector<settlement> all;

 private:
  std::uint64_t last_ = 0;
};

TEST(batch, a_letter_says_where_its_item_was_joined) {
  virtual_loop loop;
  noting_journal account;
  const auto fails = [](const std::vector<int>&) -> std::string { throw permanent_error("no"); };
  engine own(pipeline("batch")
                 .from(numbers(2))
                 .stage("tenfold", [](int item) { return item * 10; })
                 .batch("twos", {.count = 2})
                 .stage("store", fails)
                 .to("out", [](const std::string&) {})
                 .take_plan(),
             &account);
  const auto main = [&]() -> task<report> { co_return co_await own.execute({}); };
  loop.run(main());
  ASSERT_EQ(account.all.size(), 2U);
  ASSERT_NE(account.all[1].dead, nullptr);
  EXPECT_EQ(account.all[1].dead->payload, "20");
  EXPECT_EQ(account.all[1].dead->source_payload, "2");
  EXPECT_EQ(account.all[1].dead->stage_index, 1);
  EXPECT_EQ(account.all[1].stage, "twos");
  EXPECT_EQ(account.all[1].failed_attempts.size(), 1U);
}

TEST(batch, is_tried_again_as_a_whole_and_counts_as_many_items) {
  virtual_loop loop;
  batches got;
  int calls = 0;
  const auto flaky = [&](const std::vector<int>& all) {
    if (++calls == 1) throw std::runtime_error("busy");
    return all;
  };
  const report result = run_on(loop, pipeline("batch")
                                         .from(numbers(4))
                                         .batch("fours", {.count = 4})
                                         .stage("store", flaky)
                                         .to("out", into(got))
                                         .take_plan());
  EXPECT_EQ(got, (batches{{1, 2, 3, 4}}));
  EXPECT_EQ(result.retries, 4U);
  EXPECT_EQ(result.stages[1].workers[0].items, 8U);
  EXPECT_EQ(result.stages[1].workers[0].failed, 4U);
  EXPECT_TRUE(result.adds_up());
}

TEST(batch, a_stop_returns_each_of_its_items) {
  virtual_loop loop;
  const auto never = [](const std::vector<int>& all) -> task<std::vector<int>> {
    co_await sleep_for(1h);
    co_return all;
  };
  batches got;
  pipeline_plan plan = pipeline("batch")
                           .from(numbers(7))
                           .batch("threes", {.count = 3})
                           .stage("store", never)
                           .to("out", into(got))
                           .take_plan();
  plan.rules.stop_timeout = 2s;
  const report result = run_and_drain(loop, std::move(plan), 1s);
  EXPECT_EQ(result.count(outcome::returned), 7U);
  EXPECT_EQ(result.taken, 7U);
  EXPECT_TRUE(result.adds_up());
}

TEST(batch, may_be_split_again_and_batched_again) {
  virtual_loop loop;
  std::vector<batches> got;
  std::multiset<int> single;
  const report result =
      run_on(loop, pipeline("batch")
                       .from(numbers(12))
                       .batch("threes", {.count = 3})
                       .tee("copies", branch([&](auto way) {
                              return std::move(way)
                                  .split("apart", [](const std::vector<int>& all) { return all; })
                                  .to("single", [&](int item) { single.insert(item); });
                            }))
                       .batch("pairs", {.count = 2})
                       .to("out", [&](const batches& all) { got.push_back(all); })
                       .take_plan());
  EXPECT_EQ(got, (std::vector<batches>{{{1, 2, 3}, {4, 5, 6}}, {{7, 8, 9}, {10, 11, 12}}}));
  EXPECT_EQ(single.size(), 12U);
  EXPECT_EQ(result.count(outcome::delivered), 12U);
  EXPECT_TRUE(result.adds_up());
}

TEST(split, gives_an_item_for_each_element_and_none_filters) {
  virtual_loop loop;
  std::multiset<int> got;
  const auto down = [](int item) {
    std::vector<int> all;
    for (int n = item; n > 1; --n) all.push_back(n);
    return all;
  };
  const report result = run_on(loop, pipeline("split")
                                         .from(numbers(3))
                                         .split("down", down)
                                         .to("out", [&](int item) { got.insert(item); })
                                         .take_plan());
  EXPECT_EQ(got, (std::multiset<int>{2, 2, 3}));
  EXPECT_EQ(result.count(outcome::filtered), 1U);
  EXPECT_EQ(result.count(outcome::delivered), 2U);
  EXPECT_EQ(result.stages[0].born, 1U);
  EXPECT_TRUE(result.adds_up());
}

TEST(split, may_be_a_coroutine) {
  virtual_loop loop;
  std::vector<int> got;
  const auto twice = [](int item) -> task<std::vector<int>> {
    co_await sleep_for(1ms);
    co_return std::vector<int>(2, item);
  };
  run_on(loop, pipeline("split")
                   .from(numbers(2))
                   .split("twice", twice)
                   .to("out", [&](int item) { got.push_back(item); })
                   .take_plan());
  EXPECT_EQ(got, (std::vector<int>{1, 1, 2, 2}));
}

}  // namespace
}  // namespace brigade
