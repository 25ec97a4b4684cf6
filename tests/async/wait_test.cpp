#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> sleeps(std::chrono::milliseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

TEST(wait, takes_futures_and_tasks_of_different_results) {
  virtual_loop loop;
  auto main = []() -> task<> {
    promise<int> a;
    promise<int> b;
    const std::vector<future<int>> futures = {a.get_future(), b.get_future()};
    b.set_value(2);
    const auto first = co_await brigade::wait(futures, return_when::first_completed);
    EXPECT_EQ(first.done, std::vector<future<int>>{futures[1]});
    a.cancel();

    auto text = []() -> task<std::string> { co_return "x"; };
    const std::vector<task_ref> tasks = {spawn(text), spawn(sleeps, 1ms, 1)};
    const auto all = co_await brigade::wait(tasks);
    EXPECT_EQ(all.done, tasks);
  };
  loop.run(main());
}

TEST(wait, with_enough_done_already_does_not_suspend) {
  virtual_loop loop;
  auto main = []() -> task<> {
    const std::vector<task_handle<int>> both = {spawn(sleeps, 1ms, 1), spawn(sleeps, 1h, 2)};
    co_await both[0];
    const auto steps = current_loop().steps();
    const auto result = co_await brigade::wait(both, return_when::first_completed);
    EXPECT_EQ(current_loop().steps(), steps);
    EXPECT_EQ(result.pending.size(), 1U);
  };
  loop.run(main());
}

TEST(wait, for_the_first_exception_takes_no_notice_of_a_cancelled_one) {
  for (const auto mode : {return_when::first_exception, return_when::first_completed}) {
    virtual_loop loop;
    auto main = [&]() -> task<> {
      const std::vector<task_handle<int>> both = {spawn(sleeps, 1h, 1), spawn(sleeps, 10ms, 2)};
      co_await yield();
      both[0].record().cancel("gone");
      const auto result = co_await brigade::wait(both, mode);
      EXPECT_EQ(result.done.size(), mode == return_when::first_exception ? 2U : 1U);
    };
    loop.run(main());
  }
}

TEST(wait, that_runs_out_of_time_says_what_there_is_and_disarms_its_timer_otherwise) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    const std::vector<task_handle<int>> one = {spawn(sleeps, 10ms, 1)};
    const auto late = co_await brigade::wait(one, return_when::all_completed, 0ms);
    EXPECT_TRUE(late.done.empty());
    EXPECT_EQ(late.pending.size(), 1U);
    const auto in_time =
        co_await brigade::wait(one, return_when::all_completed, std::chrono::nanoseconds::max());
    EXPECT_EQ(in_time.done.size(), 1U);
    EXPECT_TRUE(loop.timers().empty());
  };
  loop.run(main());
}

TEST(wait, cancelled_leaves_those_it_waited_for) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    const std::vector<task_handle<int>> one = {spawn(sleeps, 10ms, 1)};
    auto waits = [](std::vector<task_handle<int>> on) -> task<> {
      co_await brigade::wait(on, return_when::all_completed, 1h);
    };
    auto gone = spawn(waits, one);
    auto gone_when_granted = spawn(waits, one);
    co_await sleep_for(5ms);
    gone.cancel();
    co_await one[0];
    gone_when_granted.cancel();
    co_await sleep_for(1ms);
    EXPECT_TRUE(gone.cancelled());
    EXPECT_TRUE(gone_when_granted.cancelled());
    EXPECT_FALSE(one[0].cancelled());
    EXPECT_TRUE(loop.timers().empty() || loop.timers().next() < loop.now() + 1h);
  };
  loop.run(main());
}

TEST(wait, for_a_task_of_another_loop_is_refused) {
  virtual_loop other;
  promise<int> theirs(other);
  virtual_loop loop;
  auto main = [&]() -> task<> {
    const std::vector<future<int>> one = {theirs.get_future()};
    EXPECT_THROW(static_cast<void>(brigade::wait(one)), invalid_state);
    co_return;
  };
  loop.run(main());
}

TEST(wait, is_named_with_its_line_when_it_hangs) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event never("never");
    auto waits = [](event& on) -> task<> { co_await on.wait(); };
    const std::vector<task_handle<>> both = {spawn(waits, std::ref(never)),
                                             spawn(waits, std::ref(never))};
    co_await brigade::wait(both, return_when::first_completed);
  };
  std::string text;
  try {
    loop.run(main());
  } catch (const deadlock& found) {
    text = found.what();
  }
  EXPECT_NE(text.find("wait for the first of 2: 2 to go, at "), std::string::npos) << text;
  EXPECT_NE(text.find("wait_test.cpp:"), std::string::npos) << text;
}

TEST(wait, dies_at_every_step_without_leaving_anything) {
  bool killed = true;
  for (std::uint64_t steps = 1; killed; ++steps) {
    ASSERT_LT(steps, 200U);
    virtual_loop loop;
    loop.kill_after(steps);
    auto main = []() -> task<> {
      const std::vector<task_handle<int>> all = {spawn(sleeps, 1ms, 1), spawn(sleeps, 2ms, 2),
                                                 spawn(sleeps, 3ms, 3)};
      co_await brigade::wait(all, return_when::first_completed, 1h);
      co_await brigade::wait(all, return_when::all_completed, 1h);
    };
    try {
      loop.run(main());
    } catch (const cancelled&) {
      static_cast<void>(0);
    }
    killed = loop.killed();
    EXPECT_EQ(loop.task_count(), 0U);
    EXPECT_TRUE(loop.timers().empty());
  }
}

}  // namespace
}  // namespace brigade
