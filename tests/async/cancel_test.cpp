#include <brigade/async/cancel.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

TEST(cancel, task_cancel_strikes_one_wait_once) {
  virtual_loop loop;
  auto stubborn = []() -> task<int> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled& by) {
      EXPECT_EQ(by.reason(), "first call");
    }
    co_await sleep_for(1s);  // not struck any more
    co_return 42;
  };
  auto main = [&]() -> task<int> {
    auto handle = spawn(stubborn);
    co_await sleep_for(1ms);
    EXPECT_TRUE(handle.cancel("first call"));
    const int value = co_await handle;
    EXPECT_FALSE(handle.cancel());
    co_return value;
  };
  EXPECT_EQ(loop.run(main()), 42);
}

TEST(cancel, inside_a_cancelled_scope_every_wait_fails) {
  virtual_loop loop;
  auto main = []() -> task<int> {
    int failed = 0;
    {
      cancel_scope scope;
      scope.cancel("closing");
      for (int i = 0; i < 5; ++i) {
        try {
          co_await sleep_for(1s);
        } catch (const cancelled&) {
          ++failed;
        }
      }
    }
    co_await sleep_for(1s);
    co_return failed;
  };
  EXPECT_EQ(loop.run(main()), 5);
}

TEST(cancel, a_wait_that_need_not_suspend_fails_too_inside_a_cancelled_scope) {
  virtual_loop loop;
  auto main = []() -> task<int> {
    queue<int> jobs{4};
    co_await jobs.put(1);
    cancel_scope scope;
    scope.cancel("closing");
    int failed = 0;
    try {
      auto job = co_await jobs.take();
    } catch (const cancelled&) {
      ++failed;
    }
    EXPECT_EQ(jobs.size(), 1U);
    co_return failed;
  };
  EXPECT_EQ(loop.run(main()), 1);
}

TEST(cancel, a_loop_that_swallows_cancellation_lets_others_run) {
  virtual_loop loop;
  auto swallower = [](int& rounds) -> task<> {
    cancel_scope scope;
    scope.cancel("closing");
    while (rounds < 5000) {
      try {
        co_await sleep_for(1h);
      } catch (...) {
        ++rounds;
      }
    }
  };
  auto other = [](int& turns) -> task<> {
    for (int i = 0; i < 100; ++i) {
      co_await yield();
      ++turns;
    }
  };
  int rounds = 0;
  int turns = 0;
  auto main = [&]() -> task<> {
    auto one = spawn(swallower, std::ref(rounds));
    auto two = spawn(other, std::ref(turns));
    co_await two;
    EXPECT_LT(rounds, 200);
    co_await one;
  };
  loop.run(main());
  EXPECT_EQ(turns, 100);
}

TEST(cancel, a_shield_keeps_cancellation_out_until_its_end) {
  virtual_loop loop;
  auto cleanup = [](bool& finished) -> task<> {
    co_await sleep_for(1s);
    finished = true;
  };
  bool finished = false;
  auto worker = [&]() -> task<> {
    auto body = cleanup(finished);
    co_await shielded(1min, std::move(body));
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await sleep_for(1ms);
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(finished);
  };
  loop.run(main());
}

TEST(cancel, a_shield_has_a_deadline) {
  virtual_loop loop;
  auto endless = []() -> task<> { co_await sleep_for(24h); };
  auto worker = [&]() -> task<> {
    auto body = endless();
    co_await shielded(1s, std::move(body));
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await sleep_for(1ms);
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
}

TEST(cancel, a_spawned_task_always_runs_to_its_first_wait) {
  virtual_loop loop;
  bool started = false;
  auto worker = [](bool& flag) -> task<> {
    flag = true;
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker, std::ref(started));
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(started);
  };
  loop.run(main());
}

TEST(cancel, catch_std_exception_does_not_eat_it) {
  virtual_loop loop;
  auto worker = []() -> task<> {
    try {
      co_await sleep_for(1h);
    } catch (const std::exception&) {
      ADD_FAILURE() << "cancelled is a std::exception";
    }
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await yield();
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
}

// Its locals go before its parameters, so the outer scopes before the inner ones.
TEST(cancel, a_frame_destroyed_within_nested_scopes_ends_them_in_any_order) {
  virtual_loop loop;
  auto sleeps = []() -> task<> { co_await sleep_for(1h); };
  auto nested = [&]() -> task<> {
    auto in_time = timeout(1h, sleeps());
    auto out_of_reach = shielded(1h, std::move(in_time));
    co_await timeout(1h, std::move(out_of_reach));
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(nested);
    co_await sleep_for(1s);
    loop.kill(handle.record());
    EXPECT_TRUE(handle.cancelled());
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
