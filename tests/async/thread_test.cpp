#include <brigade/async/group.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

TEST(thread, to_thread_runs_elsewhere_and_gives_its_value) {
  const auto here = std::this_thread::get_id();
  auto main = [&]() -> task<std::string> {
    const auto there = co_await to_thread([] { return std::this_thread::get_id(); });
    EXPECT_NE(here, there);
    auto length = [](const std::string& text) { return text.size(); };
    const std::size_t count = co_await to_thread(length, std::string("abc"));
    co_return std::to_string(count);
  };
  EXPECT_EQ(run(main()), "3");
}

TEST(thread, its_error_comes_out) {
  auto main = []() -> task<> {
    co_await to_thread([] { throw std::runtime_error("on a thread"); });
  };
  EXPECT_THROW(run(main()), std::runtime_error);
}

TEST(thread, a_cancelled_call_is_told_to_stop_and_its_waiter_goes_on) {
  std::atomic<bool> started{false};
  auto stopped = std::make_shared<std::atomic<bool>>(false);
  auto call = [&](const std::stop_token& token, const std::shared_ptr<std::atomic<bool>>& flag) {
    started = true;
    while (!token.stop_requested()) std::this_thread::yield();
    flag->store(true);
  };
  auto one = [&]() -> task<> { co_await to_thread(call, stopped); };
  auto main = [&]() -> task<> {
    auto handle = spawn(one);
    while (!started) co_await yield();
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
    while (abandoned_threads() != 0) co_await yield();
  };
  run(main());
  EXPECT_TRUE(stopped->load());
}

TEST(thread, a_result_that_has_come_is_not_lost_to_a_cancellation) {
  int got = 0;
  auto main = [&]() -> task<> {
    auto one = [&]() -> task<> {
      got = co_await to_thread([] { return 42; });
      co_await sleep_for(1h);
    };
    auto handle = spawn(one);
    co_await yield();
    co_await yield();
    loop& own = loop::current();
    while (!own.mailbox()->pending()) std::this_thread::yield();
    own.post([&] { handle.cancel("just too late"); });
    EXPECT_THROW(co_await handle, cancelled);
  };
  run(main());
  EXPECT_EQ(got, 42);
}

TEST(thread, a_call_that_returns_when_its_loop_is_gone_is_not_abandoned_any_more) {
  auto started = std::make_shared<std::atomic<bool>>(false);
  auto go = std::make_shared<std::atomic<bool>>(false);
  {
    loop own;
    auto one = [&]() -> task<> {
      auto call = [started](const std::shared_ptr<std::atomic<bool>>& flag) {
        started->store(true);
        while (!flag->load()) std::this_thread::yield();
      };
      co_await to_thread(std::move(call), go);
    };
    auto main = [&]() -> task<> {
      auto handle = spawn(one);
      while (!started->load()) co_await yield();
    };
    own.run(main());
    EXPECT_EQ(abandoned_threads(), 1U);
  }
  go->store(true);
  while (abandoned_threads() != 0) std::this_thread::yield();
}

TEST(thread, an_abandoned_call_is_named_with_its_task_and_its_line) {
  auto started = std::make_shared<std::atomic<bool>>(false);
  auto go = std::make_shared<std::atomic<bool>>(false);
  unsigned line = 0;
  auto slow = [&]() -> task<> {
    auto call = [started](const std::shared_ptr<std::atomic<bool>>& flag, int, int, int) {
      started->store(true);
      while (!flag->load()) std::this_thread::yield();
    };
    line = __LINE__ + 1;
    co_await to_thread(call, go, 1, 2, 3);
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(slow);
    handle.set_name("import");
    while (!started->load()) co_await yield();
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
  };
  run(main());
  const std::vector<abandoned_call> calls = abandoned_calls();
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls.front().name, "import");
  EXPECT_EQ(calls.front().where.line(), line);
  EXPECT_NE(to_string(calls.front()).find("call of task 'import' at "), std::string::npos);
  go->store(true);
  while (abandoned_threads() != 0) std::this_thread::yield();
}

TEST(thread, a_call_is_a_task_that_can_be_named_and_handed_on) {
  auto main = []() -> task<int> {
    task<int> call = to_thread([](int a, int b) { return a + b; }, 40, 2);
    co_return co_await timeout(1h, std::move(call));
  };
  EXPECT_EQ(run(main()), 42);
}

TEST(thread, many_calls_at_once_all_come_back) {
  auto one = [](std::atomic<int>& count) -> task<> { co_await to_thread([&count] { ++count; }); };
  std::atomic<int> count{0};
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      for (int i = 0; i < 500; ++i) group.spawn(one, std::ref(count));
    });
  };
  run(main());
  EXPECT_EQ(count.load(), 500);
}

}  // namespace
}  // namespace brigade
