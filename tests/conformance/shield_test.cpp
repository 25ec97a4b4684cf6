// asyncio's tests of shield (test_tasks.py), each with the outcome asserted there.

#include <brigade/async/future.hpp>
#include <brigade/async/gather.hpp>
#include <brigade/async/shield.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

std::exception_ptr an_error() { return std::make_exception_ptr(std::runtime_error("failed")); }

task<int> shields(future<int> inner) { co_return co_await shield(inner); }

class ShieldTests : public ::testing::Test {
 protected:
  ShieldTests() {
    loop_.on_unhandled = [this](const std::string&, const std::exception_ptr&) { ++reported_; };
  }
  static sleep_operation settle() { return sleep_for(1ms); }
  virtual_loop loop_;
  int reported_ = 0;
};

TEST_F(ShieldTests, shield_result) {
  auto main = []() -> task<> {
    promise<int> inner;
    inner.set_value(42);
    EXPECT_EQ(co_await shield(inner.get_future()), 42);
  };
  loop_.run(main());
}

TEST_F(ShieldTests, shield_exception) {
  auto main = []() -> task<> {
    promise<int> inner;
    auto outer = spawn(shields, inner.get_future());
    co_await settle();
    const auto error = an_error();
    inner.set_error(error);
    co_await settle();
    EXPECT_EQ(outer.error(), error);
  };
  loop_.run(main());
}

TEST_F(ShieldTests, shield_cancel_inner) {
  auto main = []() -> task<> {
    promise<int> inner;
    auto outer = spawn(shields, inner.get_future());
    co_await settle();
    inner.cancel();
    co_await settle();
    EXPECT_TRUE(outer.cancelled());
  };
  loop_.run(main());
}

TEST_F(ShieldTests, shield_cancel_outer) {
  auto main = []() -> task<> {
    promise<int> inner;
    auto outer = spawn(shields, inner.get_future());
    co_await settle();
    EXPECT_EQ(inner.get_future().statistics().waiting, 1U);
    outer.cancel();
    co_await settle();
    EXPECT_TRUE(outer.cancelled());
    EXPECT_FALSE(inner.done());
    EXPECT_EQ(inner.get_future().statistics().waiting, 0U);
  };
  loop_.run(main());
}

TEST_F(ShieldTests, shield_cancel_outer_result) {
  auto main = []() -> task<> {
    promise<int> inner;
    auto outer = spawn(shields, inner.get_future());
    co_await settle();
    outer.cancel();
    co_await settle();
    inner.set_value(1);
    co_await settle();
  };
  loop_.run(main());
  EXPECT_EQ(reported_, 0);
}

TEST_F(ShieldTests, shield_cancel_outer_exception) {
  auto main = []() -> task<> {
    promise<int> inner;
    auto outer = spawn(shields, inner.get_future());
    co_await settle();
    outer.cancel();
    co_await settle();
    inner.set_error(an_error());
    co_await settle();
  };
  loop_.run(main());
  EXPECT_EQ(reported_, 1);
}

TEST_F(ShieldTests, shield_duplicate_log_once) {
  auto main = []() -> task<> {
    promise<int> inner;
    auto one = spawn(shields, inner.get_future());
    auto two = spawn(shields, inner.get_future());
    co_await settle();
    one.cancel();
    two.cancel();
    co_await settle();
    inner.set_error(an_error());
    co_await settle();
  };
  loop_.run(main());
  EXPECT_EQ(reported_, 1);
}

TEST_F(ShieldTests, shield_shortcut) {
  auto main = []() -> task<> {
    promise<int> inner;
    inner.set_value(42);
    const auto steps = current_loop().steps();
    EXPECT_EQ(co_await shield(inner.get_future()), 42);
    EXPECT_EQ(current_loop().steps(), steps);
  };
  loop_.run(main());
}

TEST_F(ShieldTests, shield_effect) {
  auto main = []() -> task<> {
    promise<> waiter;
    int proof = 0;
    auto inner = [](future<> on, int& count) -> task<> {
      co_await on;
      ++count;
    };
    auto outer = [&](auto starts, future<> on, int& count) -> task<> {
      co_await shield(starts(on, count));
      count += 100;
    };
    auto f = spawn(outer, inner, waiter.get_future(), std::ref(proof));
    co_await settle();
    f.cancel();
    co_await settle();
    EXPECT_TRUE(f.cancelled());
    waiter.set_value();
    co_await settle();
    EXPECT_EQ(proof, 1);
  };
  loop_.run(main());
}

task<std::vector<int>> gathers(std::vector<future<int>> all) { co_return co_await gather(all); }

TEST_F(ShieldTests, shield_gather) {
  auto main = []() -> task<> {
    promise<int> a;
    promise<int> b;
    const std::vector<future<int>> both = {a.get_future(), b.get_future()};
    auto parent = spawn(gathers, both);
    auto awaits = [](auto inner) -> task<std::vector<int>> { co_return co_await shield(inner); };
    auto outer = spawn(awaits, parent);
    co_await settle();
    outer.cancel();
    co_await settle();
    EXPECT_TRUE(outer.cancelled());
    a.set_value(1);
    b.set_value(2);
    co_await settle();
    EXPECT_EQ(parent.result(), (std::vector<int>{1, 2}));
  };
  loop_.run(main());
}

TEST_F(ShieldTests, gather_shield) {
  auto main = []() -> task<> {
    promise<int> a;
    promise<int> b;
    auto inner_a = spawn(shields, a.get_future());
    auto inner_b = spawn(shields, b.get_future());
    auto gathers_both = [](auto one, auto two) -> task<> { co_await gather(one, two); };
    auto parent = spawn(gathers_both, inner_a, inner_b);
    co_await settle();
    parent.cancel();
    co_await settle();
    EXPECT_TRUE(inner_a.cancelled());
    EXPECT_TRUE(inner_b.cancelled());
    EXPECT_THROW(std::rethrow_exception(parent.error()), cancelled);
    EXPECT_FALSE(a.done());
    EXPECT_FALSE(b.done());
    a.set_value(1);
    b.set_value(2);
  };
  loop_.run(main());
}

}  // namespace
}  // namespace brigade
