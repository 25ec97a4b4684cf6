#include <brigade/async/descriptor.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/signal.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

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
  auto stopped = std::make_shared<std::atomic<bool>>(false);
  auto main = [&]() -> task<> {
    auto call = [](const std::stop_token& token, const std::shared_ptr<std::atomic<bool>>& flag) {
      while (!token.stop_requested()) std::this_thread::yield();
      flag->store(true);
    };
    EXPECT_THROW(co_await timeout(1ms, to_thread(call, stopped)), timed_out);
    while (abandoned_threads() != 0) co_await sleep_for(1ms);
  };
  run(main());
  EXPECT_TRUE(stopped->load());
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

TEST(descriptor, reads_what_another_task_writes_and_sees_the_end) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  auto writer = [](int fd) -> task<> {
    descriptor out(fd);
    const std::string text(200'000, 'x');
    std::string_view left = text;
    while (!left.empty()) {
      const std::size_t count = co_await out.write_some(left);
      left.remove_prefix(count);
    }
  };
  auto reader = [](int fd, std::size_t& total) -> task<> {
    descriptor in(fd);
    std::array<char, 4096> buffer{};
    for (;;) {
      const std::size_t count = co_await in.read_some(buffer);
      if (count == 0) co_return;
      total += count;
    }
  };
  std::size_t total = 0;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      group.spawn(reader, ends[0], std::ref(total));
      group.spawn(writer, ends[1]);
    });
  };
  run(main());
  EXPECT_EQ(total, 200'000U);
}

TEST(descriptor, a_cancelled_read_reads_nothing) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  auto main = [&]() -> task<> {
    descriptor in(ends[0]);
    descriptor out(ends[1]);
    std::array<char, 16> buffer{};
    EXPECT_THROW(co_await timeout(1ms, in.read_some(buffer)), timed_out);
    co_await out.write_some("dish");
    const std::size_t count = co_await in.read_some(buffer);
    EXPECT_EQ(count, 4U);
  };
  run(main());
}

// In a process of its own: here other threads run already, and they have the signal unblocked.
TEST(signal, one_is_read_by_its_own_thread) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto listens = [] {
    std::atomic<int> seen{0};
    {
      const signal_thread signals({SIGUSR2}, [&](int signo) {
        seen = signo;
        seen.notify_one();
      });
      ::kill(::getpid(), SIGUSR2);
      seen.wait(0);
    }
    std::_Exit(seen.load() == SIGUSR2 ? 17 : 1);
  };
  EXPECT_EXIT(listens(), ::testing::ExitedWithCode(17), "");
}

}  // namespace
}  // namespace brigade
