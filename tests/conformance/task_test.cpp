// What a task is, and what cancelling one does: CPython's test_tasks.py, BaseTaskTests.

#include <brigade/async/cancel.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> gives(int value) { co_return value; }

task<int> sleeps(std::chrono::nanoseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

TEST(TaskTests, task_basics) {
  virtual_loop loop;
  auto inner1 = []() -> task<std::string> { co_return "inner1"; };
  auto inner2 = []() -> task<std::string> { co_return "inner2"; };
  auto outer = [&]() -> task<std::string> {
    auto task1 = spawn(inner1);
    auto task2 = spawn(inner2);
    const std::string a = co_await task1;
    const std::string b = co_await task2;
    co_return a + b;
  };
  EXPECT_EQ(loop.run(outer()), "inner1inner2");
}

TEST(TaskTests, task_class) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(gives, 5);
    const int value = co_await handle;
    EXPECT_EQ(value, 5);
    EXPECT_TRUE(handle.done());
    EXPECT_EQ(handle.result(), 5);
  };
  loop.run(main());
}

TEST(TaskTests, other_loop_future) {
  virtual_loop other;
  auto foreign = spawn_on(other, gives(1));
  auto main = [&]() -> task<> {
    bool refused = false;
    try {
      co_await foreign;
    } catch (const invalid_state&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  };
  {
    virtual_loop loop;
    loop.run(main());
  }
  EXPECT_EQ(other.run(gives(2)), 2);
}

TEST(TaskTests, task_awaits_on_itself) {
  virtual_loop loop;
  std::optional<task_handle<>> self;
  auto awaits_itself = [&]() -> task<> {
    co_await yield();
    co_await *self;
  };
  auto main = [&]() -> task<> {
    self = spawn(awaits_itself);
    bool refused = false;
    try {
      co_await *self;
    } catch (const invalid_state&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  };
  loop.run(main());
}

TEST(TaskTests, cancelling) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto sleeper = spawn(sleeps, 10s, 1);
    EXPECT_TRUE(sleeper.cancel());
    EXPECT_GT(sleeper.cancelling(), 0);
    EXPECT_TRUE(sleeper.cancel());
    EXPECT_GT(sleeper.cancelling(), 0);
    EXPECT_THROW(co_await sleeper, cancelled);
    EXPECT_TRUE(sleeper.cancelled());
    EXPECT_FALSE(sleeper.cancel());
  };
  loop.run(main());
}

TEST(TaskTests, uncancel_basic) {
  virtual_loop loop;
  auto body = []() -> task<> {
    try {
      co_await sleep_for(10s);
    } catch (const cancelled&) {
      current_task().uncancel();
    }
    co_await sleep_for(10s);
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(body);
    co_await yield();
    EXPECT_TRUE(handle.cancel());
    EXPECT_EQ(handle.cancelling(), 1);
    co_await sleep_for(1s);
    EXPECT_EQ(handle.cancelling(), 0);
    EXPECT_FALSE(handle.done());
    EXPECT_TRUE(handle.cancel());
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(handle.cancelling(), 1);
    EXPECT_EQ(handle.uncancel(), 1);
  };
  loop.run(main());
}

// A timeout made by hand from cancel and uncancel, as asyncio's own once was.
task<bool> hand_made_timeout(std::chrono::nanoseconds limit, std::chrono::nanoseconds work) {
  const task_ref self = current_task();
  auto strikes = [](std::chrono::nanoseconds after, task_ref victim) -> task<> {
    co_await sleep_for(after);
    victim.cancel("timeout");
  };
  auto timer = spawn(strikes, limit, self);
  bool fired = false;
  try {
    co_await sleep_for(work);
  } catch (const cancelled&) {
    task_ref mine = self;
    fired = mine.uncancel() == 0;
    if (!fired) throw;
  }
  timer.cancel();
  co_return fired;
}

TEST(TaskTests, uncancel_structured_blocks) {
  virtual_loop loop;
  auto block = [](std::chrono::nanoseconds work, bool& after) -> task<bool> {
    const bool fired = co_await hand_made_timeout(1s, work);
    co_await sleep_for(1s);
    after = true;
    co_return fired;
  };
  auto main = [&]() -> task<> {
    for (const bool fires : {true, false}) {
      bool after = false;
      const std::chrono::nanoseconds work = fires ? 10s : 0s;
      auto handle = spawn(block, work, std::ref(after));
      const bool fired = co_await handle;
      EXPECT_EQ(fired, fires);
      EXPECT_TRUE(after);
      EXPECT_EQ(handle.cancelling(), 0);
    }
  };
  loop.run(main());
}

TEST(TaskTests, uncancel_resets_must_cancel) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event go;
    auto body = [](event& signal) -> task<int> {
      co_await signal.wait();
      co_await yield();
      co_return 42;
    };
    auto handle = spawn(body, std::ref(go));
    EXPECT_TRUE(handle.cancel());  // not started: nothing can be struck yet
    EXPECT_EQ(handle.cancelling(), 1);
    EXPECT_EQ(handle.uncancel(), 0);
    co_await yield();
    go.set();
    const int value = co_await handle;
    EXPECT_EQ(value, 42);
    EXPECT_FALSE(handle.cancelled());
  };
  loop.run(main());
}

TEST(TaskTests, cancel) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto sleeper = spawn(sleeps, 10s, 12);
    co_await yield();
    EXPECT_TRUE(sleeper.cancel());
    EXPECT_THROW(co_await sleeper, cancelled);
    EXPECT_TRUE(sleeper.done());
    EXPECT_TRUE(sleeper.cancelled());
    EXPECT_FALSE(sleeper.cancel());
  };
  loop.run(main());
}

TEST(TaskTests, cancel_yield) {
  virtual_loop loop;
  auto body = []() -> task<int> {
    co_await yield();
    co_await yield();
    co_return 12;
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(body);
    co_await yield();
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(handle.cancelled());
  };
  loop.run(main());
}

task<> awaits(future<int> inner) { co_await inner; }

TEST(TaskTests, cancel_inner_future) {
  virtual_loop loop;
  auto main = []() -> task<> {
    promise<int> inner;
    auto handle = spawn(awaits, inner.get_future());
    co_await yield();
    inner.get_future().cancel();
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(handle.cancelled());
  };
  loop.run(main());
}

TEST(TaskTests, cancel_both_task_and_inner_future) {
  virtual_loop loop;
  auto main = []() -> task<> {
    promise<int> inner;
    auto handle = spawn(awaits, inner.get_future());
    co_await yield();
    inner.get_future().cancel();
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(inner.get_future().cancelled());
    EXPECT_TRUE(handle.cancelled());
  };
  loop.run(main());
}

TEST(TaskTests, cancel_task_catching) {
  virtual_loop loop;
  auto body = [](promise<int>& inner) -> task<int> {
    try {
      co_await inner.get_future();
    } catch (const cancelled&) {
      co_return 42;
    }
    co_return 0;
  };
  auto main = [&]() -> task<> {
    promise<int> inner;
    auto handle = spawn(body, std::ref(inner));
    co_await yield();
    handle.cancel();
    const int value = co_await handle;
    EXPECT_EQ(value, 42);
    EXPECT_TRUE(inner.get_future().cancelled());
    EXPECT_FALSE(handle.cancelled());
  };
  loop.run(main());
}

TEST(TaskTests, cancel_task_ignoring) {
  virtual_loop loop;
  auto body = [](promise<int>& first, promise<int>& second) -> task<int> {
    try {
      co_await first.get_future();
    } catch (const cancelled&) {
      static_cast<void>(0);
    }
    const int value = co_await second.get_future();
    co_return value;
  };
  auto main = [&]() -> task<> {
    promise<int> first;
    promise<int> second;
    auto handle = spawn(body, std::ref(first), std::ref(second));
    co_await yield();
    handle.cancel();
    co_await sleep_for(1s);
    EXPECT_TRUE(first.get_future().cancelled());
    EXPECT_FALSE(second.get_future().cancelled());
    second.set_value(42);
    const int value = co_await handle;
    EXPECT_EQ(value, 42);
  };
  loop.run(main());
}

TEST(TaskTests, cancel_current_task) {
  virtual_loop loop;
  auto body = []() -> task<int> {
    current_task().cancel();
    co_await sleep_for(10s);
    co_return 12;
  };
  auto main = [&]() -> task<> {
    const auto before = loop::current().now();
    auto handle = spawn(body);
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_EQ(loop::current().now(), before);
  };
  loop.run(main());
}

TEST(TaskTests, cancel_awaited_task) {
  virtual_loop loop;
  promise<int> inner(loop);
  auto child_body = [&]() -> task<> { co_await inner.get_future(); };
  auto body = [&](std::optional<task_handle<>>& child) -> task<> {
    child = spawn(child_body);
    current_task().cancel();
    co_await *child;
  };
  auto main = [&]() -> task<> {
    std::optional<task_handle<>> child;
    auto handle = spawn(body, std::ref(child));
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(child->cancelled());
    EXPECT_TRUE(inner.get_future().cancelled());
  };
  loop.run(main());
}

TEST(TaskTests, task_cancel_sleeping_task) {
  virtual_loop loop;
  bool reached = false;
  auto body = [&]() -> task<> {
    try {
      co_await sleep_for(10s);
    } catch (const cancelled&) {
      reached = true;
      throw;
    }
  };
  auto main = [&]() -> task<> {
    const auto before = loop::current().now();
    auto handle = spawn(body);
    co_await sleep_for(100ms);
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(reached);
    EXPECT_EQ(loop::current().now() - before, 100ms);
  };
  loop.run(main());
}

TEST(TaskTests, sleep_cancel) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    auto sleeper = spawn(sleeps, 10s, 1);
    co_await yield();
    EXPECT_FALSE(loop.timers().empty());
    sleeper.cancel();
    EXPECT_TRUE(loop.timers().empty());
    EXPECT_THROW(co_await sleeper, cancelled);
  };
  loop.run(main());
}

TEST(TaskTests, task_cancel_waiter_future) {
  virtual_loop loop;
  auto main = []() -> task<> {
    promise<int> inner;
    auto handle = spawn(awaits, inner.get_future());
    co_await yield();
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(handle.cancelled());
    EXPECT_TRUE(inner.get_future().cancelled());
  };
  loop.run(main());
}

TEST(TaskTests, step_result_future) {
  virtual_loop loop;
  auto body = [](promise<int>& inner) -> task<int> {
    const int value = co_await inner.get_future();
    co_return value;
  };
  auto main = [&]() -> task<> {
    promise<int> inner;
    auto handle = spawn(body, std::ref(inner));
    co_await yield();
    inner.set_value(10);
    const int value = co_await handle;
    EXPECT_EQ(value, 10);
  };
  loop.run(main());
}

TEST(TaskTests, yield_future_passes_cancel) {
  virtual_loop loop;
  std::vector<std::string> notified;
  promise<int> bottom(loop);
  auto inner = [&]() -> task<> {
    try {
      co_await bottom.get_future();
    } catch (const cancelled&) {
      notified.emplace_back("inner");
      throw;
    }
  };
  auto outer = [&]() -> task<> {
    try {
      co_await inner();
    } catch (const cancelled&) {
      notified.emplace_back("outer");
      throw;
    }
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(outer);
    co_await yield();
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
  EXPECT_TRUE(bottom.get_future().cancelled());
  EXPECT_EQ(notified, (std::vector<std::string>{"inner", "outer"}));
}

TEST(TaskTests, current_task) {
  virtual_loop loop;
  EXPECT_EQ(loop.running(), nullptr);
  std::optional<task_ref> seen;
  auto body = [&]() -> task<> {
    seen = current_task();
    co_return;
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(body);
    co_await handle;
    EXPECT_EQ(*seen, handle);
  };
  loop.run(main());
  EXPECT_EQ(loop.running(), nullptr);
}

TEST(TaskTests, current_task_with_interleaving_tasks) {
  virtual_loop loop;
  auto body = [](bool& right) -> task<> {
    const task_ref self = current_task();
    for (int i = 0; i < 3; ++i) {
      co_await yield();
      right = right && current_task() == self;
    }
  };
  bool right = true;
  auto main = [&]() -> task<> {
    auto one = spawn(body, std::ref(right));
    auto two = spawn(body, std::ref(right));
    EXPECT_FALSE(one == two);
    co_await one;
    co_await two;
  };
  loop.run(main());
  EXPECT_TRUE(right);
}

TEST(TaskTests, bare_create_task) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(gives, 5);
    const int value = co_await handle;
    EXPECT_EQ(value, 5);
    EXPECT_EQ(handle.name(), "task-" + std::to_string(handle.id()));
  };
  loop.run(main());
}

TEST(TaskTests, bare_create_named_task) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(gives, 5);
    handle.set_name("new name");
    EXPECT_EQ(handle.name(), "new name");
    const int value = co_await handle;
    EXPECT_EQ(value, 5);
    EXPECT_EQ(handle.name(), "new name");
  };
  loop.run(main());
}

TEST(TaskTests, eager_start_true) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(eager, gives, 5);
    EXPECT_TRUE(handle.done());
    EXPECT_EQ(handle.result(), 5);
    co_return;
  };
  loop.run(main());
}

TEST(TaskTests, eager_start_false) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto handle = spawn(gives, 5);
    EXPECT_FALSE(handle.done());
    const int value = co_await handle;
    EXPECT_EQ(value, 5);
  };
  loop.run(main());
}

TEST(TaskTests, log_destroyed_pending_task) {
  auto owned = std::make_unique<virtual_loop>();
  std::vector<std::string> warnings;
  owned->on_warning = [&](const std::string& text) { warnings.push_back(text); };
  owned->set_leftover_timeout(0s);
  auto stubborn = []() -> task<> {
    for (;;) {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        continue;
      }
    }
  };
  auto main = [&]() -> task<> {
    spawn(stubborn).set_name("pending");
    co_await yield();
  };
  owned->run(main());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("'pending'"), std::string::npos);
}

TEST(TaskTests, sleep) {
  virtual_loop loop;
  auto halves = [](std::string passed) -> task<std::string> {
    co_await sleep_for(50ms);
    co_await sleep_for(50ms);
    co_return passed;
  };
  auto main = [&]() -> task<> {
    const auto before = loop::current().now();
    auto handle = spawn(halves, "yeah");
    const std::string value = co_await handle;
    EXPECT_EQ(value, "yeah");
    EXPECT_EQ(loop::current().now() - before, 100ms);
  };
  loop.run(main());
}

TEST(TaskTests, sleep_zero) {
  virtual_loop loop;
  int calls = 0;
  auto main = [&]() -> task<> {
    auto counts = [&]() -> task<> {
      ++calls;
      co_return;
    };
    spawn(counts);
    EXPECT_EQ(calls, 0);
    co_await sleep_for(0s);
    EXPECT_EQ(calls, 1);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
