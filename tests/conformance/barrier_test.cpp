// What CPython's BarrierTests promise.
#include <brigade/async/barrier.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using testing::virtual_loop;
using testing::wait_all_tasks_blocked;

constexpr std::size_t parties = 5;

struct bench {
  explicit bench(std::ptrdiff_t count = static_cast<std::ptrdiff_t>(parties))
      : wall(count, "wall") {}
  barrier wall;
  std::vector<std::size_t> passed;  // indices, in the order the tasks went through
  int broken = 0;
};

std::vector<std::size_t> sorted(std::vector<std::size_t> values) {
  std::ranges::sort(values);
  return values;
}

const std::vector<std::size_t> all_indices = {0, 1, 2, 3, 4};

task<> passes(bench& on, int rounds = 1) {
  for (int round = 0; round < rounds; ++round) {
    try {
      const std::size_t index = co_await on.wall.arrive_and_wait();
      on.passed.push_back(index);
    } catch (const broken_barrier&) {
      ++on.broken;
    }
  }
}

void spawn_passing(bench& on, std::size_t count, int rounds = 1) {
  for (std::size_t i = 0; i < count; ++i) spawn(passes, std::ref(on), rounds);
}

TEST(BarrierTests, barrier_parties) {
  EXPECT_EQ(barrier(1).parties(), 1U);
  EXPECT_DEATH(barrier(0), "a barrier for nobody");
  EXPECT_DEATH(barrier(-4), "a barrier for nobody");
}

TEST(BarrierTests, context_manager) {
  virtual_loop loop;
  bench on(3);
  auto main = [&]() -> task<> {
    spawn_passing(on, 3);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(sorted(on.passed), (std::vector<std::size_t>{0, 1, 2}));
    EXPECT_EQ(on.wall.waiting(), 0U);
    EXPECT_FALSE(on.wall.broken());
  };
  loop.run(main());
}

TEST(BarrierTests, filling_one_task) {
  virtual_loop loop;
  bench on(1);
  auto main = [&]() -> task<> {
    const auto steps = current_loop().steps();
    const std::size_t index = co_await on.wall.arrive_and_wait();
    EXPECT_EQ(index, 0U);
    EXPECT_EQ(current_loop().steps(), steps);
    EXPECT_EQ(on.wall.waiting(), 0U);
    EXPECT_FALSE(on.wall.broken());
  };
  loop.run(main());
}

TEST(BarrierTests, filling_one_task_twice) {
  virtual_loop loop;
  bench on(1);
  auto main = [&]() -> task<> {
    const std::size_t first = co_await on.wall.arrive_and_wait();
    const std::size_t second = co_await on.wall.arrive_and_wait();
    EXPECT_EQ(first, second);
    EXPECT_EQ(on.wall.statistics().rounds, 2U);
  };
  loop.run(main());
}

TEST(BarrierTests, filling_task_by_task) {
  virtual_loop loop;
  bench on(3);
  auto main = [&]() -> task<> {
    for (const std::size_t waiting : {1U, 2U, 0U}) {
      spawn_passing(on, 1);
      co_await wait_all_tasks_blocked();
      EXPECT_EQ(on.wall.waiting(), waiting);
    }
    EXPECT_EQ(on.passed.size(), 3U);
    EXPECT_FALSE(on.wall.broken());
  };
  loop.run(main());
}

TEST(BarrierTests, filling_tasks_wait_twice) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    spawn_passing(on, parties, 2);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.passed.size(), 2 * parties);
    EXPECT_EQ(on.wall.statistics().rounds, 2U);
    EXPECT_EQ(on.wall.waiting(), 0U);
  };
  loop.run(main());
}

TEST(BarrierTests, filling_tasks_check_return_value) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    spawn_passing(on, parties, 2);
    co_await wait_all_tasks_blocked();
    const auto second_round = on.passed.begin() + static_cast<std::ptrdiff_t>(parties);
    EXPECT_EQ(sorted({second_round, on.passed.end()}), all_indices);
  };
  loop.run(main());
}

TEST(BarrierTests, draining_state) {
  virtual_loop loop;
  bench on;
  std::vector<barrier_state> seen;
  auto looks = [&]() -> task<> {
    co_await on.wall.arrive_and_wait();
    seen.push_back(on.wall.state());
  };
  auto main = [&]() -> task<> {
    for (std::size_t i = 0; i < parties; ++i) spawn(std::ref(looks));
    co_await wait_all_tasks_blocked();
    std::vector<barrier_state> expected(parties, barrier_state::draining);
    expected.back() = barrier_state::filling;
    EXPECT_EQ(seen, expected);
  };
  loop.run(main());
}

TEST(BarrierTests, blocking_tasks_while_draining) {
  virtual_loop loop;
  bench on;
  std::size_t early_at_last = 0;
  auto looks = [&]() -> task<> {
    co_await on.wall.arrive_and_wait();
    on.passed.push_back(9);
    if (on.passed.size() < 3) {  // two come again while the others leave
      const std::size_t index = co_await on.wall.arrive_and_wait();
      on.passed.push_back(index);
    } else if (on.passed.size() == parties - 1) {
      early_at_last = on.wall.statistics().early;
      EXPECT_EQ(on.wall.state(), barrier_state::draining);
      EXPECT_EQ(on.wall.waiting(), 0U);
    }
  };
  auto main = [&]() -> task<> {
    for (std::size_t i = 0; i < parties; ++i) spawn(std::ref(looks));
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(early_at_last, 2U);
    EXPECT_EQ(on.passed.size(), parties);
    EXPECT_EQ(on.wall.waiting(), 2U);
    spawn_passing(on, parties - 2);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.wall.statistics().rounds, 2U);
    EXPECT_EQ(on.wall.waiting(), 0U);
  };
  loop.run(main());
}

TEST(BarrierTests, filling_tasks_cancel_one) {
  virtual_loop loop;
  bench on(3);
  auto main = [&]() -> task<> {
    auto first = spawn(passes, std::ref(on), 1);
    spawn_passing(on, 1);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.wall.waiting(), 2U);
    first.cancel();
    EXPECT_THROW(co_await first.join(), cancelled);
    EXPECT_EQ(on.wall.waiting(), 1U);
    EXPECT_FALSE(on.wall.broken());
    spawn_passing(on, 2);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(sorted(on.passed), (std::vector<std::size_t>{0, 1, 2}));
    EXPECT_EQ(on.wall.waiting(), 0U);
  };
  loop.run(main());
}

TEST(BarrierTests, reset_barrier) {
  bench on(1);
  on.wall.reset();
  EXPECT_EQ(on.wall.state(), barrier_state::filling);
  EXPECT_EQ(on.wall.waiting(), 0U);
}

TEST(BarrierTests, reset_barrier_while_tasks_waiting) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    spawn_passing(on, parties - 1);
    co_await wait_all_tasks_blocked();
    on.wall.reset();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.broken, 4);
    EXPECT_EQ(on.passed.size(), 0U);
    EXPECT_EQ(on.wall.waiting(), 0U);
    EXPECT_EQ(on.wall.state(), barrier_state::filling);
  };
  loop.run(main());
}

// Goes through; the third to do so calls `then`, when N // 2 are not yet out.
task<> passes_and(bench& on, void (barrier::*then)() noexcept) {
  try {
    const std::size_t index = co_await on.wall.arrive_and_wait();
    on.passed.push_back(index);
    if (on.passed.size() == parties - parties / 2) (on.wall.*then)();
  } catch (const broken_barrier&) {
    ++on.broken;
  }
}

// The same; the first two come again at once, and wait for the next round.
task<> passes_and_comes_again(bench& on, bench& again, void (barrier::*then)() noexcept) {
  bool early = false;
  try {
    const std::size_t index = co_await on.wall.arrive_and_wait();
    on.passed.push_back(index);
    early = on.passed.size() <= 2;
    if (on.passed.size() == parties - parties / 2) (on.wall.*then)();
  } catch (const broken_barrier&) {
    ++on.broken;
  }
  if (!early) co_return;
  try {
    const std::size_t index = co_await on.wall.arrive_and_wait();
    again.passed.push_back(index);
  } catch (const broken_barrier&) {
    ++again.broken;
  }
}

TEST(BarrierTests, reset_barrier_when_tasks_half_draining) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    for (std::size_t i = 0; i < parties; ++i) spawn(passes_and, std::ref(on), &barrier::reset);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.passed.size(), 3U);
    EXPECT_EQ(on.broken, 2);
    EXPECT_EQ(on.wall.state(), barrier_state::filling);
    EXPECT_EQ(on.wall.waiting(), 0U);
  };
  loop.run(main());
}

TEST(BarrierTests, reset_barrier_when_tasks_half_draining_half_blocking) {
  virtual_loop loop;
  bench on;
  bench again;
  auto main = [&]() -> task<> {
    for (std::size_t i = 0; i < parties; ++i) {
      spawn(passes_and_comes_again, std::ref(on), std::ref(again), &barrier::reset);
    }
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.passed.size(), 3U);
    EXPECT_EQ(on.broken, 2);
    EXPECT_EQ(on.wall.waiting(), 2U);
    spawn_passing(on, parties - 2);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(again.passed.size(), 2U);
    EXPECT_EQ(again.broken, 0);
    EXPECT_FALSE(on.wall.broken());
  };
  loop.run(main());
}

TEST(BarrierTests, reset_barrier_while_tasks_waiting_and_waiting_again) {
  virtual_loop loop;
  bench on;
  auto main = [&]() -> task<> {
    spawn_passing(on, parties - 1, 2);
    co_await wait_all_tasks_blocked();
    on.wall.reset();
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.broken, 4);
    EXPECT_EQ(on.wall.waiting(), parties - 1);
    spawn_passing(on, 1);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(sorted(on.passed), all_indices);
    EXPECT_FALSE(on.wall.broken());
    EXPECT_EQ(on.wall.waiting(), 0U);
  };
  loop.run(main());
}

TEST(BarrierTests, reset_barrier_while_tasks_draining) {
  virtual_loop loop;
  bench on;
  auto resets_when_last = [&]() -> task<> {
    try {
      const std::size_t index = co_await on.wall.arrive_and_wait();
      on.passed.push_back(index);
      if (on.passed.size() == parties) on.wall.reset();
    } catch (const broken_barrier&) {
      ++on.broken;
    }
  };
  auto main = [&]() -> task<> {
    for (std::size_t i = 0; i < parties; ++i) spawn(std::ref(resets_when_last));
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.passed.size(), parties);
    EXPECT_EQ(on.broken, 0);
    EXPECT_EQ(on.wall.state(), barrier_state::filling);
  };
  loop.run(main());
}

TEST(BarrierTests, abort_barrier) {
  virtual_loop loop;
  bench on(1);
  on.wall.abort();
  EXPECT_EQ(on.wall.waiting(), 0U);
  EXPECT_TRUE(on.wall.broken());
  loop.run(passes(on));
  EXPECT_EQ(on.broken, 1);
}

TEST(BarrierTests, abort_barrier_when_tasks_half_draining_half_blocking) {
  virtual_loop loop;
  bench on;
  bench again;
  auto main = [&]() -> task<> {
    for (std::size_t i = 0; i < parties; ++i) {
      spawn(passes_and_comes_again, std::ref(on), std::ref(again), &barrier::abort);
    }
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.passed.size(), 3U);
    EXPECT_EQ(on.broken, 2);
    EXPECT_EQ(again.passed.size(), 0U);
    EXPECT_EQ(again.broken, 2);
    EXPECT_TRUE(on.wall.broken());
    EXPECT_EQ(on.wall.waiting(), 0U);
  };
  loop.run(main());
}

// One fails when it is through and aborts; the others come to wait again.
task<> passes_until_one_fails(bench& on, bool& failed) {
  try {
    const std::size_t index = co_await on.wall.arrive_and_wait();
    on.passed.push_back(index);
    if (!failed) {
      failed = true;
      throw std::runtime_error("burnt");
    }
    co_await on.wall.arrive_and_wait();
  } catch (const broken_barrier&) {
    ++on.broken;
  } catch (const std::runtime_error&) {
    on.wall.abort();
  }
}

TEST(BarrierTests, abort_barrier_when_exception) {
  virtual_loop loop;
  bench on;
  bool failed = false;
  auto main = [&]() -> task<> {
    auto counts = [&]() -> task<> {
      const std::size_t index = co_await on.wall.arrive_and_wait();
      on.passed.push_back(index);
      co_await yield();  // let all of them out before the second round
      try {
        if (!std::exchange(failed, true)) throw std::runtime_error("burnt");
        co_await on.wall.arrive_and_wait();
      } catch (const broken_barrier&) {
        ++on.broken;
      } catch (const std::runtime_error&) {
        on.wall.abort();
      }
    };
    for (std::size_t i = 0; i < parties; ++i) spawn(std::ref(counts));
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(on.passed.size(), parties);
    EXPECT_EQ(on.broken, static_cast<int>(parties) - 1);
    EXPECT_TRUE(on.wall.broken());
    EXPECT_EQ(on.wall.waiting(), 0U);
  };
  loop.run(main());
}

TEST(BarrierTests, abort_barrier_when_exception_then_resetting) {
  virtual_loop loop;
  bench on;
  bool failed = false;
  auto main = [&]() -> task<> {
    for (std::size_t i = 0; i < parties; ++i) {
      spawn(passes_until_one_fails, std::ref(on), std::ref(failed));
    }
    co_await wait_all_tasks_blocked();
    EXPECT_TRUE(on.wall.broken());
    EXPECT_EQ(on.broken, static_cast<int>(parties) - 1);
    on.wall.reset();
    EXPECT_EQ(on.wall.state(), barrier_state::filling);
    on.passed.clear();
    spawn_passing(on, parties);
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(sorted(on.passed), all_indices);
    EXPECT_FALSE(on.wall.broken());
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
