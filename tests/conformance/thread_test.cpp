// What asyncio promises of threads: test_threads.py, the executor tests of test_events.py and
// test_base_events.py, and run_coroutine_threadsafe of test_tasks.py.
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/submit.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/async/thread_pool.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using box_ptr = std::shared_ptr<detail::mailbox>;

TEST(ToThreadTests, to_thread) {
  auto main = []() -> task<int> { co_return co_await to_thread([](int a) { return a + 2; }, 40); };
  EXPECT_EQ(run(main()), 42);
}

TEST(ToThreadTests, to_thread_exception) {
  auto main = []() -> task<> {
    co_await to_thread([] { throw std::runtime_error("something wrong"); });
  };
  EXPECT_THROW(run(main()), std::runtime_error);
}

TEST(ToThreadTests, to_thread_once) {
  std::atomic<int> calls{0};
  auto main = [&]() -> task<> { co_await to_thread([&calls] { ++calls; }); };
  run(main());
  EXPECT_EQ(calls, 1);
}

TEST(ToThreadTests, to_thread_concurrent) {
  std::atomic<int> calls{0};
  auto one = [&]() -> task<> { co_await to_thread([&calls] { ++calls; }); };
  auto main = [&]() -> task<> {
    auto ten = [&](task_group& group) {
      for (int i = 0; i < 10; ++i) group.spawn(one);
    };
    co_await with_group(std::ref(ten));
  };
  run(main());
  EXPECT_EQ(calls, 10);
}

TEST(ToThreadTests, to_thread_args_kwargs) {
  // Named arguments are a struct of options here.
  struct options {
    explicit options(int something_) : something(something_) {}
    int something;
  };
  auto call = [](int value, const options& more) { return value + more.something; };
  auto main = [&]() -> task<int> { co_return co_await to_thread(call, 40, options(2)); };
  EXPECT_EQ(run(main()), 42);
}

TEST(RunInExecutorTests, run_in_executor) {
  const auto here = std::this_thread::get_id();
  auto call = [](std::string text) {
    return std::pair(std::move(text), std::this_thread::get_id());
  };
  auto main = [&]() -> task<> {
    thread_pool pool(1);
    const auto [text, there] = co_await pool.run(call, std::string("yo"));
    EXPECT_EQ(text, "yo");
    EXPECT_NE(there, here);
  };
  run(main());
}

TEST(RunInExecutorTests, run_in_executor_cancel) {
  std::vector<std::string> reported;
  auto started = std::make_shared<std::atomic<bool>>(false);
  auto go = std::make_shared<std::atomic<bool>>(false);
  {
    loop own;
    own.on_unhandled = [&](const std::string& name, const std::exception_ptr&) {
      reported.push_back(name);
    };
    auto one = [&]() -> task<> {
      auto call = [started, go] {
        started->store(true);
        while (!go->load()) std::this_thread::yield();
      };
      co_await to_thread(std::move(call));
    };
    auto main = [&]() -> task<> {
      auto handle = spawn(one);
      while (!started->load()) co_await yield();
      handle.cancel();
      EXPECT_THROW(co_await handle, cancelled);
    };
    own.run(main());
  }
  // It returns when its loop has gone, and nothing comes of it.
  go->store(true);
  while (abandoned_threads() != 0) std::this_thread::yield();
  EXPECT_TRUE(reported.empty());
}

TEST(RunInExecutorTests, shutdown_default_executor_timeout) {
  auto started = std::make_shared<std::atomic<bool>>(false);
  auto go = std::make_shared<std::atomic<bool>>(false);
  std::vector<std::string> warnings;
  loop own;
  own.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto stuck = [&](thread_pool& pool) -> task<> {
    auto call = [started, go] {
      started->store(true);
      while (!go->load()) std::this_thread::yield();
    };
    co_await pool.run(std::move(call));
  };
  auto main = [&]() -> task<> {
    thread_pool pool(1);
    auto handle = spawn(stuck, std::ref(pool));
    handle.set_name("stuck");
    while (!started->load()) co_await yield();
    const std::vector<abandoned_call> left = co_await pool.shutdown(10ms);
    EXPECT_EQ(left.size(), 1U);
    EXPECT_THROW(co_await handle, call_abandoned);
  };
  own.run(main());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings.front().find("'stuck'"), std::string::npos);
  go->store(true);
  while (abandoned_threads() != 0) std::this_thread::yield();
}

/// Runs `client` on a thread, while the loop serves it.
template <class F>
void call_from_a_thread(F client) {
  auto main = [&]() -> task<> {
    auto box = loop::current().mailbox();
    co_await to_thread([&client, &box] { client(box); });
  };
  run(main());
}

task<int> add(int a, int b, bool fails) {
  co_await sleep_for(1ms);
  if (fails) throw std::runtime_error("Fail!");
  co_return a + b;
}

TEST(RunCoroutineThreadsafeTests, run_coroutine_threadsafe) {
  call_from_a_thread([](const box_ptr& box) { EXPECT_EQ(submit(box, add, 1, 2, false).get(), 3); });
}

TEST(RunCoroutineThreadsafeTests, run_coroutine_threadsafe_with_exception) {
  call_from_a_thread([](const box_ptr& box) {
    EXPECT_THROW(submit(box, add, 1, 2, true).get(), std::runtime_error);
  });
}

TEST(RunCoroutineThreadsafeTests, run_coroutine_threadsafe_with_timeout) {
  std::atomic<bool> was_cancelled{false};
  auto slow = [&]() -> task<> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled&) {
      was_cancelled = true;
      throw;
    }
  };
  call_from_a_thread([&](const box_ptr& box) {
    auto answer = submit(box, slow);
    EXPECT_THROW(answer.get_within(1ms), timed_out);
    EXPECT_THROW(answer.get(), cancelled);
  });
  EXPECT_TRUE(was_cancelled);
}

TEST(RunCoroutineThreadsafeTests, run_coroutine_threadsafe_task_cancelled) {
  auto cancels_itself = []() -> task<> {
    current_task().cancel("by somebody on the loop");
    co_await yield();
  };
  call_from_a_thread([&](const box_ptr& box) {
    auto answer = submit(box, cancels_itself);
    EXPECT_THROW(answer.get(), cancelled);
    EXPECT_TRUE(answer.is_cancelled());
  });
}

TEST(RunCoroutineThreadsafeTests, run_coroutine_threadsafe_and_cancel) {
  std::atomic<bool> was_cancelled{false};
  auto slow = [&]() -> task<> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled&) {
      was_cancelled = true;
      throw;
    }
  };
  call_from_a_thread([&](const box_ptr& box) {
    auto answer = submit(box, slow);
    answer.cancel();
    EXPECT_THROW(answer.get(), cancelled);
  });
  EXPECT_TRUE(was_cancelled);
}

}  // namespace
}  // namespace brigade
