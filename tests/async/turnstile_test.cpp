// Random lives of a semaphore and of a condition over its mutex: tasks come, wait, lose patience,
// are cancelled and die, at moments drawn from a seed, while a model says what must be. With one of
// the rules removed that keep a turn from being lost, the loss must be found.
#include <brigade/async/condition.hpp>
#include <brigade/async/detail/turnstile.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/mutex.hpp>
#include <brigade/async/semaphore.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/probes.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::random_source;
using testing::virtual_loop;

constexpr std::uint64_t seeds = 10'000;

// What both lives have: a crowd of tasks of which some are struck.
class life {
 public:
  explicit life(std::uint64_t seed) : random_(seed), loop_(seed) {}
  // What went wrong first; empty: nothing.
  std::string run() {
    loop_.set_leftover_timeout(1s);
    loop_.on_warning = [](const std::string&) {};
    try {
      loop_.run(play());
    } catch (const deadlock& found) {
      problem(std::string("a turn was lost: ") + found.what());
    }
    return problem_;
  }

 protected:
  ~life() = default;
  virtual task<> play() = 0;
  void require(bool holds, const char* what) {
    if (!holds) problem(what);
  }
  void problem(const std::string& what) {
    if (problem_.empty()) problem_ = what;
  }
  [[nodiscard]] std::int64_t up_to(std::uint64_t most) {
    return static_cast<std::int64_t>(random_.below(most + 1));
  }
  task<> pause() {
    const auto ms = up_to(3);
    if (ms == 0) {
      co_await yield();
    } else {
      co_await sleep_for(std::chrono::milliseconds(ms));
    }
  }
  task<> strikes(std::vector<task_handle<>> victims) {
    while (!victims.empty()) {
      co_await pause();
      task_handle<> victim = std::move(victims.back());
      victims.pop_back();
      if (victim.done()) continue;
      if (random_.one_in(3)) {
        loop::current().kill(victim.record());
      } else {
        victim.cancel();
      }
    }
  }

  random_source random_;
  virtual_loop loop_;
  std::string problem_;
};

class semaphore_life final : public life {
 public:
  explicit semaphore_life(std::uint64_t seed) : life(seed), limit_(1 + up_to(2)), sem_(limit_) {}

 private:
  task<> uses(std::int64_t count) {
    const auto permit = co_await sem_.acquire(count);
    const in_use here(out_, count);
    require(out_ <= limit_, "more permits are out than there are");
    co_await pause();
  }
  task<> comes_and_goes() {
    for (int i = 0; i < 4; ++i) {
      const auto count = 1 + up_to(static_cast<std::uint64_t>(limit_ - 1));
      if (random_.one_in(3)) {
        try {
          co_await timeout(std::chrono::milliseconds(up_to(2)), uses(count));
        } catch (const timed_out&) {
        }
      } else {
        co_await uses(count);
      }
    }
  }
  task<> play() override {
    std::vector<task_handle<>> crowd;
    for (int i = 0; i < 6; ++i) crowd.push_back(spawn(&semaphore_life::comes_and_goes, this));
    auto striking = spawn(&semaphore_life::strikes, this,
                          std::vector<task_handle<>>(crowd.begin(), crowd.begin() + up_to(4)));
    for (const task_handle<>& task : crowd) co_await ended(task);
    co_await striking.join();
    require(sem_.value() == limit_, "a permit did not come back");
    require(!sem_.locked(), "a semaphore is locked with all its permits free");
  }
  task<> ended(task_handle<> task) {
    try {
      co_await task.join();
    } catch (const cancelled&) {
    }
  }
  struct in_use {
    in_use(std::int64_t& total, std::int64_t count) : out(total), mine(count) { out += mine; }
    ~in_use() { out -= mine; }
    std::int64_t& out;
    std::int64_t mine;
  };
  std::int64_t limit_;
  semaphore sem_;
  std::int64_t out_ = 0;
};

// Some take and others bring, one notification an item.
class condition_life final : public life {
 public:
  using life::life;

 private:
  task<> takes() {
    auto guard = co_await changed_.lock();
    co_await changed_.wait(guard, [this] { return shelf_ > 0; });
    require(guard.holds(lock_), "a wait returned without the lock");
    require(inside_ == 0, "two tasks had the lock");
    ++inside_;
    --shelf_;
    --inside_;
  }
  task<> brings() {
    co_await pause();
    const auto guard = co_await changed_.lock();
    ++shelf_;
    changed_.notify();
    if (random_.one_in(2)) co_await pause();
  }
  task<> play() override {
    std::vector<task_handle<>> takers;
    for (int i = 0; i < 6; ++i) takers.push_back(spawn(&condition_life::takes, this));
    auto striking = spawn(&condition_life::strikes, this,
                          std::vector<task_handle<>>(takers.begin(), takers.begin() + 3));
    std::vector<task_handle<>> bringing;
    for (int i = 0; i < 4; ++i) bringing.push_back(spawn(&condition_life::brings, this));
    for (const task_handle<>& task : bringing) co_await task.join();
    co_await striking.join();
    co_await testing::wait_all_tasks_blocked();
    const bool all_served = shelf_ == 0 || changed_.statistics().waiting == 0;
    require(all_served, "a task waits for what is there");
    require(!lock_.locked(), "a lock was left behind");
    for (task_handle<>& task : takers) task.cancel();
  }
  mutex lock_{"lock"};
  condition changed_{lock_, "changed"};
  int shelf_ = 0;
  int inside_ = 0;
};

template <class Life>
std::string problem_of(std::uint64_t seed) {
  Life one(seed);
  return one.run();
}

// The first seed that finds something; 0: none.
std::uint64_t found_at(const std::function<std::string(std::uint64_t)>& problem) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    if (!problem(seed).empty()) return seed;
  }
  return 0;
}

TEST(turnstile, permits_are_neither_lost_nor_multiplied_nor_kept_from_anybody) {
  const testing::coverage seen;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    ASSERT_EQ(problem_of<semaphore_life>(seed), "") << "seed " << seed;
  }
  EXPECT_GT(seen.of("turn_given_back"), 100U);
}

TEST(turnstile, notifications_and_locks_are_never_lost) {
  const testing::coverage seen;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    ASSERT_EQ(problem_of<condition_life>(seed), "") << "seed " << seed;
  }
  EXPECT_GT(seen.of("notify_passed_on"), 100U);
  EXPECT_GT(seen.of("turn_given_back"), 100U);
}

TEST(turnstile, a_turn_that_is_not_passed_on_is_found) {
  const testing::without_guard mutant("turn_pass_on");
  EXPECT_NE(found_at(problem_of<semaphore_life>), 0U);
  EXPECT_NE(found_at(problem_of<condition_life>), 0U);
}

TEST(turnstile, a_notification_that_is_not_passed_on_is_found) {
  const testing::without_guard mutant("notify_pass_on");
  EXPECT_NE(found_at(problem_of<condition_life>), 0U);
}

}  // namespace
}  // namespace brigade
