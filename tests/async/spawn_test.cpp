#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace brigade
