#include <brigade/async/mutex.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/probes.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace brigade::testing {
namespace {

// Hands the lock to one who is cancelled then; true when the next one got it.
bool next_one_gets_the_lock() {
  virtual_loop loop;
  mutex lock;
  bool got_it = false;
  auto locks = [&](bool tells) -> task<> {
    const auto guard = co_await lock.lock();
    got_it = tells;
  };
  auto main = [&]() -> task<> {
    auto guard = co_await lock.lock();
    auto struck = spawn(std::ref(locks), false);
    auto next = spawn(std::ref(locks), true);
    co_await wait_all_tasks_blocked();
    guard.unlock();
    struck.cancel();
    co_await wait_all_tasks_blocked();
    next.cancel();
  };
  loop.run(main());
  return got_it;
}

TEST(probes, a_mark_counts_from_when_one_began_to_look) {
  const coverage before;
  EXPECT_TRUE(next_one_gets_the_lock());
  const coverage after;
  EXPECT_EQ(before.of("turn_given_back"), 1U);
  EXPECT_EQ(after.of("turn_given_back"), 0U);
  EXPECT_NE(std::ranges::find(coverage::marks(), "notify_passed_on"), coverage::marks().end());
}

TEST(probes, without_the_guard_the_loss_it_prevents_happens) {
  {
    const without_guard mutant("turn_pass_on");
    EXPECT_FALSE(next_one_gets_the_lock());
  }
  EXPECT_TRUE(next_one_gets_the_lock());
}

TEST(probes, names_that_are_none_are_misuse) {
  EXPECT_DEATH(static_cast<void>(coverage().of("nothing")), "no coverage mark or guard");
  EXPECT_DEATH(without_guard("none"), "no coverage mark or guard");
}

}  // namespace
}  // namespace brigade::testing
