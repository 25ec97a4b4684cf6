#include "pipeline/engine_fixture.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/pipeline/pipeline.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using test::run_on;

TEST(blocking_stage, runs_on_other_threads_and_gives_what_the_function_gives) {
  loop own;
  const std::thread::id here = std::this_thread::get_id();
  std::atomic<int> elsewhere = 0;
  auto digits = [&](int item) {
    if (std::this_thread::get_id() != here) ++elsewhere;
    return std::to_string(item);
  };
  std::vector<std::string> got;
  const report result =
      run_on(own, pipeline("images")
                      .from(numbers(50))
                      .blocking("digits", digits, {.workers = 2})
                      .to("out", [&](const std::string& text) { got.push_back(text); })
                      .take_plan());
  EXPECT_EQ(elsewhere, 50);
  EXPECT_EQ(got.size(), 50U);
  EXPECT_EQ(result.exit_code, 0);
}

// Two workers meet at a barrier: it would never open if they ran one after the other.
TEST(blocking_stage, its_workers_are_at_work_at_the_same_time) {
  loop own;
  auto together = std::make_shared<std::barrier<>>(2);
  auto meet = [together](int) { together->arrive_and_wait(); };
  const report result = run_on(own, pipeline("pairs")
                                        .from(numbers(10))
                                        .blocking("meet", meet, {.workers = 2})
                                        .to("out", [](int) {})
                                        .take_plan());
  EXPECT_EQ(result.count(outcome::delivered), 10U);
}

TEST(blocking_stage, an_exception_is_the_items_own) {
  loop own;
  auto picky = [](int item) {
    if (item % 5 == 0) throw permanent_error("corrupt");
  };
  const report result = run_on(own, pipeline("images")
                                        .from(numbers(20))
                                        .blocking("picky", picky)
                                        .to("out", [](int) {})
                                        .take_plan());
  EXPECT_EQ(result.count(outcome::dead_lettered), 4U);
  EXPECT_EQ(result.count(outcome::delivered), 16U);
}

// Without the stop token the call would hold its thread, and the end of the test, for ever.
TEST(blocking_stage, a_call_that_takes_too_long_is_asked_to_stop_and_its_item_fails) {
  loop own;
  std::atomic<int> asked = 0;
  auto endless = [&](std::stop_token stop, int item) {
    if (item != 3) return;
    while (!stop.stop_requested()) std::this_thread::yield();
    ++asked;
  };
  stage_policy rules;
  rules.attempt_timeout = 20ms;
  rules.retry.attempts_max = 1;
  const report result = run_on(own, pipeline("images")
                                        .from(numbers(5))
                                        .blocking("endless", endless, rules)
                                        .to("out", [](int) {})
                                        .take_plan());
  EXPECT_EQ(result.count(outcome::dead_lettered), 1U);
  EXPECT_EQ(result.count(outcome::delivered), 4U);
  while (asked == 0) std::this_thread::yield();
}

}  // namespace
}  // namespace brigade
