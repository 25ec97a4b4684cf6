// The traps of tasks, groups and cancellation; those of queues are in traps_test.cpp.

#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<> naps(std::chrono::nanoseconds duration) { co_await sleep_for(duration); }
task<> fails() {
  co_await yield();
  throw std::runtime_error("bad");
}

// --- errors and siblings ---

TEST(traps, a_gather_that_fails_leaves_none_of_its_tasks_running) {
  virtual_loop loop;
  auto main = []() -> task<> {
    EXPECT_THROW(co_await gather(naps(1h), fails(), naps(2h)), std::runtime_error);
    EXPECT_EQ(all_tasks().size(), 1U);  // this one
    EXPECT_LT(loop::current().now().time_since_epoch(), 2h);
  };
  loop.run(main());
}

TEST(traps, one_bad_item_does_not_cost_the_other_989) {
  virtual_loop loop;
  std::vector<int> orders(990);
  std::iota(orders.begin(), orders.end(), 1);
  auto charge = [](int order) -> task<int> {
    co_await sleep_for(1ms);
    if (order == 11) throw std::runtime_error("card declined");
    co_return order;
  };
  auto main = [&]() -> task<> {
    const auto charged = co_await map(collect_errors, orders, 10, charge);
    EXPECT_EQ(std::ranges::count_if(charged, [](auto& one) { return one.has_value(); }), 989);
    EXPECT_EQ(error_text(charged[10].error()), "card declined");
  };
  loop.run(main());
}

TEST(traps, a_collected_error_comes_out_where_its_value_is_used) {
  virtual_loop loop;
  auto one = []() -> task<int> {
    co_await yield();
    co_return 1;
  };
  auto bad = []() -> task<int> {
    co_await yield();
    throw std::runtime_error("bad");
  };
  auto main = [&]() -> task<> {
    auto [good, wrong] = co_await gather(collect_errors, one(), bad());
    EXPECT_EQ(good.value(), 1);
    EXPECT_THROW(static_cast<void>(wrong.value()), std::runtime_error);
  };
  loop.run(main());
}

TEST(traps, a_million_inputs_are_not_a_million_tasks) {
  virtual_loop loop;
  std::vector<int> inputs(20'000);
  std::size_t most = 0;
  auto look = [&](int) -> task<> {
    most = std::max(most, loop.task_count());
    co_await yield();
  };
  auto main = [&]() -> task<> { co_await for_each(inputs, 8, look); };
  loop.run(main());
  EXPECT_LE(most, 9U);
}

TEST(traps, a_task_whose_handle_is_dropped_runs_to_its_end) {
  virtual_loop loop;
  bool ended = false;
  auto quietly = [&]() -> task<> {
    co_await sleep_for(1h);
    ended = true;
  };
  auto main = [&]() -> task<> {
    spawn(quietly);
    co_await sleep_for(2h);
  };
  loop.run(main());
  EXPECT_TRUE(ended);
}

TEST(traps, an_error_that_nobody_awaits_is_reported_with_the_name_of_its_task) {
  virtual_loop loop;
  std::string reported;
  loop.on_unhandled = [&](const std::string& name, const std::exception_ptr& error) {
    reported = name + ": " + error_text(error);
  };
  auto main = []() -> task<> {
    spawn(fails).set_name("mailer");
    co_await sleep_for(1s);
  };
  loop.run(main());
  EXPECT_EQ(reported, "mailer: bad");
}

// --- cancellation ---

TEST(traps, a_handler_for_errors_does_not_swallow_a_cancellation) {
  virtual_loop loop;
  auto robust = []() -> task<> {
    for (;;) {
      try {
        co_await sleep_for(1s);
      } catch (const std::exception&) {  // "log it and go on"
      }
    }
  };
  auto main = [&]() -> task<> {
    auto worker = spawn(robust);
    co_await sleep_for(5s);
    worker.cancel("enough");
    EXPECT_THROW(co_await worker, cancelled);
  };
  loop.run(main());
}

TEST(traps, a_deadline_that_is_swallowed_strikes_again) {
  virtual_loop loop;
  int swallowed = 0;
  auto stubborn = [&]() -> task<> {
    while (swallowed < 3) {
      try {
        co_await sleep_for(1h);
      } catch (...) {
        ++swallowed;
      }
    }
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> { EXPECT_THROW(co_await timeout(1s, stubborn()), timed_out); };
  loop.run(main());
  EXPECT_EQ(swallowed, 3);
}

TEST(traps, a_cancellation_in_the_turn_of_the_result_is_not_lost) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    virtual_loop loop(seed);
    int rounds = 0;
    auto worker = [&]() -> task<> {
      for (;;) {
        co_await wait_for(naps(1ms), 1h);
        ++rounds;
      }
    };
    auto main = [&]() -> task<> {
      auto running = spawn(worker);
      co_await sleep_for(5ms);  // just when its wait ends
      running.cancel();
      EXPECT_THROW(co_await running, cancelled);
    };
    loop.run(main());
    EXPECT_LE(rounds, 6) << "seed " << seed;
  }
}

TEST(traps, a_cancellation_from_outside_reaches_through_nested_groups) {
  virtual_loop loop;
  auto inner = []() -> task<> {
    co_await with_group([](task_group& group) { group.spawn(naps, 1h); });
  };
  auto outer = [&]() -> task<> {
    co_await with_group([&](task_group& group) { group.spawn(inner); });
  };
  auto main = [&]() -> task<> {
    EXPECT_THROW(co_await timeout(1s, outer()), timed_out);
    auto again = spawn(outer);
    co_await sleep_for(1s);
    again.cancel("outside");
    EXPECT_THROW(co_await again, cancelled);
    EXPECT_EQ(all_tasks().size(), 1U);
  };
  loop.run(main());
}

TEST(traps, a_group_is_ended_early_without_an_exception_made_for_it) {
  virtual_loop loop;
  auto main = []() -> task<> {
    co_await with_group([](task_group& group) -> task<> {
      group.spawn(naps, 1h);
      group.spawn(naps, 2h);
      co_await sleep_for(1s);
      group.cancel("found it");
    });
  };
  loop.run(main());
  EXPECT_LT(loop.now().time_since_epoch(), 2h);
}

TEST(traps, a_task_cancelled_before_its_first_step_still_runs_to_its_first_wait) {
  virtual_loop loop;
  bool cleaned = false;
  auto with_a_guard = [&]() -> task<> {
    struct guard {
      bool& flag;
      ~guard() { flag = true; }
    };
    const guard at_the_end{cleaned};
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> {
    auto early = spawn(with_a_guard);
    early.cancel();
    EXPECT_THROW(co_await early, cancelled);
  };
  loop.run(main());
  EXPECT_TRUE(cleaned);
}

TEST(traps, cleanup_that_waits_runs_to_its_end_although_the_task_is_cancelled) {
  virtual_loop loop;
  bool replied = false;
  auto talk = []() -> task<> { co_await sleep_for(1h); };
  auto hang_up = [&]() -> task<> {
    co_await sleep_for(1s);
    replied = true;
  };
  auto connection = [&]() -> task<> { co_await with_cleanup(talk, hang_up, 5s); };
  auto main = [&]() -> task<> { EXPECT_THROW(co_await timeout(1s, connection()), timed_out); };
  loop.run(main());
  EXPECT_TRUE(replied);
}

TEST(traps, a_shielded_stretch_ends_at_its_own_deadline) {
  virtual_loop loop;
  auto reply_that_never_comes = []() -> task<> { co_await shielded(10s, naps(1h)); };
  auto main = [&]() -> task<> {
    auto talking = spawn(reply_that_never_comes);
    co_await sleep_for(1s);
    talking.cancel();
    EXPECT_THROW(co_await talking, cancelled);
  };
  const auto before = loop.now();
  loop.run(main());
  EXPECT_LT(loop.now() - before, 11s);
}

TEST(traps, a_shielded_task_goes_on_and_its_error_is_reported_when_nobody_is_left) {
  virtual_loop loop;
  std::string reported;
  loop.on_unhandled = [&](const std::string&, const std::exception_ptr& error) {
    reported = error_text(error);
  };
  auto late = []() -> task<> {
    co_await sleep_for(10s);
    throw std::runtime_error("late");
  };
  auto waits = [&]() -> task<> { co_await shield(late()); };
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits);
    co_await sleep_for(1s);
    waiting.cancel();
    EXPECT_THROW(co_await waiting, cancelled);
    co_await sleep_for(20s);
  };
  loop.run(main());
  EXPECT_EQ(reported, "late");
}

// --- sharing, blocking, stopping ---

TEST(traps, ten_tasks_that_share_a_list_are_safe_between_waits_and_a_seed_shows_what_is_not) {
  auto adds_up = [](std::uint64_t seed, bool waits_in_between) {
    virtual_loop loop(seed);
    int total = 0;
    std::vector<int> list;
    auto add = [&]() -> task<> {
      co_await yield();
      const int before = total;
      if (waits_in_between) co_await yield();
      total = before + 1;
      list.push_back(before);
    };
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        for (int i = 0; i < 10; ++i) group.spawn(add);
      });
    };
    loop.run(main());
    return total == 10 && list.size() == 10;
  };
  bool found = false;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    EXPECT_TRUE(adds_up(seed, false)) << "seed " << seed;
    found = found || !adds_up(seed, true);
  }
  EXPECT_TRUE(found);
}

// A world in which work takes time: whoever works moves the clock.
class working_world final : public detail::driver {
 public:
  [[nodiscard]] detail::time_point now() override { return now_; }
  void poll() override {}
  void wait_until(detail::time_point deadline) override { now_ = std::max(now_, deadline); }
  void wake() noexcept override {}
  void work(std::chrono::nanoseconds duration) { now_ += duration; }

 private:
  detail::time_point now_{1h};
};

TEST(traps, a_worker_that_blocks_the_loop_is_named) {
  auto owned = std::make_unique<working_world>();
  working_world& world = *owned;
  loop loop(std::move(owned));
  std::vector<std::string> warnings;
  loop.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto blocks = [&]() -> task<> {
    for (int i = 0; i < 2; ++i) {
      co_await sleep_for(1s);
      world.work(2s);  // time.sleep(2)
    }
    co_await yield();
  };
  auto main = [&]() -> task<> {
    auto worker = spawn(blocks);
    worker.set_name("resizer");
    co_await worker;
  };
  loop.run(main());
  ASSERT_FALSE(warnings.empty());
  EXPECT_NE(warnings.back().find("task 'resizer' held the loop for 2.000 s"), std::string::npos)
      << warnings.back();
}

TEST(traps, a_call_on_a_thread_is_asked_to_stop_and_holds_up_no_exit) {
  std::atomic<bool> begun = false;
  std::atomic<bool> stopped = false;
  auto call = [&begun, &stopped](const std::stop_token& stop) {
    begun = true;
    while (!stop.stop_requested()) std::this_thread::yield();
    stopped = true;
  };
  auto main = [&]() -> task<> {
    auto calling = [&]() -> task<> { co_await to_thread(call); };
    spawn(calling);  // left over at the end
    while (!begun) co_await sleep_for(1ms);
  };
  run(main());
  while (!stopped) std::this_thread::yield();
}

TEST(traps, sigterm_is_an_orderly_end_like_ctrl_c) {
  for (const int signal : {SIGINT, SIGTERM}) {
    runner program;
    bool cleaned = false;
    auto main = [&]() -> task<> {
      auto serve = [&]() -> task<> {
        ::raise(signal);
        co_await sleep_for(1h);
      };
      auto drain = [&]() -> task<> {
        co_await sleep_for(1ms);
        cleaned = true;
      };
      co_await with_cleanup(serve, drain, 5s);
    };
    EXPECT_THROW(program.run(main()), interrupted);
    EXPECT_TRUE(cleaned);
  }
}

}  // namespace
}  // namespace brigade
