// What CPython's LockTests promise, on mutex: the guard is the lock, and is handed over at unlock.
#include <brigade/async/mutex.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace brigade {
namespace {

using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

struct bench {
  mutex lock{"lock"};
  std::vector<int> result;
  std::vector<mutex::guard> held;  // in the order the tasks got in
};

task<> gets_in(bench& on, int id) {
  auto guard = co_await on.lock.lock();
  on.result.push_back(id);
  on.held.push_back(std::move(guard));
}

TEST(LockTests, acquire) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto guard = co_await on.lock.lock();
    spawn(gets_in, std::ref(on), 1);
    spawn(gets_in, std::ref(on), 2);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, std::vector<int>{});
    guard.unlock();  // not the task that gets it next, and not the one that has to
    EXPECT_TRUE(on.lock.locked());
    spawn(gets_in, std::ref(on), 3);
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

TEST(LockTests, acquire_cancel) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    const auto guard = co_await on.lock.lock();
    auto waits = spawn(gets_in, std::ref(on), 1);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.lock.statistics().line.waiting, 1U);
    waits.cancel();
    EXPECT_THROW(co_await waits.join(), cancelled);
    EXPECT_EQ(on.lock.statistics().line.waiting, 0U);
  };
  loop.run(main());
}

TEST(LockTests, cancel_race) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    spawn(gets_in, std::ref(on), 1);
    auto second = spawn(gets_in, std::ref(on), 2);
    auto third = spawn(gets_in, std::ref(on), 3);
    co_await wait_all_tasks_blocked();
    on.held.clear();
    second.cancel();
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(second.cancelled());
    EXPECT_TRUE(third.done());
    EXPECT_EQ(on.result, (std::vector{1, 3}));
    on.held.clear();
  };
  loop.run(main());
}

TEST(LockTests, cancel_release_race) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto guard = co_await on.lock.lock();
    auto first = spawn(gets_in, std::ref(on), 1);
    auto second = spawn(gets_in, std::ref(on), 2);
    auto third = spawn(gets_in, std::ref(on), 3);
    co_await wait_all_tasks_blocked();
    loop.post([&] {
      first.cancel();
      guard.unlock();
    });
    co_await sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(first.cancelled());
    EXPECT_TRUE(second.done());
    EXPECT_FALSE(third.done());
    EXPECT_EQ(on.result, (std::vector{2}));
    on.held.clear();
    co_await third.join();
    on.held.clear();
  };
  loop.run(main());
}

TEST(LockTests, finished_waiter_cancelled) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto guard = co_await on.lock.lock();
    auto first = spawn(gets_in, std::ref(on), 1);
    co_await wait_all_tasks_blocked();
    auto second = spawn(gets_in, std::ref(on), 2);
    first.cancel();
    guard.unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(first.cancelled());
    EXPECT_TRUE(second.done());
    EXPECT_TRUE(on.lock.locked());
    on.held.clear();
  };
  loop.run(main());
}

TEST(LockTests, release_not_acquired) {
  mutex::guard empty;
  EXPECT_DEATH(empty.unlock(), "an empty guard was unlocked");
}

TEST(LockTests, release_no_waiters) {
  virtual_loop loop;
  mutex lock;
  auto main = [&]() -> task<> {
    auto guard = co_await lock.lock();
    EXPECT_TRUE(lock.locked());
    guard.unlock();
    EXPECT_FALSE(lock.locked());
  };
  loop.run(main());
}

TEST(LockTests, context_manager) {
  virtual_loop loop;
  mutex lock;
  auto main = [&]() -> task<> {
    EXPECT_FALSE(lock.locked());
    {
      const auto guard = co_await lock.lock();
      EXPECT_TRUE(lock.locked());
    }
    EXPECT_FALSE(lock.locked());
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
