#include <brigade/async/gate.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

task<> works(gate& in, std::chrono::milliseconds duration) {
  const auto inside = in.enter();
  co_await sleep_for(duration);
}

task<> closes(gate& target) { co_await target.close(); }

TEST(gate, close_waits_for_those_inside_and_lets_nobody_else_in) {
  virtual_loop loop;
  gate orders("orders");
  auto main = [&]() -> task<> {
    spawn(works, std::ref(orders), 1000ms);
    spawn(works, std::ref(orders), 2000ms);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(orders.count(), 2U);
    const auto began = current_loop().now();
    auto closing = orders.close();
    EXPECT_TRUE(orders.closed());
    EXPECT_FALSE(orders.try_enter());
    EXPECT_THROW(static_cast<void>(orders.enter()), gate_closed);
    co_await closing;
    EXPECT_EQ(orders.count(), 0U);
    EXPECT_EQ(current_loop().now() - began, 2s);
  };
  loop.run(main());
  EXPECT_EQ(orders.statistics().entered, 2U);
  EXPECT_EQ(orders.statistics().refused, 2U);
}

TEST(gate, closing_an_empty_one_does_not_wait_and_may_be_repeated) {
  virtual_loop loop;
  gate orders;
  auto main = [&]() -> task<> {
    const auto steps = current_loop().steps();
    co_await orders.close();
    co_await orders.close();
    EXPECT_EQ(current_loop().steps(), steps);
  };
  loop.run(main());
}

TEST(gate, all_who_close_it_wait_for_the_last_and_a_cancelled_one_only_stops_waiting) {
  virtual_loop loop;
  gate orders("orders");
  auto main = [&]() -> task<> {
    auto pass = orders.enter();
    auto first = spawn(closes, std::ref(orders));
    auto second = spawn(closes, std::ref(orders));
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(first.record().waiting_on()->describe(), "the last of 1 to leave gate 'orders'");
    EXPECT_EQ(orders.statistics().closers_waiting, 2U);
    first.cancel();
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(first.cancelled());
    EXPECT_TRUE(orders.closed());
    EXPECT_FALSE(second.done());
    const auto moved = std::move(pass);
    co_await wait_all_tasks_blocked();
    EXPECT_FALSE(second.done());
  };
  loop.run(main());
  EXPECT_EQ(orders.count(), 0U);
}

TEST(gate, leaving_twice_is_a_misuse) {
  gate orders;
  auto pass = orders.enter();
  pass.leave();
  EXPECT_DEATH(pass.leave(), "an empty pass was used to leave");
}

TEST(gate, destroyed_while_somebody_is_inside_is_a_misuse) {
  EXPECT_DEATH(
      {
        std::optional<gate> orders(std::in_place);
        const auto inside = orders->enter();
        orders.reset();
      },
      "a gate was destroyed while somebody is inside");
}

}  // namespace
}  // namespace brigade
