#include "pipeline/engine_fixture.hpp"

#include <brigade/async/channel.hpp>
#include <brigade/async/group.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using test::run_on;
using testing::virtual_loop;

/// `count` numbers from `first` on, one every `pause`.
auto slowly(int first, int count, std::chrono::milliseconds pause) {
  return [next = first, end = first + count, pause]() mutable -> task<std::optional<int>> {
    co_await sleep_for(pause);
    co_return next < end ? std::optional<int>(next++) : std::nullopt;
  };
}

TEST(memory_source, several_producers_give_all_of_their_items_each_in_its_order) {
  virtual_loop loop;
  std::vector<int> got;
  const report result = run_on(
      loop, pipeline("library")
                .from(producer("history", numbers(200)), producer("poetry", slowly(1000, 3, 1s)),
                      producer("none", std::vector<int>()))
                .to("out", [&](int book) { got.push_back(book); })
                .take_plan());
  std::vector<int> history;
  std::vector<int> poetry;
  for (const int book : got) (book < 1000 ? history : poetry).push_back(book);
  EXPECT_EQ(history, numbers(200));
  EXPECT_EQ(poetry, (std::vector<int>{1000, 1001, 1002}));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.adds_up());
}

TEST(memory_source, a_producer_that_waits_does_not_hold_up_the_others) {
  virtual_loop loop;
  const detail::time_point begun = loop.now();
  std::optional<detail::time_point> last_quick;
  run_on(loop, pipeline("library")
                   .from(producer("slow", slowly(1000, 1, 1h)), producer("quick", numbers(500)))
                   .to("out",
                       [&](int book) {
                         if (book == 500) last_quick = loop::current().now();
                       })
                   .take_plan());
  ASSERT_TRUE(last_quick.has_value());
  EXPECT_LT(*last_quick - begun, 1h);
}

TEST(memory_source, each_producer_has_its_own_identity_in_the_report) {
  virtual_loop loop;
  auto picky = [](int book) {
    if (book == 7) throw permanent_error("missing page");
  };
  const report result = run_on(
      loop, pipeline("library")
                .from(producer("history", numbers(10)), producer("poetry", slowly(100, 2, 1s)))
                .stage("read", picky)
                .to("out", [](int) {})
                .take_plan());
  ASSERT_EQ(result.sources.size(), 2U);
  const auto of = [&](std::string_view name) {
    return *std::ranges::find(result.sources, name, &source_report::name);
  };
  EXPECT_EQ(of("history").taken, 10U);
  EXPECT_EQ(of("history").settled[static_cast<std::size_t>(outcome::dead_lettered)], 1U);
  EXPECT_EQ(of("poetry").taken, 2U);
  EXPECT_EQ(of("poetry").settled[static_cast<std::size_t>(outcome::delivered)], 2U);
  EXPECT_TRUE(result.adds_up());
  EXPECT_NE(result.text().find("from history: taken 10 = delivered 9 + dead_lettered 1"),
            std::string::npos)
      << result.text();
  EXPECT_NE(result.json().find(R"("sources": [{"name": "history", "taken": 10)"), std::string::npos)
      << result.json();
}

TEST(memory_source, a_producer_that_fails_ends_the_run_and_nothing_is_lost) {
  virtual_loop loop;
  auto broken = []() -> task<std::optional<int>> {
    co_await sleep_for(1s);
    throw std::runtime_error("the shelf fell down");
  };
  const report result =
      run_on(loop, pipeline("library")
                       .from(producer("history", numbers(10)), producer("poetry", broken))
                       .to("out", [](int) {})
                       .take_plan());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.error.find("the shelf fell down"), std::string::npos) << result.error;
  EXPECT_EQ(result.taken, 10U);
  EXPECT_TRUE(result.adds_up());
}

TEST(memory_source, a_producer_may_throw_anything) {
  virtual_loop loop;
  auto broken = []() -> std::optional<int> { throw 42; };
  const report result =
      run_on(loop, pipeline("library")
                       .from(producer("history", slowly(100, 2, 1h)), producer("poetry", broken))
                       .to("out", [](int) {})
                       .take_plan());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.error.find("int"), std::string::npos) << result.error;
  EXPECT_TRUE(result.adds_up());
}

// As it is where a generator joins a task that was cancelled.
TEST(memory_source, a_cancellation_from_inside_is_a_failure_as_any_other) {
  auto broken = []() -> task<std::optional<int>> {
    co_await sleep_for(1s);
    throw cancelled("by the librarian");
  };
  const auto fails = [](pipeline_plan plan) {
    virtual_loop loop;
    const report result = run_on(loop, std::move(plan));
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.error.find("by the librarian"), std::string::npos) << result.error;
    EXPECT_TRUE(result.adds_up());
  };
  fails(pipeline("library").from(broken).to("out", [](int) {}).take_plan());
  fails(pipeline("library")
            .from(producer("history", numbers(10)), producer("poetry", broken))
            .to("out", [](int) {})
            .take_plan());
}

TEST(memory_source_death, producers_of_one_name_are_refused) {
  auto two_alike = [] {
    static_cast<void>(
        pipeline("library").from(producer("shelf", numbers(2)), producer("shelf", numbers(3))));
  };
  EXPECT_DEATH(two_alike(), "a name of its own");
}

TEST(memory_source, a_channel_is_a_source_that_ends_with_its_last_sender) {
  virtual_loop loop;
  std::vector<int> got;
  auto main = [&]() -> task<report> {
    auto [in, out] = channel<int>(4, "orders");
    engine work(pipeline("orders")
                    .from(std::move(out))
                    .to("out", [&](int order) { got.push_back(order); })
                    .take_plan(),
                nullptr);
    auto send = [](sender<int> to, int first) -> task<> {
      for (int n = 0; n < 50; ++n) {
        co_await sleep_for(1ms);
        co_await to.send(first + n);
      }
    };
    auto one = spawn(send, in, 0);
    auto two = spawn(send, std::move(in), 100);
    report result = co_await work.execute({});
    co_await one;
    co_await two;
    co_return result;
  };
  const report result = loop.run(main());
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(got.size(), 100U);
  std::ranges::sort(got);
  EXPECT_EQ(got.front(), 0);
  EXPECT_EQ(got.back(), 149);
}

// What was received cannot be asked for again: a drain finishes it.
TEST(memory_source, what_came_through_a_channel_is_accounted_for_when_the_run_is_stopped) {
  virtual_loop loop;
  std::size_t received = 0;
  auto main = [&]() -> task<report> {
    auto [in, out] = channel<int>(100, "orders");
    for (int n = 0; n < 40; ++n) co_await in.send(n);
    auto slow = [](int) -> task<> { co_await sleep_for(100ms); };
    auto watch = out;
    engine work(pipeline("orders")
                    .from(std::move(out))
                    .stage("slow", slow, {.queue_items_max = 2})
                    .to("out", [](int) {})
                    .take_plan(),
                nullptr);
    auto stopper = [&]() -> task<> {
      co_await sleep_for(250ms);
      work.drain();
    };
    auto stopping = spawn(stopper);
    report result = co_await work.execute({});
    co_await stopping;
    received = 40 - watch.statistics().items.size;
    co_return result;
  };
  const report result = loop.run(main());
  EXPECT_EQ(result.taken, received);
  EXPECT_EQ(result.count(outcome::delivered), received);
  EXPECT_TRUE(result.adds_up());
}

}  // namespace
}  // namespace brigade
