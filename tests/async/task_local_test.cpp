#include <brigade/async/task_local.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<std::string> reads(const task_local<std::string>& variable) {
  co_await yield();
  co_return *variable.get();
}

task<> sets(task_local<std::string>& variable, std::string value) {
  variable.set(std::move(value));
  co_await yield();
}

TEST(task_local, is_the_default_where_nobody_has_set_it) {
  const task_local<int> with_default(7);
  const task_local<int> without;
  ASSERT_NE(with_default.get(), nullptr);
  EXPECT_EQ(*with_default.get(), 7);
  EXPECT_EQ(without.get(), nullptr);
}

TEST(task_local, is_inherited_by_spawned_tasks_and_not_given_back_by_them) {
  virtual_loop loop;
  task_local<std::string> name("nobody");
  auto main = [&]() -> task<> {
    auto before = spawn(reads, std::cref(name));
    name.set("parent");
    auto after = spawn(reads, std::cref(name));
    auto child = spawn(sets, std::ref(name), "child");
    EXPECT_EQ(co_await before, "nobody");
    EXPECT_EQ(co_await after, "parent");
    co_await child;
    EXPECT_EQ(*name.get(), "parent");
  };
  loop.run(main());
}

TEST(task_local, is_seen_by_tasks_awaited_in_place_which_change_it_for_the_whole_task) {
  virtual_loop loop;
  task_local<std::string> name;
  auto main = [&]() -> task<> {
    co_await sets(name, "inner");
    EXPECT_EQ(*name.get(), "inner");
  };
  loop.run(main());
}

TEST(task_local, with_holds_until_the_end_of_its_block_also_over_waits_and_exceptions) {
  virtual_loop loop;
  task_local<int> depth(0);
  auto main = [&]() -> task<> {
    {
      const auto one = depth.with(1);
      EXPECT_EQ(*depth.get(), 1);
      try {
        const auto two = depth.with(2);
        co_await sleep_for(1s);
        EXPECT_EQ(*depth.get(), 2);
        throw std::runtime_error("out");
      } catch (const std::runtime_error&) {
        EXPECT_EQ(*depth.get(), 1);
      }
    }
    EXPECT_EQ(*depth.get(), 0);
  };
  loop.run(main());
}

TEST(task_local, values_of_two_tasks_do_not_meet) {
  virtual_loop loop(3);
  task_local<int> number(0);
  auto counts = [&](int from) -> task<bool> {
    bool mine = true;
    for (int i = 0; i < 20; ++i) {
      number.set(from + i);
      co_await yield();
      mine = mine && *number.get() == from + i;
    }
    co_return mine;
  };
  auto main = [&]() -> task<> {
    auto one = spawn(counts, 100);
    auto two = spawn(counts, 200);
    EXPECT_TRUE(co_await one);
    EXPECT_TRUE(co_await two);
  };
  loop.run(main());
}

TEST(task_local, a_long_chain_of_values_goes_without_recursion) {
  virtual_loop loop;
  task_local<int> number(0);
  auto main = [&]() -> task<> {
    for (int i = 1; i <= 200'000; ++i) number.set(i);
    EXPECT_EQ(*number.get(), 200'000);
    co_return;
  };
  loop.run(main());
}

TEST(task_local_death_test, setting_one_outside_any_task_is_a_misuse) {
  task_local<int> number(0);
  auto set_outside = [&] {
    virtual_loop loop;
    number.set(1);
  };
  EXPECT_DEATH(set_outside(), "no loop runs on this thread");
}

}  // namespace
}  // namespace brigade
