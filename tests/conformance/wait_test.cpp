// asyncio's tests of wait (test_tasks.py), each with the outcome asserted there.

#include <brigade/async/future.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <list>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using handle = task_handle<int>;
using handles = std::vector<handle>;

task<int> sleeps(std::chrono::milliseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

task<int> fails_after(std::chrono::milliseconds duration) {
  if (duration > 0ms) co_await sleep_for(duration);
  throw std::runtime_error("failed");
}

class WaitTests : public ::testing::Test {
 protected:
  [[nodiscard]] std::chrono::milliseconds now() {
    loop_.refresh_now();
    return std::chrono::duration_cast<std::chrono::milliseconds>(loop_.now() - began_);
  }
  virtual_loop loop_;
  detail::time_point began_ = loop_.now();
};

TEST_F(WaitTests, wait) {
  auto main = [&]() -> task<> {
    const handles both = {spawn(sleeps, 100ms, 1), spawn(sleeps, 150ms, 2)};
    const auto first = co_await brigade::wait(both);
    EXPECT_EQ(first.done, both);
    EXPECT_TRUE(first.pending.empty());
    EXPECT_EQ(now(), 150ms);
    const auto again = co_await brigade::wait(both);
    EXPECT_EQ(again.done, both);
    EXPECT_EQ(now(), 150ms);
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_duplicate_coroutines) {
  auto main = [&]() -> task<> {
    const handle once = spawn(sleeps, 1ms, 1);
    const handle other = spawn(sleeps, 2ms, 2);
    const handles all = {once, once, other, once};
    const auto result = co_await brigade::wait(all);
    EXPECT_EQ(result.done, (handles{once, other}));
    EXPECT_TRUE(result.pending.empty());
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_errors) {
  auto main = [&]() -> task<> {
    const handles none;
    EXPECT_THROW(static_cast<void>(brigade::wait(none)), std::invalid_argument);
    const handles one = {spawn(sleeps, 1ms, 1)};
    EXPECT_THROW(static_cast<void>(brigade::wait(one, static_cast<return_when>(17))),
                 std::invalid_argument);
    co_await one[0];
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_with_iterator_of_tasks) {
  auto main = [&]() -> task<> {
    const std::list<handle> all = {spawn(sleeps, 1ms, 1), spawn(sleeps, 1ms, 2)};
    const auto result = co_await brigade::wait(all);
    EXPECT_EQ(result.done.size(), 2U);
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_generator) {
  auto main = [&]() -> task<> {
    auto started = std::views::iota(0, 10) |
                   std::views::transform([](int i) { return spawn(sleeps, 1ms * i, i); });
    const auto result = co_await brigade::wait(started);
    EXPECT_EQ(result.done.size(), 10U);
    int sum = 0;
    for (const handle& one : result.done) sum += one.result();
    EXPECT_EQ(sum, 45);
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_first_completed) {
  auto main = [&]() -> task<> {
    const handle a = spawn(sleeps, 10'000ms, 1);
    const handle b = spawn(sleeps, 100ms, 2);
    const handles both = {a, b};
    const auto result = co_await brigade::wait(both, return_when::first_completed);
    EXPECT_EQ(result.done, handles{b});
    EXPECT_EQ(result.pending, handles{a});
    EXPECT_FALSE(a.done());
    EXPECT_EQ(now(), 100ms);
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_really_done) {
  auto main = [&]() -> task<> {
    auto takes_a_turn = []() -> task<int> {
      co_await yield();
      co_return 1;
    };
    // The one ends right after the other, before who waits for the first has its turn.
    const handles both = {spawn(takes_a_turn), spawn(takes_a_turn)};
    const auto result = co_await brigade::wait(both, return_when::first_completed);
    EXPECT_EQ(result.done, both);
    EXPECT_TRUE(result.pending.empty());
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_first_exception) {
  auto main = [&]() -> task<> {
    const handle a = spawn(sleeps, 10'000ms, 1);
    const handle b = spawn(fails_after, 0ms);
    const handles both = {a, b};
    const auto result = co_await brigade::wait(both, return_when::first_exception);
    EXPECT_EQ(result.done, handles{b});
    EXPECT_EQ(result.pending, handles{a});
    EXPECT_EQ(now(), 0ms);
    EXPECT_NE(b.error(), nullptr);
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_first_exception_in_wait) {
  auto main = [&]() -> task<> {
    const handle a = spawn(sleeps, 10'000ms, 1);
    const handle b = spawn(fails_after, 10ms);
    const handles both = {a, b};
    const auto result = co_await brigade::wait(both, return_when::first_exception);
    EXPECT_EQ(result.done, handles{b});
    EXPECT_EQ(result.pending, handles{a});
    EXPECT_EQ(now(), 10ms);
    EXPECT_NE(b.error(), nullptr);
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_with_exception) {
  auto main = [&]() -> task<> {
    const handle a = spawn(sleeps, 100ms, 1);
    const handle b = spawn(fails_after, 150ms);
    const handles both = {a, b};
    const auto result = co_await brigade::wait(both);
    EXPECT_EQ(result.done.size(), 2U);
    EXPECT_TRUE(result.pending.empty());
    EXPECT_EQ(std::ranges::count_if(result.done, [](auto& one) { return one.error() != nullptr; }),
              1);
    EXPECT_EQ(now(), 150ms);
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_with_timeout) {
  auto main = [&]() -> task<> {
    const handle a = spawn(sleeps, 100ms, 1);
    const handle b = spawn(sleeps, 150ms, 2);
    const handles both = {a, b};
    const auto result = co_await brigade::wait(both, return_when::all_completed, 110ms);
    EXPECT_EQ(result.done, handles{a});
    EXPECT_EQ(result.pending, handles{b});
    EXPECT_EQ(now(), 110ms);
    co_await b;
    EXPECT_EQ(now(), 150ms);
  };
  loop_.run(main());
}

TEST_F(WaitTests, wait_concurrent_complete) {
  auto main = [&]() -> task<> {
    const handle a = spawn(sleeps, 100ms, 1);
    const handle b = spawn(sleeps, 150ms, 2);
    const handles both = {a, b};
    co_await yield();
    const auto result = co_await brigade::wait(both, return_when::all_completed, 100ms);
    EXPECT_EQ(result.done, handles{a});
    EXPECT_EQ(result.pending, handles{b});
    EXPECT_EQ(now(), 100ms);
  };
  loop_.run(main());
}

TEST_F(WaitTests, yield_wait_does_not_shield_cancel) {
  auto main = [&]() -> task<> {
    bool inner_ended = false;
    auto inner = [](bool& ended) -> task<int> {
      co_await sleep_for(50ms);
      ended = true;
      co_return 1;
    };
    const handle one = spawn(inner, std::ref(inner_ended));
    auto waits = [](handle on) -> task<> {
      const handles list = {on};
      co_await brigade::wait(list);
    };
    auto outer = spawn(waits, one);
    co_await sleep_for(10ms);
    outer.cancel();
    co_await sleep_for(1ms);
    EXPECT_TRUE(outer.cancelled());
    EXPECT_FALSE(one.done());
    co_await sleep_for(50ms);
    EXPECT_TRUE(inner_ended);
    EXPECT_FALSE(one.cancelled());
  };
  loop_.run(main());
}

}  // namespace
}  // namespace brigade
