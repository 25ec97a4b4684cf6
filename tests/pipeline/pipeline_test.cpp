#include "pipeline/engine_fixture.hpp"

#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

using test::numbers;
using test::run_on;

TEST(pipeline, a_filter_an_optional_and_a_coroutine_are_stages_too) {
  virtual_loop loop;
  auto even = [](int item) { return item % 2 == 0; };
  auto small = [](int item) { return item <= 6 ? std::optional<int>(item) : std::nullopt; };
  auto slow = [](int item) -> task<std::string> {
    co_await sleep_for(1s);
    co_return std::to_string(item);
  };
  std::set<std::string> got;
  report result = run_on(loop, pipeline("mixed")
                                   .from(numbers(10))
                                   .filter("even", even)
                                   .stage("small", small)
                                   .stage("slow", slow, {.workers = 3})
                                   .to("out", [&](const std::string& item) { got.insert(item); })
                                   .take_plan());
  EXPECT_EQ(got, (std::set<std::string>{"2", "4", "6"}));
  EXPECT_EQ(result.count(outcome::filtered), 7U);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.adds_up());
}

TEST(pipeline, a_generator_is_a_source_and_so_is_a_coroutine) {
  virtual_loop loop;
  int next = 0;
  auto generate = [&]() -> std::optional<int> {
    return next < 5 ? std::optional<int>(++next) : std::nullopt;
  };
  std::vector<int> got;
  run_on(loop, pipeline("numbers")
                   .from(generate)
                   .to("out", [&](int item) { got.push_back(item); })
                   .take_plan());
  EXPECT_EQ(got, (std::vector<int>{1, 2, 3, 4, 5}));
  next = 0;
  got.clear();
  auto slow = [&]() -> task<std::optional<int>> {
    co_await sleep_for(1s);
    co_return generate();
  };
  run_on(
      loop,
      pipeline("numbers").from(slow).to("out", [&](int item) { got.push_back(item); }).take_plan());
  EXPECT_EQ(got, (std::vector<int>{1, 2, 3, 4, 5}));
}

struct parcel {
  std::unique_ptr<int> contents;
};

TEST(pipeline, a_stage_may_give_a_type_that_only_moves) {
  virtual_loop loop;
  auto pack = [](int item) { return parcel{std::make_unique<int>(item)}; };
  int sum = 0;
  const report result =
      run_on(loop, pipeline("parcels")
                       .from(numbers(10))
                       .stage("pack", pack)
                       .to("out", [&](const parcel& one) { sum += *one.contents; })
                       .take_plan());
  EXPECT_EQ(sum, 55);
  EXPECT_EQ(result.exit_code, 0);
}

TEST(pipeline, an_item_the_sink_refuses_is_tried_again_and_then_dead_lettered) {
  virtual_loop loop;
  int tries = 0;
  auto store = [&](int item) {
    if (item == 3) {
      ++tries;
      throw std::runtime_error("constraint failed");
    }
  };
  const report result =
      run_on(loop, pipeline("store").from(numbers(5)).to("table", store).take_plan());
  EXPECT_EQ(tries, 5);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.dead_letters.at(0).stage, "table");
  EXPECT_TRUE(result.adds_up());
}

TEST(pipeline, a_cancellation_inside_of_the_sink_is_a_failure_of_the_item) {
  virtual_loop loop;
  std::vector<int> got;
  auto store = [&](int item) -> task<> {
    co_await sleep_for(std::chrono::milliseconds(1));
    if (item == 3) throw cancelled("by the shop");
    got.push_back(item);
  };
  const report result =
      run_on(loop, pipeline("orders").from(numbers(5)).to("store", store).take_plan());
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.count(outcome::delivered), 4U);
  ASSERT_EQ(result.dead_letters.size(), 1U);
  EXPECT_EQ(result.dead_letters.front().error, "cancelled from inside: by the shop");
}

TEST(pipeline, one_that_could_only_wait_is_refused) {
  auto idle = pipeline("orders")
                  .from(numbers(3))
                  .stage("charge", [](int) {}, {.workers = 0})
                  .to("out", [](int) {});
  EXPECT_THROW(static_cast<void>(idle.run()), std::invalid_argument);
  auto narrow = pipeline("orders").from(numbers(3)).to("out", [](int) {});
  run_policy no_room;
  no_room.window_items_max = 0;
  EXPECT_THROW(static_cast<void>(narrow.rules(no_room).run()), std::invalid_argument);
}

TEST(pipeline, run_needs_nothing_but_the_pipeline) {
  int sum = 0;
  const report result =
      pipeline("sum").from(numbers(100)).to("sum", [&](int item) { sum += item; }).run();
  EXPECT_EQ(sum, 5050);
  EXPECT_EQ(result.exit_code, 0);
}

// It would do so again at every start: the item is dead, and the others go on.
TEST(pipeline, an_item_that_cannot_be_named_or_ordered_is_a_dead_letter) {
  virtual_loop loop;
  auto name = [](int item) {
    if (item == 3) throw std::runtime_error("no number");
    return item;
  };
  auto key = [](int item) {
    if (item == 5) throw std::runtime_error("no customer");
    return item % 2;
  };
  const report result = run_on(loop, pipeline("orders")
                                         .from(numbers(10))
                                         .id(name)
                                         .order_by(key)
                                         .to("out", [](int) {})
                                         .take_plan());
  EXPECT_EQ(result.count(outcome::delivered), 8U);
  ASSERT_EQ(result.dead_letters.size(), 2U);
  EXPECT_EQ(result.dead_letters[0].error, "its id: no number");
  EXPECT_EQ(result.dead_letters[0].stage, "source");
  EXPECT_EQ(result.dead_letters[1].error, "its key: no customer");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(result.adds_up());
}

}  // namespace
}  // namespace brigade
