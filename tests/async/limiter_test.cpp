#include <brigade/async/error.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/limiter.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

task<> calls(limiter& by, std::vector<int>& order, int id, int count = 1) {
  co_await by.acquire(count);
  order.push_back(id);
}

TEST(limiter, a_burst_goes_at_once_and_then_as_many_as_the_rate_allows) {
  virtual_loop loop;
  limiter four(4, 1s, 2);
  std::vector<nanoseconds> at;
  auto main = [&]() -> task<> {
    const auto began = current_loop().now();
    for (int i = 0; i < 6; ++i) {
      co_await four.acquire();
      at.push_back(current_loop().now() - began);
    }
  };
  loop.run(main());
  EXPECT_EQ(at, (std::vector<nanoseconds>{0ms, 0ms, 250ms, 500ms, 750ms, 1000ms}));
}

TEST(limiter, a_rate_that_no_nanosecond_divides_does_not_drift) {
  virtual_loop loop;
  limiter three(3, 1s, 1);
  auto main = [&]() -> task<> {
    const auto began = current_loop().now();
    for (std::int64_t n = 0; n <= 3000; ++n) {
      co_await three.acquire();
      // The n-th third of a second, rounded up to the nanosecond.
      const nanoseconds due((n * 1'000'000'000 + 2) / 3);
      EXPECT_EQ(current_loop().now() - began, due);
    }
  };
  loop.run(main());
}

TEST(limiter, looking_at_it_often_does_not_change_its_rate) {
  virtual_loop loop;
  limiter seven(7, 1s, 1);
  std::int64_t got = 0;
  auto main = [&]() -> task<> {
    const auto began = current_loop().now();
    while (current_loop().now() - began < 10s) {
      got += seven.try_acquire() ? 1 : 0;
      co_await sleep_for(999'983ns);
    }
  };
  loop.run(main());
  EXPECT_GE(got, 69);
  EXPECT_LE(got, 71);
}

TEST(limiter, time_that_passes_fills_it_up_to_its_burst_and_no_further) {
  virtual_loop loop;
  limiter ten(10, 1s, 5);
  auto main = [&]() -> task<> {
    co_await ten.acquire(5);
    co_await sleep_for(1h);
    EXPECT_TRUE(ten.try_acquire(5));
    EXPECT_FALSE(ten.try_acquire());
    co_await sleep_for(100ms);
    EXPECT_TRUE(ten.try_acquire());
    EXPECT_FALSE(ten.try_acquire());
  };
  loop.run(main());
  EXPECT_EQ(ten.statistics().available, 0);
}

TEST(limiter, one_who_wants_many_is_not_passed_by_those_who_want_few) {
  virtual_loop loop;
  limiter one(1, 1s, 3);
  std::vector<int> order;
  auto main = [&]() -> task<> {
    co_await one.acquire(3);
    spawn(calls, std::ref(one), std::ref(order), 1, 3);
    auto last = spawn(calls, std::ref(one), std::ref(order), 2, 1);
    co_await sleep_for(2500ms);
    EXPECT_TRUE(order.empty());
    EXPECT_FALSE(one.try_acquire());
    co_await last.join();
  };
  loop.run(main());
  EXPECT_EQ(order, (std::vector{1, 2}));
}

TEST(limiter, a_cancelled_waiter_gives_its_turn_to_the_next) {
  for (const bool after_it_was_granted : {false, true}) {
    virtual_loop loop;
    limiter one(1, 1s, 1);
    std::vector<int> order;
    auto main = [&]() -> task<> {
      co_await one.acquire();
      auto first = spawn(calls, std::ref(one), std::ref(order), 1, 1);
      auto second = spawn(calls, std::ref(one), std::ref(order), 2, 1);
      const auto began = current_loop().now();
      co_await wait_all_tasks_blocked();
      if (after_it_was_granted) {
        // This task's timer is armed after the limiter's, so it runs when the first is ready.
        const auto cancels = [](task_handle<> whom) -> task<> {
          co_await sleep_for(1s);
          whom.cancel();
        };
        spawn(cancels, first);
        co_await yield();
      } else {
        first.cancel();
      }
      co_await second.join();
      EXPECT_EQ(current_loop().now() - began, after_it_was_granted ? 2s : 1s);
    };
    loop.run(main());
    EXPECT_EQ(order, after_it_was_granted ? (std::vector{1, 2}) : (std::vector{2}));
  }
}

TEST(limiter, a_waiter_killed_with_its_turn_in_hand_gives_it_to_the_next) {
  virtual_loop loop;
  limiter one(1, 1s, 1, "calls");
  std::vector<int> order;
  std::optional<task_handle<>> first;
  auto kills = [&]() -> task<> {
    co_await sleep_for(1s);
    loop::current().kill(first->record());
  };
  auto main = [&]() -> task<> {
    spawn(std::ref(kills));  // its timer comes first: it runs before whom it kills
    co_await one.acquire();
    co_await yield();
    first.emplace(spawn(calls, std::ref(one), std::ref(order), 1, 1));
    auto second = spawn(calls, std::ref(one), std::ref(order), 2, 1);
    const auto began = current_loop().now();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(second.record().waiting_on()->describe(), "1 token of limiter 'calls'");
    co_await second.join();
    EXPECT_EQ(current_loop().now() - began, 1s);
  };
  loop.run(main());
  EXPECT_EQ(order, (std::vector{2}));
  EXPECT_TRUE(loop.timers().empty());
}

TEST(limiter, waiters_of_the_background_do_not_hide_a_deadlock) {
  virtual_loop loop;
  limiter slow(1, 1h, 1);
  auto background = [&]() -> task<> {
    while (true) co_await slow.acquire();
  };
  auto never = [&]() -> task<> {
    auto metrics = spawn(std::ref(background));
    metrics.set_background();
    event nobody_sets_it;
    co_await nobody_sets_it.wait();
  };
  EXPECT_THROW(loop.run(never()), deadlock);
}

TEST(limiter, a_million_a_day_is_exact_too) {
  virtual_loop loop;
  limiter daily(1'000'000, 24h, 1'000'000);
  auto main = [&]() -> task<> {
    co_await daily.acquire(1'000'000);
    const auto began = current_loop().now();
    co_await daily.acquire(500'000);
    EXPECT_EQ(current_loop().now() - began, 12h);
  };
  loop.run(main());
}

TEST(limiter, more_than_the_burst_is_a_misuse) {
  virtual_loop loop;
  limiter two(1, 1s, 2);
  auto main = [&]() -> task<> { co_await two.acquire(3); };
  EXPECT_DEATH(loop.run(main()), "more tokens were asked for than a limiter's burst");
  EXPECT_DEATH(limiter(0, 1s, 1), "a limiter that lets nothing through");
  EXPECT_DEATH(limiter(1, 0s, 1), "a limiter's rate is for no time");
}

}  // namespace
}  // namespace brigade
