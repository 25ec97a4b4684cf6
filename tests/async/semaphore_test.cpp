#include <brigade/async/semaphore.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

task<> acquires(semaphore& from, std::vector<int>& order, int count) {
  const auto permit = co_await from.acquire(count);
  order.push_back(count);
  co_await sleep_for(1s);
}

TEST(semaphore, a_permit_comes_back_when_it_goes) {
  virtual_loop loop;
  semaphore two(2);
  auto main = [&]() -> task<> {
    auto first = co_await two.acquire();
    {
      const auto second = co_await two.acquire();
      EXPECT_EQ(two.value(), 0);
      EXPECT_FALSE(two.try_acquire());
    }
    EXPECT_EQ(two.value(), 1);
    const auto moved = std::move(first);
    EXPECT_EQ(two.value(), 1);
    EXPECT_EQ(moved.count(), 1);
    EXPECT_EQ(first.count(), 0);
  };
  loop.run(main());
  EXPECT_EQ(two.value(), 2);
  EXPECT_EQ(two.statistics().line.acquired, 2U);
}

TEST(semaphore, one_who_wants_many_is_not_passed_by_those_who_want_few) {
  virtual_loop loop;
  semaphore three(3);
  std::vector<int> order;
  auto main = [&]() -> task<> {
    auto one = co_await three.acquire();
    for (const int count : {3, 1, 2}) spawn(acquires, std::ref(three), std::ref(order), count);
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(order.empty());
    EXPECT_EQ(three.value(), 2);
    EXPECT_FALSE(three.try_acquire());
    one.release();
    co_await sleep_for(500ms);
    EXPECT_EQ(order, (std::vector{3}));
    co_await sleep_for(1s);
    EXPECT_EQ(order, (std::vector{3, 1, 2}));
  };
  loop.run(main());
}

TEST(semaphore, when_one_who_wants_many_gives_up_those_behind_go_in) {
  virtual_loop loop;
  semaphore three(3);
  std::vector<int> order;
  auto main = [&]() -> task<> {
    const auto one = co_await three.acquire();
    auto wants_all = spawn(acquires, std::ref(three), std::ref(order), 3);
    spawn(acquires, std::ref(three), std::ref(order), 1);
    co_await wait_all_tasks_blocked();
    wants_all.cancel();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(order, (std::vector{1}));
  };
  loop.run(main());
}

TEST(semaphore, when_one_who_wants_many_dies_those_behind_go_in) {
  virtual_loop loop;
  semaphore three(3);
  std::vector<int> order;
  auto main = [&]() -> task<> {
    const auto one = co_await three.acquire();
    auto wants_all = spawn(acquires, std::ref(three), std::ref(order), 3);
    spawn(acquires, std::ref(three), std::ref(order), 1);
    co_await wait_all_tasks_blocked();
    loop::current().kill(wants_all.record());
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(order, (std::vector{1}));
  };
  loop.run(main());
}

TEST(semaphore, its_limit_can_be_raised_and_lowered_while_it_is_in_use) {
  virtual_loop loop;
  semaphore workers(1);
  std::vector<int> order;
  auto main = [&]() -> task<> {
    for (int i = 0; i < 6; ++i) spawn(acquires, std::ref(workers), std::ref(order), 1);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(order.size(), 1U);
    workers.set_limit(3);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(order.size(), 3U);
    workers.set_limit(1);
    EXPECT_EQ(workers.value(), -2);
    co_await sleep_for(1500ms);  // three have left, one has come
    EXPECT_EQ(order.size(), 4U);
    EXPECT_EQ(workers.value(), 0);
    co_await sleep_for(2s);
    EXPECT_EQ(order.size(), 6U);
  };
  loop.run(main());
  EXPECT_EQ(workers.statistics().limit, 1);
}

TEST(semaphore, a_detached_permit_is_given_back_by_hand) {
  virtual_loop loop;
  bounded_semaphore one(1);
  auto main = [&]() -> task<> {
    {
      auto permit = co_await one.acquire();
      permit.detach();
      EXPECT_FALSE(permit);
    }
    EXPECT_TRUE(one.locked());
    one.release();
    EXPECT_FALSE(one.locked());
  };
  loop.run(main());
}

TEST(semaphore, a_raw_release_makes_more_permits_unless_it_is_bounded) {
  semaphore plain(1);
  plain.release(2);
  EXPECT_EQ(plain.value(), 3);
  bounded_semaphore bounded(2);
  EXPECT_DEATH(bounded.release(), "more permits of a bounded semaphore were released");
}

TEST(semaphore, a_waiter_says_what_it_wants) {
  virtual_loop loop;
  semaphore three(3, "ovens");
  std::vector<int> order;
  auto main = [&]() -> task<> {
    const auto permit = co_await three.acquire(2);
    auto waiting = spawn(acquires, std::ref(three), std::ref(order), 2);
    co_await wait_all_tasks_blocked();
    const std::string what = waiting.record().waiting_on()->describe();
    EXPECT_EQ(what.rfind("2 permits of semaphore 'ovens' (1 of 3 free; last taken at ", 0), 0U)
        << what;
    waiting.cancel();
  };
  loop.run(main());
  EXPECT_EQ(three.statistics().line.given_up, 1U);
}

TEST(semaphore, destroyed_while_a_permit_is_out_is_a_misuse) {
  EXPECT_DEATH(
      {
        std::optional<semaphore> one(std::in_place, 1);
        const auto permit = one->try_acquire();
        one.reset();
      },
      "a semaphore was destroyed while somebody has a permit");
}

TEST(semaphore, no_permits_cannot_be_asked_for) {
  semaphore one(1);
  EXPECT_DEATH(static_cast<void>(one.try_acquire(0)), "no permits were asked for");
}

}  // namespace
}  // namespace brigade
