#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/async/thread_pool.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait_for.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

/// A door that calls on threads wait at, whatever becomes of their waiters.
struct door {
  std::atomic<int> waiting{0};
  std::atomic<int> most{0};
  std::atomic<bool> open{false};
  void pass() {
    const int now = ++waiting;
    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
    while (!open) std::this_thread::yield();
    --waiting;
  }
};

task<> pass(thread_pool& pool, std::shared_ptr<door> through) {
  auto call = [](const std::shared_ptr<door>& one) { one->pass(); };
  co_await pool.run(call, through);
}

task<> until(std::function<bool()> condition) {
  while (!condition()) co_await yield();
}

TEST(thread_pool, gives_values_and_errors_of_calls_with_any_arguments) {
  thread_pool pool(2, "small");
  auto main = [&]() -> task<> {
    EXPECT_EQ(co_await pool.run([] { return 1; }), 1);
    EXPECT_EQ(co_await pool.run([](int a) { return a; }, 2), 2);
    EXPECT_EQ(co_await pool.run([](int a, int b) { return a + b; }, 1, 2), 3);
    EXPECT_EQ(co_await pool.run([](int a, int b, int c) { return a + b + c; }, 1, 1, 2), 4);
    EXPECT_THROW(co_await pool.run([] { throw std::runtime_error("there"); }), std::runtime_error);
  };
  run(main());
  EXPECT_EQ(pool.name(), "small");
  EXPECT_EQ(pool.statistics().returned, 5U);
}

TEST(thread_pool, never_runs_more_calls_at_once_than_its_size_which_changes_while_it_works) {
  thread_pool pool(2);
  auto first = std::make_shared<door>();
  auto second = std::make_shared<door>();
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      for (int i = 0; i < 6; ++i) group.spawn(pass, std::ref(pool), first);
      co_await until([&] { return first->waiting == 2 && pool.statistics().queued == 4; });
      pool.set_size(4);
      co_await until([&] { return first->waiting == 4; });
      pool.set_size(1);
      first->open = true;
    });
    co_await until([&] { return pool.statistics().threads == 1; });
    co_await with_group([&](task_group& group) -> task<> {
      for (int i = 0; i < 3; ++i) group.spawn(pass, std::ref(pool), second);
      co_await until([&] { return second->waiting == 1; });
      second->open = true;
    });
  };
  run(main());
  EXPECT_EQ(first->most, 4);
  EXPECT_EQ(second->most, 1);
  EXPECT_EQ(pool.size(), 1U);
}

TEST(thread_pool, a_call_whose_waiter_went_before_it_began_never_runs) {
  thread_pool pool(1);
  auto busy = std::make_shared<door>();
  std::atomic<bool> ran{false};
  auto main = [&]() -> task<> {
    auto working = spawn(pass, std::ref(pool), busy);
    co_await until([&] { return busy->waiting == 1; });
    EXPECT_THROW(co_await timeout(1ms, pool.run([&] { ran = true; })), timed_out);
    EXPECT_EQ(pool.statistics().withdrawn, 1U);
    EXPECT_EQ(pool.statistics().queued, 0U);
    busy->open = true;
    co_await working;
  };
  run(main());
  EXPECT_FALSE(ran);
  EXPECT_EQ(abandoned_threads(), 0U);
}

TEST(thread_pool, shutdown_waits_for_its_calls_and_takes_no_more) {
  thread_pool pool(1, "closing");
  auto busy = std::make_shared<door>();
  auto main = [&]() -> task<> {
    auto working = spawn(pass, std::ref(pool), busy);
    auto queued = spawn(pass, std::ref(pool), busy);
    co_await until([&] { return busy->waiting == 1; });
    auto end = [&]() -> task<std::size_t> {
      const std::vector<abandoned_call> left = co_await pool.shutdown(1h);
      co_return left.size();
    };
    auto ending = spawn(end);
    co_await yield();
    co_await yield();
    EXPECT_THROW(co_await pool.run([] {}), pool_closed);
    busy->open = true;
    const std::size_t left = co_await ending;
    EXPECT_EQ(left, 0U);
    co_await working;
    co_await queued;
  };
  run(main());
}

TEST(thread_pool, what_does_not_return_in_time_is_abandoned_by_name) {
  thread_pool pool(1, "stuck");
  auto busy = std::make_shared<door>();
  std::vector<std::string> warnings;
  loop own;
  own.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  unsigned line = 0;
  auto import = [&]() -> task<> {
    auto call = [busy](const std::stop_token& told) {
      while (!told.stop_requested()) std::this_thread::yield();
      busy->pass();
    };
    line = __LINE__ + 1;
    co_await pool.run(std::move(call));
  };
  auto never = [&]() -> task<> { co_await pool.run([] { ADD_FAILURE() << "it ran"; }); };
  auto main = [&]() -> task<> {
    auto stuck = spawn(import);
    stuck.set_name("import");
    co_await until([&] { return pool.statistics().running == 1; });
    auto waiting = spawn(never);
    co_await yield();
    const std::vector<abandoned_call> left = co_await pool.shutdown(1ms);
    EXPECT_EQ(left.size(), 1U);
    EXPECT_EQ(left.front().name, "import");
    EXPECT_EQ(left.front().where.line(), line);
    EXPECT_THROW(co_await stuck, call_abandoned);
    EXPECT_THROW(co_await waiting, call_abandoned);
  };
  own.run(main());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings.front().find("call of task 'import' at "), std::string::npos);
  EXPECT_NE(warnings.front().find("thread_pool_test.cpp:" + std::to_string(line)),
            std::string::npos);
  ASSERT_EQ(abandoned_calls().size(), 1U);
  EXPECT_EQ(abandoned_calls().front().pool, "stuck");
  busy->open = true;
  while (abandoned_threads() != 0) std::this_thread::yield();
}

TEST(thread_pool, one_that_is_destroyed_abandons_what_runs) {
  auto busy = std::make_shared<door>();
  auto main = [&]() -> task<> {
    auto pool = std::make_unique<thread_pool>(1);
    auto working = spawn(pass, std::ref(*pool), busy);
    co_await until([&] { return busy->waiting == 1; });
    pool.reset();
    EXPECT_THROW(co_await working, call_abandoned);
    busy->open = true;
  };
  run(main());
  while (abandoned_threads() != 0) std::this_thread::yield();
}

TEST(thread_pool, no_threads_at_all_is_a_misuse) {
  EXPECT_DEATH(thread_pool(0), "a thread pool of no threads");
  thread_pool pool(1);
  EXPECT_DEATH(pool.set_size(0), "a thread pool of no threads");
}

TEST(thread_pool, each_of_two_shutdowns_ends_with_the_last_call) {
  thread_pool pool(1, "pool");
  std::atomic<bool> go = false;
  auto main = [&]() -> task<> {
    auto waits = [&] {
      while (!go) std::this_thread::yield();
    };
    auto calls = [&]() -> task<> { co_await pool.run(std::ref(waits)); };
    auto shuts_down = [&]() -> task<> { co_await pool.shutdown(1h); };
    const auto calling = spawn(std::ref(calls));
    while (pool.statistics().running == 0) co_await yield();
    const auto first = spawn(std::ref(shuts_down));
    const auto second = spawn(std::ref(shuts_down));
    co_await yield();
    co_await yield();
    go = true;
    co_await wait_for(first, 10s);
    co_await wait_for(second, 10s);
    co_await calling;
  };
  run(main());
}

}  // namespace
}  // namespace brigade
