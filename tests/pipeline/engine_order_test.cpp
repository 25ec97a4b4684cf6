// Order by key and by source: through several stages, across retries, behind dead letters.
#include "pipeline/engine_fixture.hpp"

#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
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

constexpr int keys = 5;
int key_of(int item) { return item % keys; }

struct delivered {
  std::vector<int> all;
  [[nodiscard]] bool each_key_in_order() const {
    std::map<int, int> last;
    return std::ranges::all_of(
        all, [&](int item) { return std::exchange(last[key_of(item)], item) < item; });
  }
};

/// Takes a time that is different for each, and fails now and then.
class unsteady {
 public:
  explicit unsteady(std::uint64_t seed) : random_(seed) {}
  task<int> work(int item) {
    co_await sleep_for(std::chrono::milliseconds(random_.below(50)));
    if (random_.one_in(4)) throw std::runtime_error("not now");
    co_return item;
  }

 private:
  testing::random_source random_;
};

auto stage_of(unsteady& stage) {
  return [&stage](int item) { return stage.work(item); };
}

constexpr stage_policy patient(int workers) {
  stage_policy policy{.workers = workers};
  policy.retry.attempts_max = 1000;
  policy.retry.backoff_max = 500ms;
  return policy;
}

TEST(engine_order, items_of_a_key_stay_in_order_through_all_stages_and_retries) {
  virtual_loop loop;
  unsteady first(1);
  unsteady second(2);
  unsteady third(3);
  delivered got;
  const report result = run_on(loop, pipeline("order")
                                         .from(numbers(1000))
                                         .order_by(key_of)
                                         .stage("first", stage_of(first), patient(8))
                                         .stage("second", stage_of(second), patient(3))
                                         .stage("third", stage_of(third), patient(16))
                                         .to("out", [&](int item) { got.all.push_back(item); })
                                         .take_plan());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(got.all.size(), 1000U);
  EXPECT_GT(result.retries, 500U);
  EXPECT_TRUE(got.each_key_in_order());
  EXPECT_FALSE(std::ranges::is_sorted(got.all)) << "keys do not wait for each other";
}

TEST(engine_order, without_order_the_same_pipeline_does_not_keep_it) {
  virtual_loop loop;
  unsteady first(1);
  delivered got;
  run_on(loop, pipeline("order")
                   .from(numbers(200))
                   .stage("first", stage_of(first), patient(8))
                   .to("out", [&](int item) { got.all.push_back(item); })
                   .take_plan());
  EXPECT_FALSE(got.each_key_in_order());
}

TEST(engine_order, the_order_of_the_source_is_kept_by_all_items) {
  virtual_loop loop;
  unsteady first(1);
  unsteady second(2);
  delivered got;
  pipeline_plan plan = pipeline("order")
                           .from(numbers(300))
                           .stage("first", stage_of(first), patient(8))
                           .stage("second", stage_of(second), patient(8))
                           .to("out", [&](int item) { got.all.push_back(item); })
                           .take_plan();
  plan.rules.order = item_order::source;
  const report result = run_on(loop, std::move(plan));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(got.all, numbers(300));
}

TEST(engine_order, a_sink_that_fails_an_item_for_now_is_not_given_the_next_of_its_key) {
  virtual_loop loop;
  testing::random_source random(9);
  delivered got;
  auto sink = [&](int item) {
    if (random.one_in(3)) throw std::runtime_error("busy");
    got.all.push_back(item);
  };
  sink_policy policy;
  policy.retry.attempts_max = 1000;
  policy.retry.backoff_max = 500ms;
  const report result = run_on(loop, pipeline("order")
                                         .from(numbers(300))
                                         .order_by(key_of)
                                         .stage("pass", [](int) {}, {.workers = 4})
                                         .to("out", sink, policy)
                                         .take_plan());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(got.all.size(), 300U);
  EXPECT_TRUE(got.each_key_in_order());
}

TEST(engine_order, items_of_a_stopped_key_do_not_pass_the_one_that_is_returned) {
  virtual_loop loop;
  delivered got;
  auto work = [](int item) -> task<int> {
    co_await sleep_for(10ms);
    if (item == 10) throw std::runtime_error("not now");
    co_return item;
  };
  stage_policy policy{.workers = 8};
  policy.retry.backoff_min = policy.retry.backoff_max = 1h;
  pipeline_plan plan = pipeline("order")
                           .from(numbers(200))
                           .order_by(key_of)
                           .stage("work", work, policy)
                           .to("out", [&](int item) { got.all.push_back(item); })
                           .take_plan();
  plan.jitter_seed = 5;
  const report result = run_and_drain(loop, std::move(plan), 100ms);
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_TRUE(std::ranges::none_of(got.all, [](int item) { return item >= 10 && item % 5 == 0; }));
  EXPECT_TRUE(std::ranges::any_of(got.all, [](int item) { return item > 10; }));
  EXPECT_TRUE(result.adds_up());
}

report run_with_letter(virtual_loop& loop, after_dead_letter after, delivered& got) {
  auto work = [](int item) -> task<int> {
    co_await sleep_for(1ms);
    if (item == 10) throw permanent_error("refused");
    co_return item;
  };
  pipeline_plan plan = pipeline("order")
                           .from(numbers(50))
                           .order_by(key_of)
                           .stage("pass", [](int) {}, {.workers = 4})
                           .stage("work", work, {.workers = 4})
                           .to("out", [&](int item) { got.all.push_back(item); })
                           .take_plan();
  plan.rules.after_letter = after;
  return run_on(loop, std::move(plan));
}

TEST(engine_order, a_key_goes_on_behind_a_dead_letter) {
  virtual_loop loop;
  delivered got;
  const report result = run_with_letter(loop, after_dead_letter::go_on, got);
  EXPECT_EQ(result.count(outcome::dead_lettered), 1U);
  EXPECT_EQ(got.all.size(), 49U);
}

TEST(engine_order, a_key_that_is_held_becomes_dead_letters_in_its_order) {
  virtual_loop loop;
  delivered got;
  const report result = run_with_letter(loop, after_dead_letter::hold_key, got);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.count(outcome::dead_lettered), 9U);  // 10, 15, ... 50
  EXPECT_EQ(got.all.size(), 41U);
  EXPECT_EQ(result.dead_letters[0].id, "items:0:9");
  for (std::size_t n = 1; n < 9; ++n) {
    EXPECT_EQ(result.dead_letters[n].id, "items:0:" + std::to_string(9 + 5 * n));
    EXPECT_EQ(result.dead_letters[n].stage, "work");
    EXPECT_EQ(result.dead_letters[n].error, "held: item items:0:9 of its key is a dead letter");
  }
  EXPECT_TRUE(result.adds_up());
}

/// 20 numbers; what a run before has held is added to it.
pipeline_plan plan_that_holds(delivered& got) {
  pipeline_plan plan = pipeline("order")
                           .from(numbers(20))
                           .order_by(key_of)
                           .stage("work", [](int) {})
                           .to("out", [&](int item) { got.all.push_back(item); })
                           .take_plan();
  plan.rules.after_letter = after_dead_letter::hold_key;
  return plan;
}

TEST(engine_order, a_key_held_by_a_letter_of_a_run_before_is_held_from_the_beginning) {
  virtual_loop loop;
  delivered got;
  pipeline_plan plan = plan_that_holds(got);
  plan.held.push_back({"3", "items:0:999", 0});
  const report result = run_on(loop, std::move(plan));
  EXPECT_EQ(result.count(outcome::dead_lettered), 4U);
  EXPECT_TRUE(std::ranges::none_of(got.all, [](int item) { return key_of(item) == 3; }));
}

TEST(engine_order, what_came_before_the_letter_of_a_run_before_is_not_held) {
  virtual_loop loop;
  delivered got;
  pipeline_plan plan = plan_that_holds(got);
  // 3, 8, 13 and 18 have the key: at 2, 7, 12 and 17.
  plan.held.push_back({"3", "items:0:17", 0, "items:0", 17});
  plan.held.push_back({"3", "items:0:12", 0, "items:0", 12});
  const report result = run_on(loop, std::move(plan));
  EXPECT_EQ(result.count(outcome::dead_lettered), 1U);
  std::erase_if(got.all, [](int item) { return key_of(item) != 3; });
  EXPECT_EQ(got.all, (std::vector<int>{3, 8, 13}));
}

TEST(engine_order, one_key_takes_at_most_a_tenth_of_the_window) {
  virtual_loop loop;
  auto slow = [](int item) -> task<int> {
    co_await sleep_for(1s);
    co_return item;
  };
  pipeline_plan plan = pipeline("order")
                           .from(numbers(1000))
                           .order_by([](int) { return std::string("all"); })
                           .stage("work", slow, {.workers = 4})
                           .to("out", [](int) {})
                           .take_plan();
  plan.rules.window_items_max = 100;
  plan.rules.stop_timeout = 60s;
  const report result = run_and_drain(loop, std::move(plan), 2500ms);
  // What was in flight when the stop came is finished: 10 of it, and the one on its way in.
  EXPECT_LE(result.taken, 2U + 11U);
  EXPECT_GE(result.taken, 10U);
}

TEST(engine_order, items_without_a_key_are_in_nobodys_way) {
  virtual_loop loop;
  int at_once = 0;
  int most = 0;
  auto slow = [&](int item) -> task<int> {
    most = std::max(most, ++at_once);
    co_await sleep_for(1s);
    --at_once;
    co_return item;
  };
  run_on(loop, pipeline("order")
                   .from(numbers(20))
                   .order_by([](int) { return std::string(); })
                   .stage("work", slow, {.workers = 4})
                   .to("out", [](int) {})
                   .take_plan());
  EXPECT_EQ(most, 4);
}

}  // namespace
}  // namespace brigade
