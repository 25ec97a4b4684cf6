// Tasks that start inside `spawn`: CPython's test_eager_task_factory.py.

#include <brigade/async/future.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> gives(int value) { co_return value; }

task<int> yields_and_gives(int value) {
  co_await yield();
  co_return value;
}

bool listed(const task_ref& one) {
  const auto tasks = all_tasks();
  return std::ranges::find(tasks, one) != tasks.end();
}

TEST(EagerTaskFactoryTests, eager_completion) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(eager, gives, 1);
    EXPECT_TRUE(handle.done());
    const int value = co_await handle;
    EXPECT_EQ(value, 1);
  };
  loop.run(main());
}

TEST(EagerTaskFactoryTests, await_future_during_eager_step) {
  virtual_loop loop;
  auto body = []() -> task<int> {
    promise<int> inner;
    inner.set_value(7);
    const int value = co_await inner.get_future();
    co_return value;
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(eager, body);
    EXPECT_TRUE(handle.done());
    const int value = co_await handle;
    EXPECT_EQ(value, 7);
  };
  loop.run(main());
}

TEST(EagerTaskFactoryTests, block_after_eager_step) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(eager, yields_and_gives, 1);
    EXPECT_FALSE(handle.done());
    const int value = co_await handle;
    EXPECT_EQ(value, 1);
  };
  loop.run(main());
}

TEST(EagerTaskFactoryTests, cancellation_after_eager_completion) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(eager, gives, 1);
    EXPECT_FALSE(handle.cancel());
    const int value = co_await handle;
    EXPECT_EQ(value, 1);
    EXPECT_FALSE(handle.cancelled());
  };
  loop.run(main());
}

TEST(EagerTaskFactoryTests, cancellation_after_eager_step_blocks) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(eager, yields_and_gives, 1);
    EXPECT_TRUE(handle.cancel("cancellation message"));
    std::string reason;
    try {
      co_await handle;
    } catch (const cancelled& why) {
      reason = why.reason();
    }
    EXPECT_EQ(reason, "cancellation message");
    EXPECT_TRUE(handle.cancelled());
  };
  loop.run(main());
}

TEST(EagerTaskFactoryTests, current_task) {
  virtual_loop loop;
  std::optional<task_ref> inside;
  auto body = [&]() -> task<> {
    inside = current_task();
    co_return;
  };
  auto main = [&]() -> task<> {
    const task_ref self = current_task();
    auto handle = spawn(eager, body);
    EXPECT_EQ(*inside, handle);
    EXPECT_EQ(current_task(), self);
    co_return;
  };
  loop.run(main());
}

TEST(EagerTaskFactoryTests, all_tasks_with_eager_completion) {
  virtual_loop loop;
  bool while_running = false;
  auto body = [&]() -> task<> {
    while_running = listed(current_task());
    co_return;
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(eager, body);
    EXPECT_FALSE(listed(handle));
    co_return;
  };
  loop.run(main());
  EXPECT_TRUE(while_running);
}

TEST(EagerTaskFactoryTests, all_tasks_with_blocking) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(eager, yields_and_gives, 1);
    EXPECT_TRUE(listed(handle));
    co_await handle;
    EXPECT_FALSE(listed(handle));
  };
  loop.run(main());
}

TEST(EagerTaskFactoryTests, eager_start_false) {
  virtual_loop loop;
  bool started = false;
  auto body = [&]() -> task<> {
    started = true;
    co_return;
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(body);
    EXPECT_FALSE(started);
    co_await handle;
    EXPECT_TRUE(started);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
