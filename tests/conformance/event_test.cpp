// What CPython's EventTests promise.
#include <brigade/async/event.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace brigade {
namespace {

using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

task<> waits(event& on, std::vector<int>& result, int id) {
  co_await on.wait();
  result.push_back(id);
}

TEST(EventTests, wait) {
  virtual_loop loop;
  event ready;
  std::vector<int> result;
  auto main = [&]() -> task<> {
    EXPECT_FALSE(ready.is_set());
    spawn(waits, std::ref(ready), std::ref(result), 1);
    spawn(waits, std::ref(ready), std::ref(result), 2);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(result, std::vector<int>{});
    auto third = spawn(waits, std::ref(ready), std::ref(result), 3);
    ready.set();
    co_await third.join();
    EXPECT_EQ(result, (std::vector{3, 1, 2}));  // the third had not begun to wait
  };
  loop.run(main());
}

TEST(EventTests, wait_on_set) {
  virtual_loop loop;
  event ready;
  ready.set();
  auto main = [&]() -> task<> {
    const auto steps = current_loop().steps();
    co_await ready.wait();
    EXPECT_EQ(current_loop().steps(), steps);
  };
  loop.run(main());
}

TEST(EventTests, wait_cancel) {
  virtual_loop loop;
  event ready;
  std::vector<int> result;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits, std::ref(ready), std::ref(result), 1);
    co_await wait_all_tasks_blocked();
    waiting.cancel();
    EXPECT_THROW(co_await waiting.join(), cancelled);
    EXPECT_EQ(ready.statistics().waiting, 0U);
  };
  loop.run(main());
}

TEST(EventTests, clear) {
  event ready;
  EXPECT_FALSE(ready.is_set());
  ready.set();
  EXPECT_TRUE(ready.is_set());
  ready.clear();
  EXPECT_FALSE(ready.is_set());
}

TEST(EventTests, clear_with_waiters) {
  virtual_loop loop;
  event ready;
  std::vector<int> result;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits, std::ref(ready), std::ref(result), 1);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(ready.statistics().waiting, 1U);
    ready.set();
    ready.clear();
    EXPECT_FALSE(ready.is_set());
    ready.set();
    ready.set();
    EXPECT_EQ(ready.statistics().woken, 1U);
    co_await waiting.join();
    EXPECT_TRUE(ready.is_set());
    EXPECT_EQ(result, (std::vector{1}));
    EXPECT_EQ(ready.statistics().waiting, 0U);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
