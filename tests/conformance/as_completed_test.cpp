// asyncio's tests of as_completed (test_tasks.py), each with the outcome asserted there.

#include <brigade/async/as_completed.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using handle = task_handle<std::string>;
using handles = std::vector<handle>;
using strings = std::vector<std::string>;
using stream = as_completed_stream<handle>;

task<std::string> sleeps(std::chrono::milliseconds duration, std::string value) {
  co_await sleep_for(duration);
  co_return value;
}

/// What `ends` gives next, awaited in a task of its own.
task<std::string> takes_next(stream& ends) {
  auto next = co_await ends.next();
  co_return next ? next->result() : "none";
}

class AsCompletedTests : public ::testing::Test {
 protected:
  [[nodiscard]] std::chrono::milliseconds now() {
    loop_.refresh_now();
    return std::chrono::duration_cast<std::chrono::milliseconds>(loop_.now() - began_);
  }
  virtual_loop loop_;
  detail::time_point began_ = loop_.now();
};

TEST_F(AsCompletedTests, as_completed) {
  auto main = [&]() -> task<> {
    const handles all = {spawn(sleeps, 10ms, "a"), spawn(sleeps, 10ms, "b"),
                         spawn(sleeps, 150ms, "c")};
    strings values;
    auto ends = brigade::as_completed(all);
    while (auto next = co_await ends.next()) values.push_back(next->result());
    EXPECT_EQ(now(), 150ms);
    EXPECT_EQ(values.back(), "c");
    std::ranges::sort(values);
    EXPECT_EQ(values, (strings{"a", "b", "c"}));
  };
  loop_.run(main());
}

TEST_F(AsCompletedTests, as_completed_same_tasks_in_as_out) {
  auto main = [&]() -> task<> {
    // Coroutines cannot be given, only what was started: each comes back itself.
    const handles all = {spawn(sleeps, 3ms, "a"), spawn(sleeps, 2ms, "b"), spawn(sleeps, 1ms, "c")};
    handles out;
    auto ends = brigade::as_completed(all);
    while (auto next = co_await ends.next()) out.push_back(*next);
    EXPECT_EQ(out, (handles{all[2], all[1], all[0]}));
  };
  loop_.run(main());
}

TEST_F(AsCompletedTests, as_completed_with_timeout) {
  auto main = [&]() -> task<> {
    const handles all = {spawn(sleeps, 100ms, "a"), spawn(sleeps, 150ms, "b")};
    strings values;
    bool expired = false;
    auto ends = brigade::as_completed(all, 120ms);
    try {
      while (auto next = co_await ends.next()) {
        values.push_back(next->result());
        EXPECT_EQ(now(), 100ms);
      }
    } catch (const timed_out&) {
      expired = true;
    }
    EXPECT_TRUE(expired);
    EXPECT_EQ(now(), 120ms);
    EXPECT_EQ(values, strings{"a"});
    EXPECT_EQ(co_await all[1], "b");
    EXPECT_EQ(now(), 150ms);
  };
  loop_.run(main());
}

TEST_F(AsCompletedTests, as_completed_with_unused_timeout) {
  auto main = [&]() -> task<> {
    const handles one = {spawn(sleeps, 10ms, "a")};
    auto ends = brigade::as_completed(one, 60'000ms);
    auto next = co_await ends.next();
    EXPECT_EQ(next->result(), "a");
    EXPECT_TRUE(loop_.timers().empty());
    EXPECT_FALSE((co_await ends.next()).has_value());
  };
  loop_.run(main());
}

TEST_F(AsCompletedTests, as_completed_resume_iterator) {
  auto main = [&]() -> task<> {
    const handles all = {spawn(sleeps, 1ms, "a"), spawn(sleeps, 2ms, "b"), spawn(sleeps, 3ms, "c"),
                         spawn(sleeps, 4ms, "d")};
    strings values;
    auto ends = brigade::as_completed(all);
    while (auto next = co_await ends.next()) {
      values.push_back(next->result());
      if (values.size() == 2) break;
    }
    EXPECT_EQ(values, (strings{"a", "b"}));
    while (auto next = co_await ends.next()) values.push_back(next->result());
    EXPECT_EQ(values, (strings{"a", "b", "c", "d"}));
  };
  loop_.run(main());
}

TEST_F(AsCompletedTests, as_completed_reverse_wait) {
  auto main = [&]() -> task<> {
    const handles all = {spawn(sleeps, 50ms, "a"), spawn(sleeps, 100ms, "b")};
    auto ends = brigade::as_completed(all);
    // Two were asked for; the second to be made is the first to be awaited.
    auto one = ends.next();
    auto two = ends.next();
    auto first = co_await two;
    EXPECT_EQ(first->result(), "a");
    EXPECT_EQ(now(), 50ms);
    auto second = co_await one;
    EXPECT_EQ(second->result(), "b");
    EXPECT_EQ(now(), 100ms);
  };
  loop_.run(main());
}

TEST_F(AsCompletedTests, as_completed_concurrent) {
  auto main = [&]() -> task<> {
    const handles all = {spawn(sleeps, 50ms, "a"), spawn(sleeps, 100ms, "b")};
    auto ends = brigade::as_completed(all);
    const handle one = spawn(takes_next, std::ref(ends));
    const handle two = spawn(takes_next, std::ref(ends));
    EXPECT_EQ(co_await one, "a");
    EXPECT_EQ(co_await two, "b");
  };
  loop_.run(main());
}

TEST_F(AsCompletedTests, as_completed_duplicate_coroutines) {
  auto main = [&]() -> task<> {
    const handle ham = spawn(sleeps, 1ms, "ham");
    const handle spam = spawn(sleeps, 2ms, "spam");
    const handles all = {ham, ham, spam, ham};
    strings values;
    auto ends = brigade::as_completed(all);
    while (auto next = co_await ends.next()) values.push_back(next->result());
    EXPECT_EQ(values, (strings{"ham", "spam"}));
  };
  loop_.run(main());
}

}  // namespace
}  // namespace brigade
