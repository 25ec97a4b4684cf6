#include <brigade/async/group.hpp>
#include <brigade/async/mutex.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

task<> locks(mutex& lock, std::vector<int>& order, int id) {
  const auto guard = co_await lock.lock();
  order.push_back(id);
  co_await yield();
}

TEST(mutex, a_free_one_is_locked_without_a_turn_of_the_loop) {
  virtual_loop loop;
  mutex lock;
  auto main = [&]() -> task<> {
    const auto steps = current_loop().steps();
    const auto guard = co_await lock.lock();
    EXPECT_EQ(current_loop().steps(), steps);
    EXPECT_TRUE(guard.holds(lock));
  };
  loop.run(main());
  EXPECT_EQ(lock.statistics().line.acquired, 1U);
  EXPECT_EQ(lock.statistics().line.waited, 0U);
}

TEST(mutex, locking_again_and_again_lets_the_others_have_a_turn) {
  virtual_loop loop;
  mutex lock;
  bool ran = false;
  auto other = [&]() -> task<> {
    ran = true;
    co_return;
  };
  auto main = [&]() -> task<> {
    spawn(std::ref(other));
    for (int i = 0; i < 2 * loop::turn_budget; ++i) {
      const auto guard = co_await lock.lock();
    }
    EXPECT_TRUE(ran);
  };
  loop.run(main());
}

TEST(mutex, nobody_gets_in_between_unlock_and_the_waiter) {
  virtual_loop loop;
  mutex lock;
  std::vector<int> order;
  auto main = [&]() -> task<> {
    auto guard = co_await lock.lock();
    spawn(locks, std::ref(lock), std::ref(order), 1);
    co_await wait_all_tasks_blocked();
    guard.unlock();
    EXPECT_FALSE(lock.try_lock());
    spawn(locks, std::ref(lock), std::ref(order), 2);
    guard = co_await lock.lock();
    order.push_back(3);
  };
  loop.run(main());
  EXPECT_EQ(order, (std::vector{1, 3, 2}));  // the third asked before the second had begun
}

TEST(mutex, try_lock_takes_a_free_one) {
  mutex lock;
  {
    const auto guard = lock.try_lock();
    EXPECT_TRUE(guard);
    EXPECT_FALSE(lock.try_lock());
  }
  EXPECT_FALSE(lock.locked());
}

TEST(mutex, a_guard_moves_and_unlocks_what_it_had) {
  mutex one;
  mutex two;
  auto guard = one.try_lock();
  auto moved = std::move(guard);
  EXPECT_FALSE(guard);
  EXPECT_TRUE(moved.holds(one));
  moved = two.try_lock();
  EXPECT_FALSE(one.locked());
  EXPECT_TRUE(moved.holds(two));
}

TEST(mutex, a_waiter_says_which_lock_and_who_took_it_where) {
  virtual_loop loop;
  mutex lock("till");
  std::vector<int> order;
  unsigned line = 0;
  auto main = [&]() -> task<> {
    line = __LINE__ + 1;
    const auto guard = co_await lock.lock();
    auto waiting = spawn(locks, std::ref(lock), std::ref(order), 1);
    co_await wait_all_tasks_blocked();
    const std::string what = waiting.record().waiting_on()->describe();
    EXPECT_NE(what.find("mutex 'till' taken by task 'main' at "), std::string::npos) << what;
    EXPECT_NE(what.find("mutex_test.cpp:" + std::to_string(line)), std::string::npos) << what;
    std::vector<const detail::task_state*> blockers;
    waiting.record().waiting_on()->add_blockers(blockers);
    EXPECT_EQ(blockers, (std::vector<const detail::task_state*>{&current_task().record()}));
  };
  loop.run(main());
}

TEST(mutex, a_lock_kept_by_a_task_that_has_ended_is_told_and_blocks_on_nobody) {
  virtual_loop loop;
  mutex lock("till");
  std::vector<int> order;
  std::optional<mutex::guard> left_behind;
  auto takes_it_along = [&]() -> task<> { left_behind.emplace(co_await lock.lock()); };
  auto main = [&]() -> task<> {
    auto gone = spawn(std::ref(takes_it_along));
    gone.set_name("gone");
    co_await gone.join();
    auto waiting = spawn(locks, std::ref(lock), std::ref(order), 1);
    co_await wait_all_tasks_blocked();
    const std::string what = waiting.record().waiting_on()->describe();
    EXPECT_NE(what.find("task 'gone', which has ended"), std::string::npos) << what;
    std::vector<const detail::task_state*> blockers;
    waiting.record().waiting_on()->add_blockers(blockers);
    EXPECT_TRUE(blockers.empty());
    EXPECT_NE(what.find("(its guard was moved)"), std::string::npos) << what;
    left_behind.reset();
    co_await waiting.join();
  };
  loop.run(main());
}

TEST(mutex, a_task_may_wait_for_the_lock_whose_guard_it_gave_away) {
  virtual_loop loop;
  mutex lock("till");
  auto keeps = [](mutex::guard guard) -> task<> {
    co_await sleep_for(1s);
    guard.unlock();
  };
  std::string warning;
  loop.on_warning = [&](const std::string& text) { warning += text; };
  auto main = [&]() -> task<> {
    auto guard = co_await lock.lock();
    auto keeper = spawn(keeps, std::move(guard));
    auto again = lock.lock();
    std::vector<const detail::task_state*> blockers;
    again.add_blockers(blockers);
    EXPECT_TRUE(blockers.empty());
    const auto back = co_await again;
    EXPECT_TRUE(keeper.done());
  };
  loop.run(main());
  EXPECT_EQ(warning, "");
}

TEST(mutex, locking_it_again_with_the_guard_in_hand_ends_the_program) {
  virtual_loop loop;
  mutex lock("till");
  auto main = [&]() -> task<> {
    const auto guard = co_await lock.lock();
    const auto again = co_await lock.lock();
  };
  EXPECT_DEATH(loop.run(main()), "locks mutex 'till' again, which it locked at .*mutex_test.cpp");
}

TEST(mutex, one_cancelled_with_the_lock_in_hand_is_not_taken_for_its_holder) {
  virtual_loop loop;
  mutex lock("till");
  auto tries_again = [&]() -> task<> {
    try {
      const auto guard = co_await lock.lock();
    } catch (const cancelled&) {
    }
    for (int i = 0; i < 2 * loop::turn_budget; ++i) {
      const auto guard = co_await lock.lock();
    }
  };
  auto main = [&]() -> task<> {
    auto guard = co_await lock.lock();
    auto trying = spawn(std::ref(tries_again));
    co_await wait_all_tasks_blocked();
    guard.unlock();
    trying.cancel();
    co_await trying.join();
  };
  loop.run(main());
  EXPECT_FALSE(lock.locked());
}

TEST(mutex, two_tasks_that_lock_in_opposite_order_are_named) {
  virtual_loop loop;
  mutex one("one");
  mutex two("two");
  std::string warning;
  loop.on_warning = [&](const std::string& text) { warning += text; };
  auto both = [](mutex& first, mutex& second) -> task<> {
    const auto outer = co_await first.lock();
    co_await yield();
    const auto inner = co_await second.lock();
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      group.spawn_named("left", both, std::ref(one), std::ref(two));
      group.spawn_named("right", both, std::ref(two), std::ref(one));
    });
  };
  EXPECT_THROW(loop.run(main()), deadlock);
  EXPECT_NE(warning.find("wait for each other"), std::string::npos) << warning;
  EXPECT_NE(warning.find("mutex 'one' taken by task 'left'"), std::string::npos) << warning;
  EXPECT_NE(warning.find("mutex 'two' taken by task 'right'"), std::string::npos) << warning;
}

TEST(mutex, a_circle_of_a_lock_and_a_join_is_named) {
  virtual_loop loop;
  mutex lock("till");
  std::string warning;
  loop.on_warning = [&](const std::string& text) { warning += text; };
  std::vector<int> order;
  auto main = [&]() -> task<> {
    const auto guard = co_await lock.lock();
    auto waiting = spawn(locks, std::ref(lock), std::ref(order), 1);
    co_await waiting.join();
  };
  EXPECT_THROW(loop.run(main()), deadlock);
  EXPECT_NE(warning.find("mutex 'till' taken by task 'main'"), std::string::npos) << warning;
}

TEST(mutex, a_deadlock_names_the_line_where_it_was_taken) {
  virtual_loop loop;
  mutex lock("till");
  auto main = [&]() -> task<> {
    std::optional<mutex::guard> guard;
    guard.emplace(co_await lock.lock());
    const auto again = co_await lock.lock();
  };
  std::string report;
  try {
    loop.run(main());
  } catch (const deadlock& found) {
    report = found.what();
  }
  EXPECT_NE(report.find("mutex 'till' taken by task 'main' at"), std::string::npos) << report;
}

TEST(mutex, destroyed_while_locked_is_a_misuse) {
  EXPECT_DEATH(
      {
        std::optional<mutex> lock(std::in_place);
        const auto guard = lock->try_lock();
        lock.reset();
      },
      "a mutex was destroyed while it was locked");
}

}  // namespace
}  // namespace brigade
