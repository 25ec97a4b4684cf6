#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> sleeps(std::chrono::milliseconds duration) {
  co_await sleep_for(duration);
  co_return 7;
}

task<> naps(std::chrono::nanoseconds duration) { co_await sleep_for(duration); }

// Opens a scope of its own around what it was given, as a user's coroutine may.
task<> in_a_scope(task<> given) {
  cancel_scope scope;
  co_await std::move(given);
}

TEST(timeout, a_task_killed_inside_nested_scopes_leaves_them_in_any_order) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto nested = []() -> task<> {
      auto innermost = timeout(2h, naps(3h));
      auto middle = in_a_scope(std::move(innermost));
      auto outer = shielded(5h, std::move(middle));
      co_await timeout(1h, std::move(outer));
    };
    auto handle = spawn(nested);
    co_await sleep_for(1s);
    loop::current().kill(handle.record());
    EXPECT_TRUE(handle.cancelled());
  };
  loop.run(main());
  EXPECT_TRUE(loop.timers().empty());
}

TEST(timeout, a_body_in_time_gives_its_value) {
  virtual_loop loop;
  EXPECT_EQ(loop.run(timeout(2s, sleeps(1000ms))), 7);
}

TEST(timeout, a_late_body_is_cancelled_and_timed_out_is_thrown) {
  virtual_loop loop;
  EXPECT_THROW(loop.run(timeout(1s, sleeps(2000ms))), timed_out);
}

TEST(timeout, a_task_whose_waits_time_out_again_and_again_is_not_said_to_swallow_cancellations) {
  virtual_loop loop;
  auto patient = []() -> task<> {
    for (int i = 0; i < 1500; ++i) {
      try {
        co_await timeout(1ms, sleeps(5ms));
      } catch (const timed_out&) {
      }
    }
  };
  ::testing::internal::CaptureStderr();
  loop.run(patient());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(timeout, of_two_due_at_once_only_the_outer_converts) {
  virtual_loop loop;
  auto inner = []() -> task<int> {
    try {
      co_return co_await timeout(1s, sleeps(5000ms));
    } catch (const timed_out&) {
      ADD_FAILURE() << "the inner one converted";
      throw;
    }
  };
  EXPECT_THROW(loop.run(timeout(1s, inner())), timed_out);
}

TEST(timeout, a_cancel_from_outside_is_not_a_timeout) {
  virtual_loop loop;
  auto worker = []() -> task<> { co_await timeout(1h, sleeps(10'000'000ms)); };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await sleep_for(1s);
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
}

TEST(timeout, a_body_that_finishes_in_spite_of_it_keeps_its_value) {
  virtual_loop loop;
  auto swallows = []() -> task<int> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled&) {
    }
    co_return 1;
  };
  EXPECT_EQ(loop.run(timeout(1s, swallows())), 1);
}

TEST(timeout, after_one_that_fired_the_next_wait_is_not_cancelled) {
  virtual_loop loop;
  auto main = []() -> task<> {
    try {
      co_await timeout(1s, sleeps(2000ms));
    } catch (const timed_out&) {
    }
    co_await sleep_for(1s);
  };
  loop.run(main());
}

TEST(timeout, sleep_orders_by_time_and_ties_by_arrival) {
  virtual_loop loop;
  std::vector<int> order;
  auto at = [](std::vector<int>& log, std::chrono::milliseconds when, int id) -> task<> {
    co_await sleep_for(when);
    log.push_back(id);
  };
  auto main = [&]() -> task<> {
    spawn(at, std::ref(order), 30ms, 4);
    spawn(at, std::ref(order), 10ms, 1);
    spawn(at, std::ref(order), 20ms, 2);
    spawn(at, std::ref(order), 20ms, 3);
    co_await sleep_for(1s);
  };
  loop.run(main());
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
}

TEST(timeout, with_timeout_gives_its_body_the_deadline_and_the_caller_the_value) {
  virtual_loop loop;
  auto main = [&]() -> task<int> {
    auto body = [&](timeout_scope& limit) -> task<int> {
      EXPECT_EQ(limit.current(), timeout_scope::state::active);
      for (int part = 1; part <= 3; ++part) {
        co_await sleep_for(800ms);
        limit.reschedule(loop.now() + 1s);  // it lasts, but it gets on
      }
      co_return 7;
    };
    const int of_a_while = co_await with_timeout(1s, body);
    co_return of_a_while + co_await with_timeout_at(loop.now() + 1s, body);
  };
  EXPECT_EQ(loop.run(main()), 14);
  EXPECT_TRUE(loop.timers().empty());
}

TEST(timeout, moved_to_the_past_it_strikes_at_the_next_wait) {
  virtual_loop loop;
  bool reached = false;
  auto main = [&]() -> task<> {
    auto body = [&](timeout_scope& limit) -> task<> {
      limit.reschedule(loop.now() - 1s);
      EXPECT_EQ(limit.current(), timeout_scope::state::expiring);
      reached = true;
      co_await yield();
      ADD_FAILURE() << "the wait went through";
    };
    EXPECT_THROW(co_await with_timeout(1h, body), timed_out);
  };
  loop.run(main());
  EXPECT_TRUE(reached);
}

TEST(timeout, moved_by_another_task_while_the_body_waits) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    timeout_scope limit(1h);
    auto shortens = [&]() -> task<> {
      co_await sleep_for(1s);
      limit.reschedule(loop.now());
    };
    const auto began = loop.now();
    auto other = spawn(shortens);
    EXPECT_THROW(co_await limit.run(naps(10h)), timed_out);
    EXPECT_EQ(loop.now() - began, 1s);
    co_await other;
  };
  loop.run(main());
}

TEST(timeout, a_body_that_never_waits_never_times_out) {
  virtual_loop loop;
  auto at_once = []() -> task<int> { co_return 7; };
  EXPECT_EQ(loop.run(timeout(0s, at_once())), 7);
}

TEST(timeout, one_that_fired_on_a_body_that_ended_well_says_expired_and_throws_nothing) {
  virtual_loop loop;
  auto main = []() -> task<> {
    timeout_scope limit(1s);
    auto swallows = []() -> task<> {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
      }
    };
    co_await limit.run(swallows());
    EXPECT_TRUE(limit.expired());
    EXPECT_EQ(limit.current(), timeout_scope::state::expired);
    co_await sleep_for(1s);
  };
  loop.run(main());
}

TEST(timeout, once_passed_it_fails_every_wait_of_the_body) {
  virtual_loop loop;
  int struck = 0;
  auto stubborn = [&]() -> task<> {
    while (struck < 5) {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        ++struck;
      }
    }
    co_await yield();
  };
  EXPECT_THROW(loop.run(timeout(1s, stubborn())), timed_out);
  EXPECT_EQ(struck, 5);
}

TEST(timeout, a_deadline_and_a_cancel_in_one_turn_is_a_cancel) {
  virtual_loop loop;
  auto worker = []() -> task<> { co_await timeout(1s, naps(1h)); };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await sleep_for(1s);  // its timer is the first of the two
    EXPECT_FALSE(handle.done());
    handle.cancel("by hand");
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
}

TEST(timeout, the_error_says_how_long_it_was_also_after_a_move) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    auto body = [&](timeout_scope& limit) -> task<> {
      limit.reschedule(*limit.when() + 2s);
      co_await sleep_for(1h);
    };
    std::chrono::nanoseconds after{};
    try {
      co_await with_timeout(1s, body);
    } catch (const timed_out& error) {
      after = error.after();
    }
    EXPECT_EQ(after, 3s);
  };
  loop.run(main());
}

TEST(timeout, a_request_taken_back_inside_does_not_make_it_a_cancel) {
  virtual_loop loop;
  auto worker = []() -> task<> {
    current_task().cancel();
    auto body = []() -> task<> {
      try {
        co_await sleep_for(1ms);
      } catch (const cancelled&) {
        current_task().uncancel();
      }
      co_await sleep_for(1h);
    };
    EXPECT_THROW(co_await timeout(1s, body()), timed_out);
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await handle;
  };
  loop.run(main());
}

TEST(timeout, the_longest_duration_there_is_means_never) {
  virtual_loop loop;
  constexpr auto longest = std::chrono::nanoseconds::max();
  auto later = []() -> task<int> {
    co_await sleep_for(24h);
    co_return 7;
  };
  auto sleeps = []() -> task<> { co_await sleep_for(std::chrono::nanoseconds::max()); };
  auto main = [&]() -> task<> {
    const auto sleeping = spawn(std::ref(sleeps));
    EXPECT_EQ(co_await timeout(longest, later()), 7);
    EXPECT_EQ(co_await shielded(longest, later()), 7);
    EXPECT_EQ(co_await wait_for(later(), longest), 7);
    EXPECT_EQ(co_await timeout_at(detail::time_point::max(), later()), 7);
    EXPECT_THROW(co_await timeout_at(detail::time_point::min(), later()), timed_out);
    EXPECT_FALSE(sleeping.done());
  };
  loop.run(main());
}

TEST(timeout, a_queue_waits_for_the_longest_duration_there_is) {
  virtual_loop loop;
  constexpr auto longest = std::chrono::nanoseconds::max();
  queue<int> jobs(4, "jobs");
  auto takes = [&]() -> task<> {
    auto some = co_await jobs.take_batch(2, longest);
    EXPECT_EQ(some.size(), 2U);
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> {
    const auto taking = spawn(std::ref(takes));
    co_await jobs.put(1);
    co_await sleep_for(1h);
    EXPECT_EQ(jobs.size(), 1U);
    co_await jobs.put(2);
    const join_result all = co_await jobs.join(longest);
    EXPECT_TRUE(all);
    co_await taking;
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
