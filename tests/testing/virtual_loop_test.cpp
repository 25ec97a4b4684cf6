#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace brigade::testing {
namespace {

using namespace std::chrono_literals;

task<> yields(int times, int& done) {
  for (int i = 0; i < times; ++i) co_await yield();
  ++done;
}

TEST(wait_all_tasks_blocked, the_others_get_all_the_turns_they_need_and_time_stands_still) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    virtual_loop loop(seed);
    int done = 0;
    auto main = [&]() -> task<> {
      auto sleeps = [](int& count) -> task<> {
        co_await sleep_for(1s);
        ++count;
      };
      const auto began = current_loop().now();
      for (const int times : {1, 50, 7}) spawn(yields, times, std::ref(done));
      spawn(sleeps, std::ref(done));
      co_await wait_all_tasks_blocked();
      EXPECT_EQ(done, 3);
      EXPECT_EQ(current_loop().now(), began);
    };
    loop.run(main());
  }
}

TEST(wait_all_tasks_blocked, it_resumes_even_if_nothing_else_ever_would) {
  virtual_loop loop;
  event never;
  auto main = [&]() -> task<> {
    auto stuck = [](event& on) -> task<> { co_await on.wait(); };
    auto waiting = spawn(stuck, std::ref(never));
    co_await wait_all_tasks_blocked();
    EXPECT_EQ(waiting.record().waiting_on()->describe(), "event 'event'");
    never.set();
  };
  loop.run(main());
}

TEST(wait_all_tasks_blocked, of_several_one_goes_on_at_a_time) {
  virtual_loop loop;
  std::string course;
  auto waits = [&](char id) -> task<> {
    co_await wait_all_tasks_blocked();
    course += id;
    co_await yield();
    course += id;
  };
  auto main = [&]() -> task<> {
    spawn(std::ref(waits), 'a');
    spawn(std::ref(waits), 'b');
    co_await sleep_for(1ms);
  };
  loop.run(main());
  EXPECT_EQ(course, "aabb");
}

TEST(wait_all_tasks_blocked, cancelled_it_fails_and_a_deadlock_is_found_again) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto waits = []() -> task<> { co_await wait_all_tasks_blocked(); };
    auto waiting = spawn(waits);
    co_await yield();
    waiting.cancel();
    EXPECT_THROW(co_await waiting.join(), cancelled);
    event never;
    co_await never.wait();
  };
  EXPECT_THROW(loop.run(main()), deadlock);
}

TEST(virtual_loop_by_hand, a_task_goes_on_one_step_at_a_time) {
  virtual_loop loop;
  int done = 0;
  auto task = loop.start(yields(3, done), "yields");
  EXPECT_EQ(loop.steps(), 0U);
  EXPECT_TRUE(loop.step());
  EXPECT_EQ(loop.run_steps(2), 2U);
  EXPECT_FALSE(task.done());
  EXPECT_TRUE(loop.step());
  EXPECT_TRUE(task.done());
  EXPECT_EQ(done, 1);
  EXPECT_FALSE(loop.step());
  EXPECT_EQ(loop.run_steps(5), 0U);
}

TEST(virtual_loop_by_hand, a_test_looks_at_a_queue_between_the_steps_of_its_tasks) {
  virtual_loop loop;
  queue<int> jobs(2, "jobs");
  auto puts = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) co_await jobs.put(i);
  };
  auto takes = [&]() -> task<> { const auto job = co_await jobs.take(); };
  loop.start(puts());
  loop.run_until_idle();
  EXPECT_TRUE(jobs.full());
  EXPECT_EQ(jobs.statistics().putters_waiting, 1U);
  const auto taken = loop.start(takes());
  loop.run_until_idle();
  EXPECT_TRUE(taken.done());
  EXPECT_TRUE(jobs.full());
  EXPECT_EQ(jobs.statistics().putters_waiting, 0U);
}

TEST(virtual_loop_by_hand, time_passes_when_the_test_says_so) {
  virtual_loop loop;
  std::vector<int> at;
  auto ticks = [&]() -> task<> {
    for (int i = 1; i <= 5; ++i) {
      co_await sleep_for(1s);
      at.push_back(i);
    }
  };
  const auto ticking = loop.start(ticks());
  loop.run_until_idle();
  EXPECT_TRUE(at.empty());
  loop.advance(2500ms);
  EXPECT_EQ(at, (std::vector{1, 2}));
  loop.advance(499ms);
  EXPECT_EQ(at.size(), 2U);
  loop.advance(1ms);
  EXPECT_EQ(at.size(), 3U);
  loop.advance(1h);
  EXPECT_TRUE(ticking.done());
}

TEST(virtual_loop_by_hand, posted_work_and_waits_for_all_are_served) {
  virtual_loop loop;
  std::string course;
  auto waits = [&]() -> task<> {
    co_await wait_all_tasks_blocked();
    course += "blocked,";
  };
  loop.start(waits());
  loop.post([&] { course += "posted,"; });
  loop.run_until_idle();
  EXPECT_EQ(course, "posted,blocked,");
}

TEST(virtual_loop_by_hand, what_is_left_is_cancelled_at_the_end) {
  std::string course;
  event never;
  auto waits = [&]() -> task<> {
    try {
      co_await never.wait();
    } catch (const cancelled&) {
      course += "cancelled";
      throw;
    }
  };
  {
    virtual_loop loop;
    loop.start(waits());
    loop.run_until_idle();
  }
  EXPECT_EQ(course, "cancelled");
}

TEST(virtual_loop_by_hand, tasks_that_never_wait_are_found) {
  virtual_loop loop;
  auto spins = []() -> task<> {
    while (true) co_await yield();
  };
  loop.start(spins());
  EXPECT_DEATH(loop.run_until_idle(), "never wait");
  loop.run_steps(1);
}

}  // namespace
}  // namespace brigade::testing
