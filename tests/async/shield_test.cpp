#include <brigade/async/shield.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> counts_after(std::chrono::milliseconds duration, int& count) {
  co_await sleep_for(duration);
  co_return ++count;
}

TEST(shield, of_a_task_starts_it_and_gives_its_result) {
  virtual_loop loop;
  auto main = []() -> task<> {
    int count = 0;
    EXPECT_EQ(co_await shield(counts_after(1ms, count)), 1);
  };
  loop.run(main());
}

TEST(shield, keeps_the_cancellation_of_a_scope_out) {
  virtual_loop loop;
  int count = 0;
  auto main = [&]() -> task<> {
    auto inner = [](int& counted) -> task<> { co_await shield(counts_after(10ms, counted)); };
    bool late = false;
    try {
      co_await timeout(5ms, inner(count));
    } catch (const timed_out&) {
      late = true;
    }
    EXPECT_TRUE(late);
    EXPECT_EQ(count, 0);
    co_await sleep_for(10ms);
    EXPECT_EQ(count, 1);
  };
  loop.run(main());
}

TEST(shield, lets_an_error_nobody_waits_for_be_reported_once) {
  virtual_loop loop;
  std::string reported;
  loop.on_unhandled = [&](const std::string&, const std::exception_ptr& error) {
    reported += error_text(error) + ";";
  };
  auto main = []() -> task<> {
    auto fails = []() -> task<> {
      co_await sleep_for(5ms);
      throw std::runtime_error("unheard");
    };
    auto waits = [](auto inner) -> task<> { co_await shield(inner()); };
    auto outer = spawn(waits, fails);
    co_await sleep_for(1ms);
    outer.cancel();
    co_await sleep_for(10ms);
    EXPECT_TRUE(outer.cancelled());
  };
  loop.run(main());
  EXPECT_EQ(reported, "unheard;");
}

}  // namespace
}  // namespace brigade
