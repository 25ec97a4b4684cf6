#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/gather.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/shield.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> sleeps(std::chrono::milliseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

TEST(wait_for, gives_the_result_in_time) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    EXPECT_EQ(co_await wait_for(sleeps(1ms, 7), 1s), 7);
    EXPECT_EQ(co_await wait_for(spawn(sleeps, 1ms, 8), 1s), 8);
    auto at_once = []() -> task<int> { co_return 9; };
    EXPECT_EQ(co_await wait_for(at_once(), 1s), 9);
    EXPECT_TRUE(loop.timers().empty());
  };
  loop.run(main());
}

TEST(wait_for, bounds_any_operation_without_losing_an_item) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> jobs{2};
    bool late = false;
    try {
      auto none = co_await wait_for(jobs.take(), 5ms);
      EXPECT_FALSE(none);
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    co_await jobs.put(3);
    auto ticket = co_await wait_for(jobs.take(), 5ms);
    EXPECT_EQ(*ticket, 3);
  };
  loop.run(main());
}

TEST(wait_for, nothing_only_takes_what_is_there) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event ready;
    const auto steps = current_loop().steps();
    bool late = false;
    try {
      co_await wait_for(ready.wait(), 0ms);
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    ready.set();
    co_await wait_for(ready.wait(), 0ms);
    EXPECT_EQ(current_loop().steps(), steps);
  };
  loop.run(main());
}

TEST(wait_for, cancels_the_future_it_gave_up) {
  virtual_loop loop;
  auto main = []() -> task<> {
    promise<int> answer;
    promise<int> other;
    int late = 0;
    try {
      co_await wait_for(answer.get_future(), 1ms);
    } catch (const timed_out&) {
      ++late;
    }
    try {
      co_await wait_for(shield(other.get_future()), 1ms);
    } catch (const timed_out&) {
      ++late;
    }
    EXPECT_EQ(late, 2);
    EXPECT_TRUE(answer.cancelled());
    EXPECT_FALSE(other.done());
    other.set_value(1);
  };
  loop.run(main());
}

TEST(wait_for, of_a_gather_cancels_what_it_started) {
  virtual_loop loop;
  auto main = []() -> task<> {
    int ended = 0;
    auto member = [](int& count) -> task<> {
      const struct at_end {
        explicit at_end(int& on) : on_(on) {}
        ~at_end() { ++on_; }
        int& on_;
      } counts(count);
      co_await sleep_for(1h);
    };
    bool late = false;
    try {
      co_await wait_for(gather(member(ended), member(ended)), 1ms);
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    EXPECT_EQ(ended, 2);
  };
  loop.run(main());
}

TEST(wait_for, of_what_hangs_is_named_with_its_own_line) {
  virtual_loop loop;
  promise<int> answer(loop, "answer");
  auto main = [&]() -> task<> { co_await wait_for(answer.get_future(), std::nullopt); };
  std::string text;
  try {
    loop.run(main());
  } catch (const deadlock& found) {
    text = found.what();
  }
  EXPECT_NE(text.find("wait_for_test.cpp:"), std::string::npos) << text;
}

TEST(wait_for, leaves_a_cancellation_from_outside_what_it_is) {
  virtual_loop loop;
  auto main = []() -> task<> {
    std::string how;
    auto inner = [](std::string& ended) -> task<> {
      try {
        co_await wait_for(sleeps(1h, 1), 1h);
      } catch (const timed_out&) {
        ended = "timed out";
      } catch (const cancelled& why) {
        ended = why.reason();
      }
    };
    auto waits = spawn(inner, std::ref(how));
    co_await sleep_for(1ms);
    waits.cancel("by hand");
    co_await waits;
    EXPECT_EQ(how, "by hand");
    // The outer deadline comes first, and the inner one says nothing.
    bool outer_late = false;
    try {
      co_await timeout(5ms, [](int) -> task<> { co_await wait_for(sleeps(1h, 1), 10ms); }(0));
    } catch (const timed_out& late) {
      outer_late = late.after() == 5ms;
    }
    EXPECT_TRUE(outer_late);
  };
  loop.run(main());
}

TEST(wait_for, that_timed_out_leaves_no_cancellation_behind) {
  virtual_loop loop;
  auto main = []() -> task<> {
    int late = 0;
    for (int i = 0; i < 3; ++i) {
      try {
        co_await wait_for(sleeps(1h, 1), 1ms);
      } catch (const timed_out&) {
        ++late;
      }
      co_await sleep_for(1ms);
    }
    EXPECT_EQ(late, 3);
    EXPECT_EQ(current_task().cancelling(), 0);
  };
  loop.run(main());
}

TEST(wait_for, dies_at_every_step_without_leaving_anything) {
  bool killed = true;
  for (std::uint64_t steps = 1; killed; ++steps) {
    ASSERT_LT(steps, 200U);
    virtual_loop loop;
    loop.kill_after(steps);
    auto main = []() -> task<> {
      auto nested = []() -> task<int> { co_return co_await wait_for(sleeps(2ms, 1), 1s); };
      co_await wait_for(nested(), 1s);
      auto handle = spawn(sleeps, 1ms, 1);
      co_await wait_for(handle, 1s);
      try {
        co_await wait_for(spawn(sleeps, 1h, 1), 1ms);
      } catch (const timed_out&) {
        static_cast<void>(0);
      }
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

TEST(wait_for, a_limit_of_zero_gets_all_that_is_there_and_gives_the_others_a_turn) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> jobs(1000, "jobs");
    for (int i = 0; i < 1000; ++i) jobs.try_put(i);
    int turns = 0;
    auto counts_turns = [&]() -> task<> {
      for (; turns < 1000; ++turns) co_await yield();
    };
    const auto other = spawn(std::ref(counts_turns));
    for (int i = 0; i < 1000; ++i) {
      auto job = co_await wait_for(jobs.take(), 0s);
      EXPECT_EQ(*job, i);
    }
    EXPECT_GT(turns, 0);
    const int before = turns;
    for (int i = 0; i < 1000; ++i) EXPECT_THROW(co_await wait_for(jobs.take(), 0s), timed_out);
    EXPECT_GT(turns, before);
    EXPECT_EQ(jobs.statistics().done, 1000U);
    co_await other;
  };
  loop.run(main());
}

TEST(wait_for, a_loop_of_looks_without_a_wait_can_be_cancelled) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event never("never");
    auto polls = [&]() -> task<> {
      for (int i = 0; i < 1'000'000; ++i) {
        try {
          co_await wait_for(never.wait(), 0s);
        } catch (const timed_out&) {
        }
      }
    };
    EXPECT_THROW(co_await timeout(0s, polls()), timed_out);
    auto polling = spawn(std::ref(polls));
    co_await yield();
    polling.cancel("enough");
    EXPECT_THROW(co_await polling, cancelled);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
