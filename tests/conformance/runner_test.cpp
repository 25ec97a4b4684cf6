// Running a main task, signals and what is left over: CPython's test_runners.py.

#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/runner.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

task<int> gives(int value) {
  co_await yield();
  co_return value;
}

task<> raises() {
  co_await yield();
  throw std::runtime_error("spam");
}

TEST(RunTests, asyncio_run_return) { EXPECT_EQ(run(gives(42)), 42); }

TEST(RunTests, asyncio_run_raises) { EXPECT_THROW(run(raises()), std::runtime_error); }

TEST(RunTests, asyncio_run_from_running_loop) {
  auto main = []() -> task<> {
    EXPECT_THROW(run(gives(1)), invalid_state);
    co_return;
  };
  run(main());
}

TEST(RunTests, asyncio_run_cancels_hanging_tasks) {
  std::optional<task_handle<>> hanging;
  auto sleeps = []() -> task<> { co_await sleep_for(1h); };
  auto main = [&]() -> task<int> {
    hanging = spawn(sleeps);
    co_await yield();
    co_return 123;
  };
  EXPECT_EQ(run(main()), 123);
  EXPECT_TRUE(hanging->done());
  EXPECT_TRUE(hanging->cancelled());
}

TEST(RunTests, asyncio_run_reports_hanging_tasks_errors) {
  std::vector<std::string> reported;
  auto fails_in_cleanup = []() -> task<> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled&) {
      throw std::runtime_error("cleanup failed");
    }
  };
  auto main = [&]() -> task<int> {
    spawn(fails_in_cleanup);
    co_await yield();
    co_return 123;
  };
  {
    loop own;
    own.on_unhandled = [&](const std::string&, const std::exception_ptr& error) {
      reported.push_back(error_text(error));
    };
    EXPECT_EQ(own.run(main()), 123);
  }
  EXPECT_EQ(reported, std::vector<std::string>{"cleanup failed"});
}

TEST(RunnerTests, run) {
  runner running;
  EXPECT_EQ(running.run(gives(1)), 1);
  EXPECT_EQ(running.run(gives(2)), 2);
}

TEST(RunnerTests, run_future) {
  runner running;
  auto main = []() -> task<std::string> {
    promise<std::string> given;
    given.set_value("done");
    const std::string value = co_await given.get_future();
    co_return value;
  };
  EXPECT_EQ(running.run(main()), "done");
}

TEST(RunnerTests, explicit_close) {
  runner running;
  running.run(gives(1));
  running.close();
  EXPECT_THROW(running.run(gives(2)), invalid_state);
}

TEST(RunnerTests, double_close) {
  runner running;
  running.close();
  running.close();
}

TEST(RunnerTests, second_with_block_raises) {
  runner running;
  running.run(gives(1));
  running.close();
  EXPECT_THROW(running.run(gives(1)), invalid_state);
}

TEST(RunnerTests, recursive_run) {
  runner running;
  auto main = [&]() -> task<> {
    EXPECT_THROW(running.run(gives(1)), invalid_state);
    co_return;
  };
  running.run(main());
}

TEST(RunnerTests, interrupt_call_soon) {
  runner running;
  bool cancelled_seen = false;
  auto spins = [&]() -> task<> {
    ::raise(SIGINT);
    try {
      for (;;) co_await yield();
    } catch (const cancelled&) {
      cancelled_seen = true;
      throw;
    }
  };
  EXPECT_THROW(running.run(spins()), interrupted);
  EXPECT_TRUE(cancelled_seen);
}

TEST(RunnerTests, interrupt_wait) {
  runner running;
  promise<int> inner(running.loop());
  auto main = [&]() -> task<> {
    // A timer, so that the wait for the future is not a deadlock before the signal is delivered.
    auto ticks = []() -> task<> { co_await sleep_for(1h); };
    spawn(ticks);
    ::raise(SIGINT);
    co_await inner.get_future();
  };
  EXPECT_THROW(running.run(main()), interrupted);
  EXPECT_TRUE(inner.get_future().cancelled());
}

TEST(RunnerTests, interrupt_cancelled_task) {
  runner running;
  auto main = []() -> task<> {
    ::raise(SIGINT);
    try {
      co_await sleep_for(1h);
    } catch (const cancelled&) {
      current_task().cancel("by code, too");
      throw;
    }
  };
  EXPECT_THROW(running.run(main()), cancelled);
}

TEST(RunnerTests, signal_install_not_supported_ok) {
  runner_options options;
  options.signals = {SIGKILL};  // nobody may listen for it
  runner running(options);
  EXPECT_EQ(running.run(gives(1)), 1);
}

}  // namespace
}  // namespace brigade
