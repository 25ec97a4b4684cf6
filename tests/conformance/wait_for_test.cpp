// asyncio's tests of wait_for (test_waitfor.py), each with the outcome asserted there.

#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/shield.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

/// Cancelled, it goes on for 0.2 s; then it lets the cancellation go on.
task<> ends_slowly(bool& ended) {
  std::exception_ptr struck;
  try {
    co_await sleep_for(10s);
  } catch (const cancelled&) {
    struck = std::current_exception();
  }
  if (struck) {
    co_await shielded(1s, [](bool&) -> task<> { co_await sleep_for(200ms); }(ended));
    ended = true;
    std::rethrow_exception(struck);
  }
}

class WaitForTests : public ::testing::Test {
 protected:
  [[nodiscard]] std::chrono::milliseconds now() {
    loop_.refresh_now();
    return std::chrono::duration_cast<std::chrono::milliseconds>(loop_.now() - began_);
  }
  virtual_loop loop_;
  detail::time_point began_ = loop_.now();
};

/// How `awaited` ended: its value, "timed out", "cancelled" or its error.
template <class Awaited>
task<std::string> outcome(Awaited& awaited) {
  std::string text;
  try {
    text = "value " + std::to_string(co_await awaited);
  } catch (const timed_out&) {
    text = "timed out";
  } catch (const std::exception& error) {
    text = error.what();
  } catch (const cancelled&) {
    text = "cancelled";
  }
  co_return text;
}

TEST_F(WaitForTests, asyncio_wait_for_cancelled) {
  auto main = [&]() -> task<> {
    bool inner_ended = false;
    auto waits = [](bool& ended) -> task<> { co_await wait_for(ends_slowly(ended), 1h); };
    auto outer = spawn(waits, std::ref(inner_ended));
    co_await sleep_for(10ms);
    outer.cancel();
    std::string text;
    try {
      co_await outer.join();
    } catch (const cancelled&) {
      text = "cancelled";
    }
    EXPECT_EQ(text, "cancelled");
    EXPECT_TRUE(inner_ended);
    EXPECT_EQ(now(), 210ms);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, asyncio_wait_for_timeout) {
  auto main = [&]() -> task<> {
    bool inner_ended = false;
    auto inner = spawn(ends_slowly, std::ref(inner_ended));
    std::string text;
    try {
      co_await wait_for(inner, 100ms);
    } catch (const timed_out&) {
      text = "timed out";
    }
    EXPECT_EQ(text, "timed out");
    EXPECT_TRUE(inner_ended);
    EXPECT_TRUE(inner.cancelled());
    EXPECT_EQ(now(), 300ms);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for) {
  auto main = [&]() -> task<> {
    bool finally_ran = false;
    auto inner = [](bool& ran) -> task<int> {
      struct note {
        explicit note(bool& on) : on_(on) {}
        ~note() { on_ = true; }
        bool& on_;
      };
      const note at_the_end(ran);
      co_await sleep_for(200ms);
      co_return 1;
    };
    auto handle = spawn(inner, std::ref(finally_ran));
    auto bounded = brigade::wait_for(handle, 100ms);
    EXPECT_EQ(co_await outcome(bounded), "timed out");
    EXPECT_TRUE(handle.cancelled());
    EXPECT_TRUE(finally_ran);
    EXPECT_EQ(now(), 100ms);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_blocking) {
  auto main = []() -> task<> {
    auto done = []() -> task<std::string> { co_return "done"; };
    EXPECT_EQ(co_await brigade::wait_for(done(), std::nullopt), "done");
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_timeout_less_then_0_or_0_future_done) {
  auto main = []() -> task<> {
    promise<int> answer;
    answer.set_value(7);
    for (const auto after : {0ms, -1ms}) {
      EXPECT_EQ(co_await brigade::wait_for(answer.get_future(), after), 7);
    }
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_timeout_less_then_0_or_0_coroutine_do_not_started) {
  auto main = [&]() -> task<> {
    for (const auto after : {0ms, -1ms}) {
      bool started = false;
      auto inner = [](bool& ran) -> task<int> {
        ran = true;
        co_return 1;
      };
      auto bounded = brigade::wait_for(inner(started), after);
      EXPECT_EQ(co_await outcome(bounded), "timed out");
      EXPECT_FALSE(started);
    }
    EXPECT_EQ(now(), 0ms);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_timeout_less_then_0_or_0) {
  auto main = [&]() -> task<> {
    for (const auto after : {0ms, -1ms}) {
      bool cleaned_up = false;
      auto inner = [](bool& cleaned) -> task<int> {
        std::exception_ptr struck;
        try {
          co_await sleep_for(1h);
        } catch (const cancelled&) {
          struck = std::current_exception();
          cleaned = true;
        }
        if (struck) std::rethrow_exception(struck);
        co_return 1;
      };
      auto handle = spawn(inner, std::ref(cleaned_up));
      co_await yield();
      auto bounded = brigade::wait_for(handle, after);
      EXPECT_EQ(co_await outcome(bounded), "timed out");
      EXPECT_TRUE(handle.cancelled());
      EXPECT_TRUE(cleaned_up);
    }
    EXPECT_EQ(now(), 0ms);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_race_condition) {
  auto main = [&]() -> task<> {
    promise<int> answer;
    auto sets = [](promise<int>& to) -> task<> {
      co_await sleep_for(100ms);
      to.set_value(42);
    };
    // Set at the very time at which the wait runs out, a moment before.
    auto other = spawn(sets, std::ref(answer));
    co_await yield();
    auto bounded = brigade::wait_for(answer.get_future(), 200ms);
    EXPECT_EQ(co_await outcome(bounded), "value 42");
    EXPECT_EQ(now(), 100ms);
    co_await other;
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_cancellation_race_condition) {
  auto main = [&]() -> task<> {
    auto inner = []() -> task<int> {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        static_cast<void>(0);
      }
      co_return 1;
    };
    auto bounded = brigade::wait_for(inner(), 10ms);
    EXPECT_EQ(co_await outcome(bounded), "value 1");
    EXPECT_EQ(now(), 10ms);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_cancel_suppressed) {
  auto main = [&]() -> task<> {
    auto returns_42 = []() -> task<int> {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        static_cast<void>(0);
      }
      co_return 42;
    };
    auto waits = [](auto handle) -> task<int> { co_return co_await brigade::wait_for(handle, 1h); };
    auto inner = spawn(returns_42);
    auto outer = spawn(waits, inner);
    co_await sleep_for(1ms);
    EXPECT_TRUE(outer.cancel());
    EXPECT_EQ(co_await outer.join(), 42);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_waits_for_task_cancellation) {
  auto main = [&]() -> task<> {
    bool ended = false;
    std::string text;
    try {
      co_await brigade::wait_for(ends_slowly(ended), 100ms);
    } catch (const timed_out&) {
      text = "timed out";
    }
    EXPECT_EQ(text, "timed out");
    EXPECT_TRUE(ended);
    EXPECT_EQ(now(), 300ms);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_waits_for_task_cancellation_w_timeout_0) {
  auto main = [&]() -> task<> {
    bool ended = false;
    auto inner = spawn(ends_slowly, std::ref(ended));
    co_await yield();
    std::string text;
    try {
      co_await brigade::wait_for(inner, 0ms);
    } catch (const timed_out&) {
      text = "timed out";
    }
    EXPECT_EQ(text, "timed out");
    EXPECT_TRUE(ended);
    EXPECT_EQ(now(), 200ms);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_reraises_exception_during_cancellation) {
  auto main = [&]() -> task<> {
    auto inner = []() -> task<int> {
      bool struck = false;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        struck = true;
      }
      if (struck) throw std::runtime_error("Foo");
      co_return 1;
    };
    auto bounded = brigade::wait_for(spawn(inner), 100ms);
    EXPECT_EQ(co_await outcome(bounded), "Foo");
  };
  loop_.run(main());
}

TEST_F(WaitForTests, cancel_blocking_wait_for) {
  auto main = [&]() -> task<> {
    event never;
    auto inner = [](event& on) -> task<> { co_await on.wait(); };
    auto waits = [](auto handle) -> task<> { co_await brigade::wait_for(handle, std::nullopt); };
    auto handle = spawn(inner, std::ref(never));
    auto outer = spawn(waits, handle);
    co_await sleep_for(1ms);
    outer.cancel();
    co_await sleep_for(1ms);
    EXPECT_TRUE(outer.cancelled());
    EXPECT_TRUE(handle.cancelled());
  };
  loop_.run(main());
}

TEST_F(WaitForTests, cancel_wait_for) {
  auto main = [&]() -> task<> {
    event never;
    auto inner = [](event& on) -> task<> { co_await on.wait(); };
    auto waits = [](auto handle) -> task<> { co_await brigade::wait_for(handle, 60s); };
    auto handle = spawn(inner, std::ref(never));
    auto outer = spawn(waits, handle);
    co_await sleep_for(1ms);
    outer.cancel();
    co_await sleep_for(1ms);
    EXPECT_TRUE(outer.cancelled());
    EXPECT_TRUE(handle.cancelled());
    EXPECT_LT(now(), 60s);
  };
  loop_.run(main());
}

TEST_F(WaitForTests, wait_for_issue86296) {
  auto main = [&]() -> task<> {
    bool reached_end = false;
    auto inner = []() -> task<std::string> { co_return "done"; };
    auto waits = [](auto handle, bool& end) -> task<> {
      const std::string result = co_await brigade::wait_for(handle, 1s);
      EXPECT_EQ(result, "done");
      co_await yield();
      end = true;
    };
    auto handle = spawn(inner);
    auto outer = spawn(waits, handle, std::ref(reached_end));
    while (!handle.done()) co_await yield();
    outer.cancel();
    co_await sleep_for(1ms);
    EXPECT_TRUE(outer.cancelled());
    EXPECT_FALSE(reached_end);
    EXPECT_EQ(handle.result(), "done");
  };
  loop_.run(main());
}

/// Ends with 7 after 10 ms.
task<int> seven() {
  co_await sleep_for(10ms);
  co_return 7;
}

TEST(WaitForShieldTests, zero_timeout) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto inner = spawn(seven);
    auto shielded_inner = shield(inner);
    auto bounded = wait_for(shielded_inner, 0ms);
    EXPECT_EQ(co_await outcome(bounded), "timed out");
    EXPECT_FALSE(inner.done());
    EXPECT_EQ(co_await inner, 7);
  };
  loop.run(main());
}

TEST(WaitForShieldTests, none_timeout) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto inner = spawn(seven);
    EXPECT_EQ(co_await wait_for(shield(inner), std::nullopt), 7);
  };
  loop.run(main());
}

TEST(WaitForShieldTests, shielded_timeout) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto inner = spawn(seven);
    std::string text;
    try {
      co_await wait_for(shield(inner), 5ms);
    } catch (const timed_out&) {
      text = "timed out";
    }
    EXPECT_EQ(text, "timed out");
    EXPECT_FALSE(inner.done());
    EXPECT_EQ(co_await inner, 7);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
