#include <brigade/async/cancel.hpp>
#include <brigade/async/condition.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>
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
  std::string course;
};

task<> waits(bench& on) {
  auto guard = co_await on.lock.lock();
  co_await on.changed.wait(guard);
  EXPECT_TRUE(guard.holds(on.lock));
  on.course += "back,";
}

TEST(condition, whoever_is_notified_runs_once_and_with_the_lock) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    for (int i = 0; i < 100; ++i) spawn(waits, std::ref(on));
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.changed.statistics().waiting, 100U);
    const auto steps = current_loop().steps();
    auto guard = co_await on.lock.lock();
    on.changed.notify_all();
    guard.unlock();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(current_loop().steps() - steps, 101U);  // one each, and this task's own
  };
  loop.run(main());
  EXPECT_EQ(on.changed.statistics().notified, 100U);
  EXPECT_EQ(on.changed.statistics().passed_on, 0U);
}

TEST(condition, in_a_cancelled_scope_the_lock_is_waited_for_without_spinning) {
  virtual_loop loop;
  bench on;
  auto waits_in_scope = [&]() -> task<> {
    auto guard = co_await on.lock.lock();
    try {
      co_await on.changed.wait(guard);
    } catch (const cancelled&) {
      on.course += guard.holds(on.lock) ? "locked," : "lost,";
      throw;
    }
  };
  auto with_deadline = [&]() -> task<> {
    try {
      co_await timeout(1s, waits_in_scope());
    } catch (const timed_out&) {
      on.course += "timed out";
    }
  };
  auto main = [&]() -> task<> {
    auto waiting = spawn(std::ref(with_deadline));
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.lock.lock();
    co_await sleep_for(2s);
    EXPECT_EQ(on.course, "");
    const auto steps = current_loop().steps();
    co_await sleep_for(1h);
    EXPECT_EQ(current_loop().steps() - steps, 1U);
    guard.unlock();
    co_await waiting.join();
  };
  loop.run(main());
  EXPECT_EQ(on.course, "locked,timed out");
}

TEST(condition, one_cancelled_before_it_waits_never_lets_go_of_the_lock) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto guard = co_await on.lock.lock();
    cancel_scope scope;
    scope.cancel("at once");
    EXPECT_THROW(co_await on.changed.wait(guard), cancelled);
    EXPECT_TRUE(guard.holds(on.lock));
  };
  loop.run(main());
}

TEST(condition, cancelled_twice_it_fails_once_with_the_last_reason) {
  virtual_loop loop;
  bench on;
  auto notes = [&]() -> task<> {
    auto guard = co_await on.lock.lock();
    try {
      co_await on.changed.wait(guard);
    } catch (const cancelled& why) {
      on.course += why.reason() + ",";
    }
    co_await sleep_for(1s);
    on.course += "slept";
  };
  auto main = [&]() -> task<> {
    auto waiting = spawn(std::ref(notes));
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.lock.lock();
    waiting.cancel("first");
    waiting.cancel("second");
    guard.unlock();
    co_await waiting.join();
  };
  loop.run(main());
  EXPECT_EQ(on.course, "second,slept");
}

TEST(condition, a_notification_whose_receiver_dies_goes_to_the_next) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto dies = spawn(waits, std::ref(on));
    auto lives = spawn(waits, std::ref(on));
    co_await wait_all_tasks_blocked();
    auto guard = co_await on.lock.lock();
    on.changed.notify();
    guard.unlock();
    loop::current().kill(dies.record());
    co_await lives.join();
  };
  loop.run(main());
  EXPECT_EQ(on.course, "back,");
  EXPECT_EQ(on.changed.statistics().passed_on, 1U);
}

TEST(condition, a_predicate_that_throws_leaves_the_lock_with_its_guard) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto guard = co_await on.lock.lock();
    auto throws = []() -> bool { throw std::runtime_error("burnt"); };
    EXPECT_THROW(co_await on.changed.wait(guard, throws), std::runtime_error);
    EXPECT_TRUE(guard.holds(on.lock));
  };
  loop.run(main());
}

TEST(condition, a_waiter_says_what_it_waits_for) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits, std::ref(on));
    co_await wait_all_tasks_blocked();
    const detail::waiter& wait = *waiting.record().waiting_on();
    EXPECT_EQ(wait.describe(), "notification of condition 'changed'");
    auto guard = co_await on.lock.lock();
    on.changed.notify();
    EXPECT_NE(wait.describe().find("mutex 'lock' taken by task 'main'"), std::string::npos);
    std::vector<const detail::task_state*> blockers;
    wait.add_blockers(blockers);
    EXPECT_EQ(blockers.size(), 1U);
    guard.unlock();
    co_await waiting.join();
  };
  loop.run(main());
}

TEST(condition, waiting_with_the_guard_of_another_mutex_is_a_misuse) {
  virtual_loop loop;
  bench on;
  mutex other;
  auto main = [&]() -> task<> {
    auto guard = co_await other.lock();
    co_await on.changed.wait(guard);
  };
  EXPECT_DEATH(loop.run(main()), "without a guard that holds its mutex");
}

}  // namespace
}  // namespace brigade
