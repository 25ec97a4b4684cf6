#include <brigade/async/event.hpp>
#include <brigade/async/runner.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

task<int> gives(int value) {
  co_await yield();
  co_return value;
}

task<> waits_for_ever(event& never) { co_await never.wait(); }

// A wait that counts as coming from outside, so that nothing is taken for a deadlock.
task<> sleeps_long() { co_await sleep_for(1h); }

TEST(runner, runs_one_task_after_the_other_and_keeps_what_the_first_left_running) {
  runner run;
  event go;
  int seen = 0;
  auto later = [&]() -> task<> {
    co_await go.wait();
    seen = 1;
  };
  auto first = [&]() -> task<> {
    spawn(later);
    co_return;
  };
  auto second = [&]() -> task<int> {
    go.set();
    co_await yield();
    co_await yield();
    co_return seen;
  };
  run.run(first());
  EXPECT_EQ(run.run(second()), 1);
}

TEST(runner, close_cancels_what_is_left_over) {
  runner run;
  event never;
  std::string ended_by;
  auto left = [&]() -> task<> {
    try {
      co_await never.wait();
    } catch (const cancelled& why) {
      ended_by = why.reason();
      throw;
    }
  };
  auto main = [&]() -> task<> {
    spawn(left);
    co_await yield();
  };
  run.run(main());
  EXPECT_EQ(ended_by, "");
  run.close();
  EXPECT_EQ(ended_by, "the loop ends");
  EXPECT_TRUE(run.left_behind().empty());
}

TEST(runner, names_who_did_not_stop_and_ends_all_the_same) {
  runner_options options;
  options.leftover_timeout = 0s;
  runner run(options);
  std::vector<std::string> warnings;
  run.loop().on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto stubborn = []() -> task<> {
    for (;;) {
      try {
        co_await yield();
      } catch (const cancelled&) {
        continue;
      }
    }
  };
  auto main = [&]() -> task<> {
    spawn(stubborn).set_name("stubborn");
    co_await yield();
  };
  run.run(main());
  run.close();
  ASSERT_EQ(run.left_behind(), std::vector<std::string>{"stubborn"});
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("'stubborn' did not end when the loop did"), std::string::npos);
}

TEST(runner, a_main_task_that_catches_the_signal_may_clean_up_and_return) {
  runner run;
  auto main = []() -> task<int> {
    int result = 0;
    try {
      ::raise(SIGTERM);
      co_await sleep_for(1h);
    } catch (const cancelled& why) {
      result = why.reason() == "SIGTERM" ? 1 : 2;
    }
    co_await sleep_for(1ms);
    co_return result;
  };
  EXPECT_EQ(run.run(main()), 1);
}

TEST(runner, says_which_signal_it_was) {
  runner run;
  auto main = []() -> task<> {
    ::raise(SIGTERM);
    co_await sleep_for(1h);
  };
  try {
    run.run(main());
    FAIL() << "no exception";
  } catch (const interrupted& why) {
    EXPECT_EQ(why.signal(), SIGTERM);
    EXPECT_STREQ(why.what(), "interrupted by SIGTERM");
  }
}

TEST(runner, puts_the_handlers_back) {
  struct sigaction before{};
  struct sigaction after{};
  ::sigaction(SIGINT, nullptr, &before);
  runner run;
  EXPECT_EQ(run.run(gives(4)), 4);
  ::sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(runner, reports_a_deadlock) {
  runner run;
  event never("never");
  EXPECT_THROW(run.run(waits_for_ever(never)), deadlock);
  EXPECT_EQ(run.run(gives(3)), 3);
}

TEST(runner_death_test, a_second_signal_ends_the_process_even_while_a_task_spins) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // it starts threads
  auto spins = []() -> task<> {
    ::raise(SIGINT);
    ::raise(SIGINT);
    co_await sleeps_long();
  };
  auto run_it = [&] {
    runner run;
    run.run(spins());
  };
  EXPECT_EXIT(run_it(), ::testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace brigade
