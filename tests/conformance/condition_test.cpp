// What CPython's ConditionTests promise. The lock is the guard that a task has in hand.
#include <brigade/async/condition.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

struct bench {
  mutex lock{"lock"};
  condition changed{lock, "changed"};
  std::vector<int> result;
  std::vector<mutex::guard> held;  // by those who have come back
  std::string reason;
  bool locked_at_cancel = false;
};

// Waits once and keeps the lock.
task<> waits(bench& on, int id) {
  auto guard = co_await on.changed.lock();
  co_await on.changed.wait(guard);
  on.result.push_back(id);
  on.held.push_back(std::move(guard));
}

// Waits once and lets go of the lock.
task<> waits_briefly(bench& on, int id) {
  auto guard = co_await on.changed.lock();
  co_await on.changed.wait(guard);
  on.result.push_back(id);
}

// Notes what it held when it was cancelled, and why it was.
task<> waits_to_be_cancelled(bench& on) {
  auto guard = co_await on.changed.lock();
  try {
    co_await on.changed.wait(guard);
  } catch (const cancelled& why) {
    on.locked_at_cancel = guard.holds(on.lock) && on.lock.locked();
    on.reason = why.reason();
    throw;
  }
}

TEST(ConditionTests, wait) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    for (const int id : {1, 2, 3}) spawn(waits, std::ref(on), id);
    co_await wait_all_tasks_blocked();
    EXPECT_FALSE(on.changed.locked());
    auto guard = co_await on.changed.lock();
    on.changed.notify();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, std::vector<int>{});
    EXPECT_TRUE(on.changed.locked());
    guard.unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1}));
    on.changed.notify(2);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1}));
    on.held[0].unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1, 2}));
    on.held[1].unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1, 2, 3}));
    on.held.clear();
  };
  loop.run(main());
}

TEST(ConditionTests, wait_cancel) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits_to_be_cancelled, std::ref(on));
    co_await wait_all_tasks_blocked();
    waiting.cancel();
    EXPECT_THROW(co_await waiting.join(), cancelled);
    EXPECT_TRUE(on.locked_at_cancel);
    EXPECT_EQ(on.changed.statistics().waiting, 0U);
    EXPECT_FALSE(on.lock.locked());
  };
  loop.run(main());
}

TEST(ConditionTests, wait_cancel_contested) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits_to_be_cancelled, std::ref(on));
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.changed.lock();
    on.changed.notify();
    co_await wait_all_tasks_blocked();
    loop.post([&] { waiting.cancel(); });
    loop.post([&] { guard.unlock(); });
    co_await sleep_for(1ms);
    EXPECT_TRUE(waiting.cancelled());
    EXPECT_TRUE(on.locked_at_cancel);
  };
  loop.run(main());
}

TEST(ConditionTests, wait_cancel_after_notify) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits_to_be_cancelled, std::ref(on));
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.changed.lock();
    on.changed.notify();
    waiting.cancel();
    co_await wait_all_tasks_blocked();
    EXPECT_FALSE(waiting.done());
    guard.unlock();
    EXPECT_THROW(co_await waiting.join(), cancelled);
    EXPECT_TRUE(on.locked_at_cancel);
  };
  loop.run(main());
}

TEST(ConditionTests, wait_unacquired) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    mutex::guard none;
    co_await on.changed.wait(none);
  };
  EXPECT_DEATH(loop.run(main()), "without a guard that holds its mutex");
}

TEST(ConditionTests, wait_for) {
  virtual_loop loop;
  bench on;
  bool presto = false;
  auto waits_for_it = [](bench& with, bool& flag) -> task<> {
    auto guard = co_await with.changed.lock();
    const bool got = co_await with.changed.wait(guard, [&] { return flag; });
    if (got) with.result.push_back(1);
  };
  auto main = [&]() -> task<> {
    spawn(waits_for_it, std::ref(on), std::ref(presto));
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.changed.lock();
    on.changed.notify();
    guard.unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, std::vector<int>{});
    guard = co_await on.changed.lock();
    presto = true;
    on.changed.notify();
    guard.unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1}));
  };
  loop.run(main());
}

TEST(ConditionTests, wait_for_unacquired) {
  virtual_loop loop;
  bench on;
  auto with_predicate = [&](bool holds) -> task<> {
    mutex::guard none;
    const bool got = co_await on.changed.wait(none, [&] { return holds; });
    EXPECT_TRUE(got);
  };
  loop.run(with_predicate(true));
  EXPECT_DEATH(loop.run(with_predicate(false)), "without a guard that holds its mutex");
}

TEST(ConditionTests, notify) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    for (const int id : {1, 2, 3}) spawn(waits_briefly, std::ref(on), id);
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.changed.lock();
    on.changed.notify(1);
    guard.unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1}));
    guard = co_await on.changed.lock();
    on.changed.notify(1);
    on.changed.notify(2048);
    guard.unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1, 2, 3}));
  };
  loop.run(main());
}

TEST(ConditionTests, notify_all) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    for (const int id : {1, 2}) spawn(waits_briefly, std::ref(on), id);
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.changed.lock();
    on.changed.notify_all();
    guard.unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1, 2}));
  };
  loop.run(main());
}

TEST(ConditionTests, notify_unacquired) {
  bench on;
  EXPECT_DEATH(on.changed.notify(), "notified without its mutex locked");
}

TEST(ConditionTests, notify_all_unacquired) {
  bench on;
  EXPECT_DEATH(on.changed.notify_all(), "notified without its mutex locked");
}

TEST(ConditionTests, context_manager) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    EXPECT_FALSE(on.changed.locked());
    {
      const auto guard = co_await on.changed.lock();
      EXPECT_TRUE(on.changed.locked());
    }
    EXPECT_FALSE(on.changed.locked());
  };
  loop.run(main());
}

TEST(ConditionTests, explicit_lock) {
  virtual_loop loop;
  mutex lock;
  condition changed(lock);
  auto main = [&]() -> task<> {
    EXPECT_EQ(changed.locked(), lock.locked());
    auto guard = co_await changed.lock();
    EXPECT_TRUE(guard.holds(lock));
    EXPECT_EQ(changed.locked(), lock.locked());
    guard.unlock();
    EXPECT_EQ(changed.locked(), lock.locked());
    const auto by_lock = co_await lock.lock();
    EXPECT_TRUE(changed.locked());
    changed.notify();
  };
  loop.run(main());
}

TEST(ConditionTests, timeout_in_block) {
  virtual_loop loop;
  bench on;
  auto in_time = [](bench& with, mutex::guard& guard) -> task<> {
    co_await with.changed.wait(guard);
  };
  auto main = [&]() -> task<> {
    {
      auto guard = co_await on.changed.lock();
      EXPECT_THROW(co_await timeout(500ms, in_time(on, guard)), timed_out);
      EXPECT_TRUE(guard.holds(on.lock));
    }
    EXPECT_FALSE(on.lock.locked());
  };
  loop.run(main());
}

TEST(ConditionTests, cancelled_error_wakeup) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits_to_be_cancelled, std::ref(on));
    co_await wait_all_tasks_blocked();
    waiting.cancel("foo");
    EXPECT_THROW(co_await waiting.join(), cancelled);
    EXPECT_EQ(on.reason, "foo");
    EXPECT_TRUE(on.locked_at_cancel);
  };
  loop.run(main());
}

TEST(ConditionTests, cancelled_error_re_aquire) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits_to_be_cancelled, std::ref(on));
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.changed.lock();
    on.changed.notify();
    co_await wait_all_tasks_blocked();
    waiting.cancel("foo");
    co_await wait_all_tasks_blocked();
    EXPECT_FALSE(waiting.done());
    guard.unlock();
    EXPECT_THROW(co_await waiting.join(), cancelled);
    EXPECT_EQ(on.reason, "foo");
    EXPECT_TRUE(on.locked_at_cancel);
  };
  loop.run(main());
}

struct shop {
  mutex lock{"shop"};
  condition arrived{lock, "arrived"};
  int items = 0;
};

task<int> consumes(shop& at) {
  auto guard = co_await at.arrived.lock();
  co_await at.arrived.wait(guard, [&] { return at.items > 0; });
  --at.items;
  co_return at.items;
}

TEST(ConditionTests, cancelled_wakeup) {
  virtual_loop loop;
  shop at;
  auto main = [&]() -> task<> {
    auto first = spawn(consumes, std::ref(at));
    auto second = spawn(consumes, std::ref(at));
    co_await wait_all_tasks_blocked();
    auto guard = co_await at.arrived.lock();
    at.items = 1;
    at.arrived.notify(1);
    guard.unlock();
    first.cancel();
    EXPECT_THROW(co_await first.join(), cancelled);
    EXPECT_EQ(co_await second.join(), 0);
  };
  loop.run(main());
}

TEST(ConditionTests, cancelled_wakeup_relock) {
  virtual_loop loop;
  shop at;
  auto main = [&]() -> task<> {
    auto first = spawn(consumes, std::ref(at));
    auto second = spawn(consumes, std::ref(at));
    co_await wait_all_tasks_blocked();
    auto guard = co_await at.arrived.lock();
    at.items = 1;
    at.arrived.notify(1);
    co_await wait_all_tasks_blocked();
    first.cancel();
    co_await wait_all_tasks_blocked();
    guard.unlock();
    EXPECT_THROW(co_await first.join(), cancelled);
    EXPECT_EQ(co_await second.join(), 0);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
