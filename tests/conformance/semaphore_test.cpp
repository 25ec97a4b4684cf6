// What CPython's SemaphoreTests promise. Where they acquire and release apart, so do these.
#include <brigade/async/semaphore.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

struct bench {
  explicit bench(std::int64_t permits) : sem(permits, "sem") {}
  semaphore sem;
  std::vector<int> result;
};

task<> acquires(bench& on, int id) {
  co_await on.sem.raw_acquire();
  on.result.push_back(id);
}

TEST(SemaphoreTests, initial_value_zero) {
  const semaphore none(0);
  EXPECT_TRUE(none.locked());
}

TEST(SemaphoreTests, semaphore_value) {
  EXPECT_EQ(semaphore(1).value(), 1);
  EXPECT_DEATH(semaphore(-1), "fewer than no permits");
}

TEST(SemaphoreTests, release_not_acquired) {
  bounded_semaphore fresh(1);
  EXPECT_DEATH(fresh.release(), "more permits of a bounded semaphore were released than acquired");
}

TEST(SemaphoreTests, release_no_waiters) {
  virtual_loop loop;
  bench on(1);
  auto main = [&]() -> task<> {
    co_await on.sem.raw_acquire();
    EXPECT_TRUE(on.sem.locked());
    on.sem.release();
    EXPECT_FALSE(on.sem.locked());
  };
  loop.run(main());
}

TEST(SemaphoreTests, acquire) {
  virtual_loop loop;
  bench on(3);
  auto main = [&]() -> task<> {
    co_await on.sem.raw_acquire();
    co_await on.sem.raw_acquire();
    EXPECT_FALSE(on.sem.locked());
    for (const int id : {1, 2, 3}) spawn(acquires, std::ref(on), id);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1}));
    EXPECT_TRUE(on.sem.locked());
    EXPECT_EQ(on.sem.statistics().line.waiting, 2U);
    EXPECT_EQ(on.sem.value(), 0);
    spawn(acquires, std::ref(on), 4);
    on.sem.release();
    on.sem.release();
    EXPECT_EQ(on.sem.value(), 0);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.sem.value(), 0);
    EXPECT_EQ(on.result, (std::vector{1, 2, 3}));
    EXPECT_TRUE(on.sem.locked());
    EXPECT_EQ(on.sem.statistics().line.waiting, 1U);
    on.sem.release();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.result, (std::vector{1, 2, 3, 4}));
  };
  loop.run(main());
}

TEST(SemaphoreTests, acquire_cancel) {
  virtual_loop loop;
  bench on(1);
  auto main = [&]() -> task<> {
    co_await on.sem.raw_acquire();
    auto waiting = spawn(acquires, std::ref(on), 1);
    co_await wait_all_tasks_blocked();
    waiting.cancel();
    EXPECT_THROW(co_await waiting.join(), cancelled);
    EXPECT_EQ(on.sem.statistics().line.waiting, 0U);
  };
  loop.run(main());
}

TEST(SemaphoreTests, acquire_cancel_before_awoken) {
  virtual_loop loop;
  bench on(0);
  auto main = [&]() -> task<> {
    auto first = spawn(acquires, std::ref(on), 1);
    auto second = spawn(acquires, std::ref(on), 2);
    auto third = spawn(acquires, std::ref(on), 3);
    auto fourth = spawn(acquires, std::ref(on), 4);
    co_await wait_all_tasks_blocked();
    first.cancel();
    second.cancel();
    on.sem.release();
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(third.done());
    EXPECT_FALSE(fourth.done());
    EXPECT_EQ(on.result, (std::vector{3}));
    fourth.cancel();
    EXPECT_THROW(co_await fourth.join(), cancelled);
  };
  loop.run(main());
}

TEST(SemaphoreTests, acquire_hang) {
  virtual_loop loop;
  bench on(0);
  auto main = [&]() -> task<> {
    auto first = spawn(acquires, std::ref(on), 1);
    auto second = spawn(acquires, std::ref(on), 2);
    co_await wait_all_tasks_blocked();
    first.cancel();
    on.sem.release();
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(on.sem.locked());
    EXPECT_TRUE(second.done());
  };
  loop.run(main());
}

TEST(SemaphoreTests, acquire_no_hang) {
  virtual_loop loop;
  bench on(1);
  auto main = [&]() -> task<> {
    auto enters = [&]() -> task<> {
      const auto permit = co_await on.sem.acquire();
      ADD_FAILURE() << "entered, and was cancelled";
    };
    auto permit = co_await on.sem.acquire();
    auto second = spawn(enters);
    co_await yield();
    permit.release();  // handed to the second
    second.cancel();
    EXPECT_THROW(co_await second.join(), cancelled);
    permit = co_await on.sem.acquire();
    EXPECT_TRUE(permit);
  };
  loop.run(main());
}

TEST(SemaphoreTests, acquire_fifo_order) {
  virtual_loop loop;
  semaphore sem(1);
  std::vector<std::string> result;
  auto twice = [&](std::string tag) -> task<> {
    for (const char* round : {"_1", "_2"}) {
      const auto permit = co_await sem.acquire();
      result.push_back(tag + round);
      co_await sleep_for(10ms);
    }
  };
  auto main = [&]() -> task<> {
    for (const char* tag : {"c1", "c2", "c3"}) spawn(std::ref(twice), std::string(tag));
    co_await sleep_for(1s);
  };
  loop.run(main());
  EXPECT_EQ(result, (std::vector<std::string>{"c1_1", "c2_1", "c3_1", "c1_2", "c2_2", "c3_2"}));
}

TEST(SemaphoreTests, acquire_fifo_order_2) {
  virtual_loop loop;
  bench on(1);
  auto passes = [](bench& with, int id) -> task<> {
    const auto permit = co_await with.sem.acquire();
    with.result.push_back(id);
  };
  auto comes_again = [&]() -> task<> {
    auto permit = co_await on.sem.acquire();
    on.result.push_back(1);
    co_await yield();
    permit.release();
    permit = co_await on.sem.acquire();
    on.result.push_back(4);
  };
  auto main = [&]() -> task<> {
    auto last = spawn(comes_again);
    spawn(passes, std::ref(on), 2);
    spawn(passes, std::ref(on), 3);
    co_await last.join();
  };
  loop.run(main());
  EXPECT_EQ(on.result, (std::vector{1, 2, 3, 4}));
}

TEST(SemaphoreTests, acquire_fifo_order_3) {
  virtual_loop loop;
  bench on(0);
  auto main = [&]() -> task<> {
    auto first = spawn(acquires, std::ref(on), 1);
    auto second = spawn(acquires, std::ref(on), 2);
    auto third = spawn(acquires, std::ref(on), 3);
    co_await wait_all_tasks_blocked();
    first.cancel();
    co_await wait_all_tasks_blocked();
    on.sem.release();
    on.sem.release();
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(first.cancelled());
    EXPECT_TRUE(second.done());
    EXPECT_TRUE(third.done());
    EXPECT_EQ(on.result, (std::vector{2, 3}));
  };
  loop.run(main());
}

TEST(SemaphoreTests, acquire_fifo_order_4) {
  virtual_loop loop;
  bench on(0);
  auto first = [&]() -> task<> {
    co_await on.sem.raw_acquire();
    on.result.push_back(1);
    spawn(
        [](bench& with) -> task<> {
          with.result.push_back(4);
          co_return;
        },
        std::ref(on));
  };
  auto second = [&]() -> task<> {
    on.sem.release(3);
    EXPECT_EQ(on.sem.value(), 2);
    EXPECT_TRUE(on.sem.locked());  // the first has not run yet
    co_await on.sem.raw_acquire();
    on.result.push_back(2);
  };
  auto main = [&]() -> task<> {
    spawn(std::ref(first));
    spawn(std::ref(second));
    spawn(acquires, std::ref(on), 3);
    co_await wait_all_tasks_blocked();
  };
  loop.run(main());
  EXPECT_EQ(on.result, (std::vector{1, 2, 3, 4}));
}

}  // namespace
}  // namespace brigade
