#include <brigade/async/barrier.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

task<> passes(barrier& at, std::vector<std::size_t>& indices) {
  const std::size_t index = co_await at.arrive_and_wait();
  indices.push_back(index);
}

TEST(barrier, each_round_gives_each_index_once_even_after_one_was_cancelled) {
  virtual_loop loop;
  barrier wall(3);
  std::vector<std::size_t> indices;
  auto main = [&]() -> task<> {
    auto leaves = spawn(passes, std::ref(wall), std::ref(indices));
    spawn(passes, std::ref(wall), std::ref(indices));
    co_await wait_all_tasks_blocked();
    leaves.cancel();
    co_await wait_all_tasks_blocked();
    spawn(passes, std::ref(wall), std::ref(indices));
    spawn(passes, std::ref(wall), std::ref(indices));
    co_await wait_all_tasks_blocked();
  };
  loop.run(main());
  std::ranges::sort(indices);
  EXPECT_EQ(indices, (std::vector<std::size_t>{0, 1, 2}));
}

TEST(barrier, tasks_without_end_go_round_together_in_any_order) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    virtual_loop loop(seed);
    barrier wall(4);
    std::vector<int> rounds(4, 0);
    auto goes_round = [&](std::size_t self) -> task<> {
      for (int round = 0; round < 20; ++round) {
        co_await wall.arrive_and_wait();
        const auto [least, most] = std::ranges::minmax(rounds);
        EXPECT_LE(most - least, 1) << seed;
        ++rounds[self];
      }
    };
    auto main = [&]() -> task<> {
      for (std::size_t i = 0; i < 4; ++i) spawn(std::ref(goes_round), i);
      co_await wait_all_tasks_blocked();
    };
    loop.run(main());
    EXPECT_EQ(rounds, std::vector<int>(4, 20));
    EXPECT_EQ(wall.statistics().rounds, 20U);
  }
}

TEST(barrier, one_cancelled_when_all_had_arrived_lets_the_others_through) {
  virtual_loop loop;
  barrier wall(3);
  std::vector<std::size_t> indices;
  auto main = [&]() -> task<> {
    auto struck = spawn(passes, std::ref(wall), std::ref(indices));
    spawn(passes, std::ref(wall), std::ref(indices));
    co_await wait_all_tasks_blocked();
    co_await wall.arrive_and_wait();
    struck.cancel();
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(struck.cancelled());
    EXPECT_EQ(indices.size(), 1U);
    EXPECT_EQ(wall.state(), barrier_state::filling);
  };
  loop.run(main());
}

TEST(barrier, more_early_ones_than_a_round_needs_fill_the_rounds_in_order) {
  virtual_loop loop;
  barrier wall(2);
  std::vector<std::size_t> indices;
  auto main = [&]() -> task<> {
    for (int i = 0; i < 2; ++i) spawn(passes, std::ref(wall), std::ref(indices));
    co_await yield();  // the first round is draining
    EXPECT_EQ(wall.state(), barrier_state::draining);
    for (int i = 0; i < 4; ++i) spawn(passes, std::ref(wall), std::ref(indices));
    co_await wait_all_tasks_blocked();
  };
  loop.run(main());
  EXPECT_EQ(indices.size(), 6U);
  EXPECT_EQ(wall.statistics().rounds, 3U);
}

TEST(barrier, a_reset_mends_one_that_was_aborted_once_all_have_gone) {
  virtual_loop loop;
  barrier wall(2);
  int broken = 0;
  auto tries = [&]() -> task<> {
    try {
      co_await wall.arrive_and_wait();
    } catch (const broken_barrier&) {
      ++broken;
    }
  };
  auto main = [&]() -> task<> {
    spawn(std::ref(tries));
    co_await wait_all_tasks_blocked();
    wall.abort();
    wall.reset();
    EXPECT_EQ(wall.state(), barrier_state::resetting);
    spawn(std::ref(tries));  // for the next round, which begins when the first has gone
    spawn(std::ref(tries));
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(broken, 1);
    EXPECT_EQ(wall.statistics().rounds, 1U);
  };
  loop.run(main());
}

TEST(barrier, a_waiter_says_how_many_are_there) {
  virtual_loop loop;
  barrier wall(3, "wall");
  std::vector<std::size_t> indices;
  auto main = [&]() -> task<> {
    auto waiting = spawn(passes, std::ref(wall), std::ref(indices));
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(waiting.record().waiting_on()->describe(), "barrier 'wall' (1 of 3 arrived)");
    wall.abort();
    EXPECT_THROW(co_await waiting.join(), broken_barrier);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
