#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/sequencer.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace brigade::testing {
namespace {

TEST(sequencer, parts_of_tasks_run_in_the_order_of_their_positions) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    virtual_loop loop(seed);
    sequencer seq;
    std::vector<std::size_t> order;
    auto takes_turns = [&](std::size_t first) -> task<> {
      for (const std::size_t position : {first, first + 2, first + 4}) {
        const auto turn = co_await seq(position);
        co_await yield();
        order.push_back(position);
      }
    };
    auto main = [&]() -> task<> {
      spawn(std::ref(takes_turns), 1U);
      spawn(std::ref(takes_turns), 0U);
      co_await wait_all_tasks_blocked();
    };
    loop.run(main());
    EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5})) << seed;
  }
}

TEST(sequencer, a_turn_that_nobody_keeps_lets_the_next_one_in_at_once) {
  virtual_loop loop;
  sequencer seq;
  std::vector<int> order;
  auto second = [&]() -> task<> {
    co_await seq(1);
    order.push_back(1);
  };
  auto main = [&]() -> task<> {
    spawn(std::ref(second));
    co_await yield();
    order.push_back(0);
    co_await seq(0);
    co_await wait_all_tasks_blocked();
  };
  loop.run(main());
  EXPECT_EQ(order, (std::vector{0, 1}));
}

TEST(sequencer, a_cancelled_position_breaks_it_for_the_later_ones) {
  virtual_loop loop;
  sequencer seq;
  auto takes = [&](std::size_t position) -> task<> { co_await seq(position); };
  auto main = [&]() -> task<> {
    auto first = spawn(std::ref(takes), 1U);
    auto second = spawn(std::ref(takes), 2U);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(first.record().waiting_on()->describe(), "position 1 of a sequence, which is at 0");
    first.cancel();
    EXPECT_THROW(co_await second.join(), sequence_broken);
    EXPECT_THROW(co_await seq(3), sequence_broken);
  };
  loop.run(main());
}

TEST(sequencer, a_position_used_twice_is_a_misuse) {
  virtual_loop loop;
  sequencer seq;
  auto main = [&]() -> task<> {
    co_await seq(0);
    co_await seq(0);
  };
  EXPECT_DEATH(loop.run(main()), "a position of a sequence was used twice");
}

}  // namespace
}  // namespace brigade::testing
