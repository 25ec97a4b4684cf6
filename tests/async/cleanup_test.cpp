#include <brigade/async/cleanup.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

TEST(cleanup, runs_after_the_body_whose_value_goes_on) {
  virtual_loop loop;
  std::string log;
  auto main = [&]() -> task<std::unique_ptr<int>> {
    auto body = [&]() -> task<std::unique_ptr<int>> {
      co_await sleep_for(1s);
      log += "body,";
      co_return std::make_unique<int>(7);
    };
    auto tidy_up = [&]() -> task<> {
      co_await sleep_for(1s);
      log += "cleanup";
    };
    co_return co_await with_cleanup(body, tidy_up, 5s);
  };
  EXPECT_EQ(*loop.run(main()), 7);
  EXPECT_EQ(log, "body,cleanup");
}

TEST(cleanup, takes_a_task_for_a_body_and_a_plain_function_for_the_cleanup) {
  virtual_loop loop;
  int runs = 0;
  auto main = [&]() -> task<> {
    auto naps = []() -> task<> { co_await sleep_for(1s); };
    auto tidy_up = [&] { ++runs; };
    co_await with_cleanup(naps(), tidy_up, 5s);
  };
  loop.run(main());
  EXPECT_EQ(runs, 1);
}

TEST(cleanup, runs_when_the_body_fails_and_the_error_goes_on) {
  virtual_loop loop;
  int runs = 0;
  auto main = [&]() -> task<> {
    auto body = []() -> task<> {
      co_await sleep_for(1s);
      throw std::runtime_error("body");
    };
    auto tidy_up = [&]() -> task<> {
      co_await sleep_for(1s);
      ++runs;
    };
    co_await with_cleanup(body, tidy_up, 5s);
  };
  EXPECT_THROW(loop.run(main()), std::runtime_error);
  EXPECT_EQ(runs, 1);
}

TEST(cleanup, waits_in_a_cancelled_scope) {
  virtual_loop loop;
  std::string log;
  auto main = [&]() -> task<> {
    auto body = []() -> task<> { co_await sleep_for(1h); };
    auto tidy_up = [&]() -> task<> {
      co_await sleep_for(2s);
      log += "cleanup,";
    };
    auto both = with_cleanup(body, tidy_up, 5s);
    try {
      co_await timeout(1s, std::move(both));
    } catch (const timed_out&) {
      log += "timed out";
    }
  };
  loop.run(main());
  EXPECT_EQ(log, "cleanup,timed out");
}

TEST(cleanup, waits_in_a_cancelled_task_which_then_ends_cancelled) {
  virtual_loop loop;
  std::string log;
  auto worker = [&]() -> task<> {
    auto body = []() -> task<> { co_await sleep_for(1h); };
    auto tidy_up = [&]() -> task<> {
      co_await sleep_for(2s);
      log += "cleanup,";
    };
    try {
      co_await with_cleanup(body, tidy_up, 5s);
    } catch (const cancelled& why) {
      log += why.reason();
      throw;
    }
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await sleep_for(1s);
    handle.cancel("by hand");
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
  EXPECT_EQ(log, "cleanup,by hand");
}

TEST(cleanup, a_cancel_that_comes_during_it_strikes_after_it) {
  virtual_loop loop;
  std::string log;
  auto worker = [&]() -> task<> {
    auto body = []() -> task<int> { co_return 1; };
    auto tidy_up = [&]() -> task<> {
      co_await sleep_for(2s);
      log += "cleanup,";
    };
    log += std::to_string(co_await with_cleanup(body, tidy_up, 5s));
    co_await sleep_for(1s);
    log += ",never";
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await sleep_for(1s);
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
  EXPECT_EQ(log, "cleanup,1");
}

TEST(cleanup, one_that_is_not_done_by_its_deadline_times_out) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto body = []() -> task<> { co_await yield(); };
    auto tidy_up = []() -> task<> { co_await sleep_for(1h); };
    co_await with_cleanup(body, tidy_up, 5s);
  };
  EXPECT_THROW(loop.run(main()), timed_out);
  EXPECT_TRUE(loop.timers().empty());
}

TEST(cleanup, when_both_fail_both_errors_leave_the_bodys_first) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto body = []() -> task<> {
      co_await yield();
      throw std::runtime_error("body");
    };
    auto tidy_up = []() -> task<> {
      co_await yield();
      throw std::runtime_error("cleanup");
    };
    co_await with_cleanup(body, tidy_up, 5s);
  };
  try {
    loop.run(main());
    FAIL() << "no error came out";
  } catch (const exception_group& both) {
    ASSERT_EQ(both.errors().size(), 2U);
    EXPECT_EQ(error_text(both.errors()[0]), "body");
    EXPECT_EQ(error_text(both.errors()[1]), "cleanup");
  }
}

TEST(cleanup, its_error_beats_a_cancellation_which_strikes_again) {
  virtual_loop loop;
  std::string log;
  auto worker = [&]() -> task<> {
    auto body = []() -> task<> { co_await sleep_for(1h); };
    auto tidy_up = []() -> task<> {
      co_await yield();
      throw std::runtime_error("cleanup");
    };
    try {
      co_await with_cleanup(body, tidy_up, 5s);
    } catch (const std::runtime_error& error) {
      log += error.what();
    }
    EXPECT_EQ(current_task().cancelling(), 1);
    try {
      co_await sleep_for(1s);
    } catch (const cancelled& why) {
      log += "," + why.reason();
      throw;
    }
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await sleep_for(1s);
    handle.cancel("by hand");
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
  EXPECT_EQ(log, "cleanup,by hand");
}

TEST(cleanup, nested_ones_run_from_the_inside_out) {
  virtual_loop loop;
  std::string log;
  auto main = [&]() -> task<> {
    auto note = [&](const char* what) -> task<> {
      co_await sleep_for(1s);
      log += what;
    };
    auto first = [&] { return note("first"); };
    auto second = [&] { return note("second,"); };
    auto body = [&] { return note("body,"); };
    auto inner = with_cleanup(body, second, 5s);
    co_await with_cleanup(std::move(inner), first, 5s);
  };
  loop.run(main());
  EXPECT_EQ(log, "body,second,first");
}

// Die at every step: whatever frame is destroyed, nothing is left behind.
TEST(cleanup, a_task_that_is_killed_at_any_step_leaves_nothing_behind) {
  bool survived = false;
  for (std::uint64_t steps = 1; !survived; ++steps) {
    ASSERT_LT(steps, 100U);
    virtual_loop loop;
    loop.kill_after(steps);
    auto held = std::make_shared<int>(1);
    auto main = [](std::shared_ptr<int> kept) -> task<> {
      auto body = [](std::shared_ptr<int> mine) -> task<int> {
        co_await sleep_for(1s);
        co_return *mine;
      };
      auto begin = [&] { return body(kept); };
      auto tidy_up = [&]() -> task<> { co_await sleep_for(std::chrono::seconds(*kept)); };
      auto both = with_cleanup(begin, tidy_up, 5s);
      co_await timeout(1s, std::move(both));
    };
    try {
      loop.run(main(held));
    } catch (const timed_out&) {
    } catch (const cancelled&) {
    }
    survived = !loop.killed();
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_TRUE(loop.timers().empty());
  }
}

}  // namespace
}  // namespace brigade
