#include "pipeline/engine_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using test::run_on;

/// Takes five at once, for 10 ms. What comes of each follows from its number.
class by_fives final : public stage_body {
 public:
  using sizes = std::shared_ptr<std::vector<std::size_t>>;
  explicit by_fives(sizes seen) : seen_(std::move(seen)) {}
  [[nodiscard]] std::size_t together_max() const override { return 5; }
  task<std::vector<attempt_result>> run_together(
      const std::vector<attempt_request>& requests) override {
    seen_->push_back(requests.size());
    co_await sleep_for(10ms);
    std::vector<attempt_result> results;
    for (const attempt_request& each : requests) {
      results.push_back(result_of(each.item->get<int>(), each.info));
    }
    co_return results;
  }

 private:
  static attempt_result result_of(int number, const attempt_info& info) {
    if (number % 10 == 1) return attempt_result::filtered();
    if (number % 10 == 2) {
      return attempt_result::failed(failure(verdict::permanent, "no " + std::string(info.id)));
    }
    if (number % 10 == 3 && info.attempt == 1) {
      return attempt_result::failed(failure(verdict::retryable, "later", 5ms));
    }
    if (number % 10 == 4) {
      std::vector<payload> both;
      both.emplace_back(number);
      both.emplace_back(-number);
      return attempt_result::split(std::move(both));
    }
    if (number % 10 == 5) return attempt_result::passed(payload(1000 + number));
    return attempt_result::unchanged();
  }
  sizes seen_;
};

struct fives {
  by_fives::sizes seen = std::make_shared<std::vector<std::size_t>>();
  std::vector<int> got;
  pipeline_plan plan(int items, stage_policy rules) {
    auto keep = [this](int item) { got.push_back(item); };
    auto made = pipeline("fives").from(numbers(items)).to("out", keep).take_plan();
    made.stages.push_back(stage_plan{"work", std::make_unique<by_fives>(seen), rules});
    return made;
  }
};

TEST(worker_of_several, each_item_has_its_own_outcome) {
  testing::virtual_loop loop(1);
  fives work;
  const report result = run_on(loop, work.plan(100, {.workers = 2}));
  EXPECT_EQ(result.count(outcome::filtered), 10U);
  EXPECT_EQ(result.count(outcome::dead_lettered), 10U);
  EXPECT_EQ(result.count(outcome::delivered), 80U);
  EXPECT_EQ(result.retries, 10U);
  EXPECT_TRUE(result.adds_up());
  EXPECT_EQ(work.got.size(), 90U);  // ten were split in two
  EXPECT_EQ(std::ranges::count(work.got, -44), 1);
  EXPECT_EQ(std::ranges::count(work.got, 1045), 1);
  EXPECT_EQ(std::ranges::count(work.got, 45), 0);
}

TEST(worker_of_several, takes_what_is_there_and_not_more_than_it_may) {
  testing::virtual_loop loop(1);
  fives work;
  run_on(loop, work.plan(100, {.workers = 1}));
  EXPECT_EQ(*std::ranges::max_element(*work.seen), 5U);
  fives few;
  run_on(loop, few.plan(2, {.workers = 1}));
  EXPECT_EQ(few.seen->front(), 2U);
}

TEST(worker_of_several, a_full_queue_behind_it_holds_it_up) {
  testing::virtual_loop loop(1);
  fives work;
  auto plan = work.plan(100, {.workers = 3});
  auto slow = [](const int& item) -> task<int> {
    co_await sleep_for(3ms);
    co_return item;
  };
  auto behind = pipeline("behind").from(numbers(1)).stage("slow", slow).to("out", [](int) {});
  auto other = std::move(behind).take_plan();
  other.stages.front().policy.queue_items_max = 1;
  plan.stages.push_back(std::move(other.stages.front()));
  const report result = run_on(loop, std::move(plan));
  EXPECT_EQ(result.count(outcome::delivered), 80U);
  EXPECT_EQ(work.got.size(), 90U);
}

TEST(worker_of_several, the_identity_holds_at_every_step_and_wherever_it_is_stopped) {
  for (int stop_at = 0; stop_at < 400; stop_at += 7) {
    testing::virtual_loop loop(static_cast<std::uint64_t>(stop_at) + 1);
    fives work;
    engine running(work.plan(60, {.workers = 2}), nullptr);
    bool stopped = false;
    loop.before_each_step([&] {
      ASSERT_TRUE(running.account().adds_up()) << running.account().line();
      if (!stopped && static_cast<int>(loop.steps()) >= stop_at) {
        stopped = true;
        running.stop_now(1, "enough");
      }
    });
    auto main = [&]() -> task<report> { co_return co_await running.execute({}); };
    const report result = loop.run(main());
    EXPECT_TRUE(result.adds_up()) << result.line();
    EXPECT_EQ(result.in_flight, 0U);
  }
}

}  // namespace
}  // namespace brigade
