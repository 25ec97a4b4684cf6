#include <brigade/async/event.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <optional>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

TEST(event, set_wakes_all_who_wait_even_if_cleared_at_once) {
  virtual_loop loop;
  event ready;
  int woken = 0;
  auto waits = [](event& on, int& count) -> task<> {
    co_await on.wait();
    ++count;
  };
  auto main = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) spawn(waits, std::ref(ready), std::ref(woken));
    co_await yield();
    ready.set();
    ready.clear();
    co_await sleep_for(1ms);
  };
  loop.run(main());
  EXPECT_EQ(woken, 3);
}

TEST(event, waiting_for_one_that_is_set_does_not_wait) {
  virtual_loop loop;
  event ready;
  ready.set();
  auto main = [&]() -> task<> {
    const auto steps = current_loop().steps();
    co_await ready.wait();
    EXPECT_EQ(current_loop().steps(), steps);
  };
  loop.run(main());
}

TEST(event, a_cancelled_waiter_leaves_the_others_waiting) {
  virtual_loop loop;
  event ready;
  int woken = 0;
  auto waits = [](event& on, int& count) -> task<> {
    co_await on.wait();
    ++count;
  };
  auto main = [&]() -> task<> {
    auto gone = spawn(waits, std::ref(ready), std::ref(woken));
    auto stays = spawn(waits, std::ref(ready), std::ref(woken));
    co_await yield();
    gone.cancel();
    co_await yield();
    EXPECT_FALSE(stays.done());
    ready.set();
    co_await stays;
    EXPECT_TRUE(gone.cancelled());
  };
  loop.run(main());
  EXPECT_EQ(woken, 1);
}

TEST(event, tells_how_often_it_was_set_and_who_waits) {
  virtual_loop loop;
  event ready("ready");
  auto waits = [](event& on) -> task<> { co_await on.wait(); };
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits, std::ref(ready));
    co_await yield();
    EXPECT_EQ(waiting.record().waiting_on()->describe(), "event 'ready'");
    EXPECT_EQ(ready.statistics().waiting, 1U);
    ready.set();
    ready.set();
    ready.clear();
    ready.set();
    EXPECT_EQ(ready.statistics().waiting, 0U);
    EXPECT_EQ(ready.statistics().woken, 1U);
    EXPECT_EQ(ready.statistics().times_set, 2U);
    co_await waiting.join();
  };
  loop.run(main());
}

TEST(event, destroyed_while_a_task_waits_is_a_misuse) {
  virtual_loop loop;
  auto main = []() -> task<> {
    std::optional<event> ready(std::in_place);
    auto waits = [](event& on) -> task<> { co_await on.wait(); };
    auto waiting = spawn(waits, std::ref(*ready));
    co_await yield();
    ready.reset();
  };
  EXPECT_DEATH(loop.run(main()), "an event was destroyed while a task waits for it");
}

TEST(event, waiting_for_one_that_is_set_does_not_starve_the_others_and_can_be_cancelled) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event enabled("enabled");
    enabled.set();
    int rounds = 0;
    auto works = [&]() -> task<> {
      for (; rounds < 10'000; ++rounds) co_await enabled.wait();
    };
    int rounds_at_first_turn = 0;
    auto other = [&]() -> task<> {
      rounds_at_first_turn = rounds;
      co_return;
    };
    const auto beside = spawn(std::ref(other));
    co_await works();
    EXPECT_GT(rounds_at_first_turn, 0);
    EXPECT_LT(rounds_at_first_turn, 1000);
    co_await beside;
    rounds = 0;
    EXPECT_THROW(co_await timeout(0s, works()), timed_out);
    EXPECT_EQ(rounds, 0);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
