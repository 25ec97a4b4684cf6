#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> add(int a, int b) { co_return a + b; }

task<int> fails_later() {
  co_await sleep_for(1s);
  throw std::runtime_error("late");
}

task<std::string> joins_twice() {
  auto handle = spawn(add, 20, 22);
  const int value = co_await handle;
  auto failing = spawn(fails_later);
  std::string text = std::to_string(value);
  try {
    co_await failing;
  } catch (const std::runtime_error& error) {
    text += error.what();
  }
  co_return text;
}

TEST(task, a_handle_gives_the_result_or_the_error) {
  virtual_loop loop;
  EXPECT_EQ(loop.run(joins_twice()), "42late");
}

task<> drops_a_failing_task() {
  spawn(fails_later);
  co_await sleep_for(2s);
}

TEST(task, an_error_nobody_awaits_is_reported) {
  virtual_loop loop;
  std::string reported;
  loop.on_unhandled = [&](const std::string& name, const std::exception_ptr& error) {
    reported = name + ": " + error_text(error);
  };
  loop.run(drops_a_failing_task());
  EXPECT_EQ(reported, "task-2: late");
}

TEST(spawn, a_handle_may_outlive_its_loop_with_an_error_nobody_awaited) {
  std::string reported;
  std::optional<task_handle<int>> kept;
  auto main = [&]() -> task<> {
    kept.emplace(spawn(fails_later));
    co_await sleep_for(2s);
  };
  {
    virtual_loop loop;
    loop.on_unhandled = [&](const std::string& name, const std::exception_ptr& error) {
      reported = name + ": " + error_text(error);
    };
    loop.run(main());
  }
  EXPECT_EQ(reported, "task-2: late");
  EXPECT_THROW(static_cast<void>(kept->result()), std::runtime_error);
  kept.reset();
  EXPECT_EQ(reported, "task-2: late");
}

task<std::size_t> reads_later(const std::string& text) {
  co_await sleep_for(1s);
  co_return text.size();
}

TEST(spawn, arguments_are_copied_even_for_a_parameter_that_is_a_reference) {
  virtual_loop loop;
  auto main = []() -> task<std::size_t> {
    auto handle = spawn(reads_later, std::string(100, 'x'));  // the argument dies here
    co_return co_await handle;
  };
  EXPECT_EQ(loop.run(main()), 100U);
}

TEST(spawn, a_lambda_with_captures_lives_as_long_as_its_task) {
  virtual_loop loop;
  auto main = []() -> task<int> {
    auto value = std::make_shared<int>(42);
    auto captures = [value]() -> task<int> {
      co_await sleep_for(1s);
      co_return *value;
    };
    auto handle = spawn(std::move(captures));
    value.reset();
    co_return co_await handle;
  };
  EXPECT_EQ(loop.run(main()), 42);
}

TEST(spawn, a_handle_can_be_awaited_by_several) {
  virtual_loop loop;
  auto waits = [](task_handle<> on, int& count) -> task<> {
    co_await on;
    ++count;
  };
  auto sleeps = []() -> task<> { co_await sleep_for(1s); };
  int count = 0;
  auto main = [&]() -> task<> {
    auto shared = spawn(sleeps);
    auto one = spawn(waits, shared, std::ref(count));
    auto two = spawn(waits, shared, std::ref(count));
    co_await one;
    co_await two;
  };
  loop.run(main());
  EXPECT_EQ(count, 2);
}

task<> awaits(std::optional<task_handle<>>& other) { co_await *other; }

TEST(task, of_tasks_that_await_each_other_a_cancelled_one_ends_and_then_the_others) {
  virtual_loop loop;
  loop.on_warning = [](const std::string&) {};  // that names the circle
  auto main = []() -> task<> {
    std::optional<task_handle<>> a;
    std::optional<task_handle<>> b;
    std::optional<task_handle<>> c;
    a = spawn(awaits, std::ref(b));
    b = spawn(awaits, std::ref(c));
    c = spawn(awaits, std::ref(a));
    co_await sleep_for(1s);
    a->cancel("enough");
    co_await sleep_for(1s);
    EXPECT_TRUE(a->cancelled());
    EXPECT_TRUE(b->cancelled());
    EXPECT_TRUE(c->cancelled());
  };
  loop.run(main());
}

TEST(task, tasks_that_await_each_other_are_a_deadlock_that_ends) {
  virtual_loop loop;
  loop.on_warning = [](const std::string&) {};
  auto main = []() -> task<> {
    std::optional<task_handle<>> a;
    std::optional<task_handle<>> b;
    a = spawn(awaits, std::ref(b));
    b = spawn(awaits, std::ref(a));
    co_await *a;
  };
  EXPECT_THROW(loop.run(main()), deadlock);
}

TEST(task, a_child_that_awaits_the_owner_of_its_group_ends_when_that_is_cancelled) {
  virtual_loop loop;
  loop.on_warning = [](const std::string&) {};
  auto main = []() -> task<> {
    std::optional<task_handle<>> owner;
    auto group_of_one = [](std::optional<task_handle<>>& self) -> task<> {
      co_await with_group([&](task_group& group) { group.spawn(awaits, std::ref(self)); });
    };
    owner = spawn(group_of_one, std::ref(owner));
    co_await sleep_for(1s);
    owner->cancel();
    co_await sleep_for(1s);
    EXPECT_TRUE(owner->cancelled());
    owner = spawn(group_of_one, std::ref(owner));
    EXPECT_THROW(co_await timeout(1s, awaits(owner)), timed_out);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
