// asyncio's tests of timeouts (CPython, test_timeouts.py), by their names.
#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using detail::time_point;
using testing::virtual_loop;

struct key_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct zero_division : std::runtime_error {
  zero_division() : std::runtime_error("division by zero") {}
};

task<> sleeps(std::chrono::nanoseconds duration) { co_await sleep_for(duration); }

/// Notes whether its wait was cancelled, and passes the cancellation on.
task<> sleeps_noting(std::chrono::nanoseconds duration, bool& struck) {
  try {
    co_await sleep_for(duration);
  } catch (const cancelled&) {
    struck = true;
    throw;
  }
}

/// Like a handler of `cancelled` that goes on.
task<> swallows_one(std::chrono::nanoseconds duration) {
  bool struck = false;
  try {
    co_await sleep_for(duration);
  } catch (const cancelled&) {
    struck = true;
  }
  EXPECT_TRUE(struck);
}

std::string text_of_reschedule(timeout_scope& scope) {
  try {
    scope.reschedule(time_point{} + 1h);
  } catch (const invalid_state& error) {
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class TimeoutTests : public ::testing::Test {
 protected:
  virtual_loop loop_;
};

TEST_F(TimeoutTests, timeout_basic) {
  bool struck = false;
  auto main = [&]() -> task<> {
    const time_point began = loop_.now();
    timeout_scope limit(10ms);
    EXPECT_THROW(co_await limit.run(sleeps_noting(10s, struck)), timed_out);
    EXPECT_TRUE(limit.expired());
    EXPECT_EQ(limit.when(), began + 10ms);
    EXPECT_EQ(loop_.now(), began + 10ms);
  };
  loop_.run(main());
  EXPECT_TRUE(struck);
}

TEST_F(TimeoutTests, timeout_at_basic) {
  auto main = [&]() -> task<> {
    const time_point deadline = loop_.now() + 10ms;
    timeout_scope limit(deadline);
    EXPECT_THROW(co_await limit.run(sleeps(10s)), timed_out);
    EXPECT_TRUE(limit.expired());
    EXPECT_EQ(limit.when(), deadline);
    EXPECT_THROW(co_await timeout_at(loop_.now() + 10ms, sleeps(10s)), timed_out);
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, nested_timeouts) {
  bool inner_struck = false;
  bool inner_converted = false;
  auto main = [&]() -> task<> {
    const time_point deadline = loop_.now() + 10ms;
    timeout_scope outer(deadline);
    timeout_scope inner(deadline);
    auto body = [&](timeout_scope&) -> task<> {
      try {
        co_await inner.run(sleeps_noting(10s, inner_struck));
      } catch (const timed_out&) {
        inner_converted = true;
      }
    };
    EXPECT_THROW(co_await outer.run(body), timed_out);
    EXPECT_TRUE(outer.expired());
    EXPECT_TRUE(inner.expired());
  };
  loop_.run(main());
  EXPECT_TRUE(inner_struck);
  EXPECT_FALSE(inner_converted);
}

TEST_F(TimeoutTests, waiter_cancelled) {
  bool struck = false;
  auto main = [&]() -> task<> {
    EXPECT_THROW(co_await timeout(10ms, sleeps_noting(10s, struck)), timed_out);
  };
  loop_.run(main());
  EXPECT_TRUE(struck);
}

TEST_F(TimeoutTests, timeout_not_called) {
  auto main = [&]() -> task<> {
    const time_point began = loop_.now();
    timeout_scope limit(10s);
    co_await limit.run(sleeps(10ms));
    EXPECT_FALSE(limit.expired());
    EXPECT_EQ(limit.when(), began + 10s);
    EXPECT_GT(*limit.when(), loop_.now());
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_disabled) {
  auto main = [&]() -> task<> {
    timeout_scope limit(no_timeout);
    co_await limit.run(sleeps(10ms));
    EXPECT_FALSE(limit.expired());
    EXPECT_EQ(limit.when(), std::nullopt);
    co_await timeout(no_timeout, sleeps(10ms));
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_at_disabled) {
  auto main = [&]() -> task<> {
    timeout_scope limit(std::optional<time_point>{});
    co_await limit.run(sleeps(10ms));
    EXPECT_FALSE(limit.expired());
    EXPECT_EQ(limit.when(), std::nullopt);
    co_await timeout_at(no_timeout, sleeps(10ms));
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_zero) {
  bool struck = false;
  auto main = [&]() -> task<> {
    const time_point began = loop_.now();
    timeout_scope limit(0s);
    EXPECT_THROW(co_await limit.run(sleeps_noting(10s, struck)), timed_out);
    EXPECT_TRUE(limit.expired());
    EXPECT_EQ(loop_.now(), began);
  };
  loop_.run(main());
  EXPECT_TRUE(struck);
}

TEST_F(TimeoutTests, timeout_zero_sleep_zero) {
  auto main = [&]() -> task<> {
    auto body = []() -> task<> { co_await yield(); };
    timeout_scope limit(0s);
    EXPECT_THROW(co_await limit.run(body()), timed_out);
    EXPECT_TRUE(limit.expired());
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_in_the_past_sleep_zero) {
  auto main = [&]() -> task<> {
    timeout_scope limit(-11s);
    EXPECT_THROW(co_await limit.run(sleeps(0s)), timed_out);
    EXPECT_TRUE(limit.expired());
    EXPECT_LT(*limit.when(), loop_.now());
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, foreign_exception_passed) {
  auto main = [&]() -> task<> {
    auto body = []() -> task<> {
      co_await yield();
      throw key_error("key");
    };
    timeout_scope limit(10ms);
    EXPECT_THROW(co_await limit.run(body()), key_error);
    EXPECT_FALSE(limit.expired());
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, foreign_exception_on_timeout) {
  auto main = [&]() -> task<> {
    auto body = []() -> task<> {
      co_await swallows_one(1s);
      throw zero_division();
    };
    timeout_scope limit(10ms);
    EXPECT_THROW(co_await limit.run(body()), zero_division);
    EXPECT_TRUE(limit.expired());
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, foreign_cancel_doesnt_timeout_if_not_expired) {
  auto main = [&]() -> task<> {
    auto body = []() -> task<> {
      current_task().cancel();
      co_await sleep_for(10s);
    };
    timeout_scope limit(10s);
    EXPECT_THROW(co_await limit.run(body()), cancelled);
    EXPECT_FALSE(limit.expired());
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, outer_task_is_not_cancelled) {
  auto outer = []() -> task<> { EXPECT_THROW(co_await timeout(1ms, sleeps(10s)), timed_out); };
  auto main = [&]() -> task<> {
    auto handle = spawn(outer);
    co_await handle;
    EXPECT_TRUE(handle.done());
    EXPECT_FALSE(handle.cancelled());
  };
  loop_.run(main());
}

// The thread is held: time passes, and no task runs.
class held_time final : public detail::driver {
 public:
  time_point now() override { return now_; }
  void poll() override {}
  void wait_until(time_point deadline) override { now_ = std::max(now_, deadline); }
  void wake() noexcept override {}
  void hold(std::chrono::nanoseconds duration) { now_ += duration; }

 private:
  time_point now_{1h};
};

TEST_F(TimeoutTests, nested_timeouts_concurrent) {
  auto driver = std::make_unique<held_time>();
  held_time& clock = *driver;
  loop own(std::move(driver));
  auto main = [&]() -> task<> {
    auto body = [&]() -> task<> {
      auto innermost = [&]() -> task<> {
        clock.hold(10ms);
        co_await sleep_for(1s);
      };
      bool converted = false;
      try {
        co_await timeout(100ms, innermost());
      } catch (const timed_out&) {
        converted = true;
      }
      EXPECT_FALSE(converted);
    };
    timeout_scope outer(2ms);
    EXPECT_THROW(co_await outer.run(body()), timed_out);
    EXPECT_TRUE(outer.expired());
  };
  own.run(main());
}

TEST_F(TimeoutTests, nested_timeouts_loop_busy) {
  auto driver = std::make_unique<held_time>();
  held_time& clock = *driver;
  loop own(std::move(driver));
  auto main = [&]() -> task<> {
    const time_point began = clock.now();
    auto body = [&]() -> task<> {
      auto innermost = [&]() -> task<> {
        clock.hold(100ms);
        co_await sleep_for(10s);
      };
      co_await timeout(10ms, innermost());
    };
    EXPECT_THROW(co_await timeout(100ms, body()), timed_out);
    EXPECT_LT(clock.now() - began, 1s);
  };
  own.run(main());
}

TEST_F(TimeoutTests, reschedule) {
  bool expired = true;
  std::optional<time_point> last = time_point{};
  auto worker = [&]() -> task<> {
    timeout_scope limit(10ms);
    auto body = [&](timeout_scope& scope) -> task<> {
      const time_point later = *scope.when() + 10ms;
      scope.reschedule(later);
      EXPECT_EQ(scope.when(), later);
      co_await sleep_for(15ms);
      scope.reschedule(std::nullopt);
      last = scope.when();
      co_await sleep_for(10s);
    };
    try {
      co_await limit.run(body);
    } catch (const cancelled&) {
      expired = limit.expired();
      throw;
    }
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    co_await sleep_for(5s);
    EXPECT_FALSE(handle.done());
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop_.run(main());
  EXPECT_FALSE(expired);
  EXPECT_EQ(last, std::nullopt);
}

// Cleanup that waits is shielded: a deadline that has passed fails every other wait.
TEST_F(TimeoutTests, nested_timeout_in_finally) {
  bool inner_timed_out = false;
  auto main = [&]() -> task<> {
    auto body = [&]() -> task<> {
      co_await swallows_one(1s);
      auto cleanup = [&]() -> task<> {
        try {
          co_await timeout(10ms, sleeps(10s));
        } catch (const timed_out&) {
          inner_timed_out = true;
        }
      };
      co_await shielded(5s, cleanup());
      co_await yield();
    };
    EXPECT_THROW(co_await timeout(10ms, body()), timed_out);
  };
  loop_.run(main());
  EXPECT_TRUE(inner_timed_out);
}

TEST_F(TimeoutTests, timeout_after_cancellation) {
  auto main = [&]() -> task<> {
    task_ref self = current_task();
    self.cancel();
    co_await swallows_one(1s);
    EXPECT_EQ(self.cancelling(), 1);
    EXPECT_THROW(co_await timeout(0s, sleeps(1s)), timed_out);
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, cancel_in_timeout_after_cancellation) {
  auto main = [&]() -> task<> {
    current_task().cancel();
    co_await swallows_one(1s);
    auto body = []() -> task<> {
      current_task().cancel();
      co_await sleep_for(2s);
    };
    EXPECT_THROW(co_await timeout(1s, body()), cancelled);
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_already_entered) {
  auto main = [&]() -> task<> {
    timeout_scope limit(10ms);
    auto body = [](timeout_scope& scope) -> task<> {
      EXPECT_THROW(co_await scope.run(sleeps(1ms)), invalid_state);
    };
    co_await limit.run(body);
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_double_enter) {
  auto main = [&]() -> task<> {
    timeout_scope limit(10ms);
    co_await limit.run(sleeps(1ms));
    EXPECT_THROW(co_await limit.run(sleeps(1ms)), invalid_state);
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_finished) {
  auto main = [&]() -> task<> {
    timeout_scope limit(10ms);
    co_await limit.run(sleeps(1ms));
    EXPECT_TRUE(contains(text_of_reschedule(limit), "finished"));
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_expired) {
  auto main = [&]() -> task<> {
    timeout_scope limit(10ms);
    EXPECT_THROW(co_await limit.run(sleeps(1s)), timed_out);
    EXPECT_TRUE(contains(text_of_reschedule(limit), "expired"));
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_expiring) {
  auto main = [&]() -> task<> {
    auto body = [](timeout_scope& scope) -> task<> {
      co_await swallows_one(1s);
      EXPECT_TRUE(contains(text_of_reschedule(scope), "expiring"));
      co_await yield();
    };
    EXPECT_THROW(co_await with_timeout(10ms, body), timed_out);
  };
  loop_.run(main());
}

TEST_F(TimeoutTests, timeout_not_entered) {
  auto main = [&]() -> task<> {
    timeout_scope limit(10ms);
    EXPECT_TRUE(contains(text_of_reschedule(limit), "created"));
    co_return;
  };
  loop_.run(main());
}

// A body cannot run outside a task; not even the clock is there.
TEST_F(TimeoutTests, timeout_without_task) {
  EXPECT_DEATH(static_cast<void>(timeout_scope(10ms)), "no loop runs on this thread");
}

TEST_F(TimeoutTests, timeout_taskgroup) {
  auto child = []() -> task<> {
    co_await swallows_one(1s);
    throw zero_division();
  };
  auto main = [&]() -> task<> {
    auto body = [&]() -> task<> {
      co_await with_group([&](task_group& group) { group.spawn(child); });
    };
    std::size_t errors = 0;
    try {
      co_await timeout(10ms, body());
    } catch (const exception_group& group) {
      errors = group.errors().size();
      EXPECT_THROW(std::rethrow_exception(group.errors()[0]), zero_division);
    }
    EXPECT_EQ(errors, 1U);
  };
  loop_.run(main());
}

}  // namespace
}  // namespace brigade
