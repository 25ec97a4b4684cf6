#include <brigade/async/future.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using strings = std::vector<std::string>;

task<> reads(future<int> from, int& into) { into = co_await from; }
task<> watches(future<int> from, int& into) { into = co_await from.wait(); }

TEST(future, wakes_all_who_await_it_and_never_inside_set_value) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    promise<int> answer;
    int a = 0;
    int b = 0;
    auto first = spawn(reads, answer.get_future(), std::ref(a));
    auto second = spawn(watches, answer.get_future(), std::ref(b));
    co_await yield();
    EXPECT_EQ(answer.get_future().statistics().waiting, 2U);
    answer.set_value(42);
    EXPECT_EQ(a + b, 0);
    co_await first;
    co_await second;
    EXPECT_EQ(a, 42);
    EXPECT_EQ(b, 42);
  };
  loop.run(main());
}

TEST(future, is_cancelled_with_who_awaits_it_and_not_with_who_only_waits) {
  for (const bool only_waits : {false, true}) {
    virtual_loop loop;
    auto main = [&]() -> task<> {
      promise<int> answer;
      int got = 0;
      int other_got = 0;
      auto other = spawn(watches, answer.get_future(), std::ref(other_got));
      auto goes = only_waits ? spawn(watches, answer.get_future(), std::ref(got))
                             : spawn(reads, answer.get_future(), std::ref(got));
      co_await yield();
      goes.cancel("enough");
      co_await sleep_for(1ms);
      EXPECT_TRUE(goes.cancelled());
      EXPECT_EQ(answer.cancelled(), !only_waits);
      EXPECT_EQ(other.done(), !only_waits);
      answer.try_set_value(7);
      co_await sleep_for(1ms);
      EXPECT_EQ(other_got, only_waits ? 7 : 0);
      EXPECT_EQ(other.cancelled(), !only_waits);
    };
    loop.run(main());
  }
}

TEST(future, says_why_it_was_cancelled) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    promise<int> answer;
    answer.cancel("the shop is closed");
    std::string why;
    try {
      co_await answer.get_future();
    } catch (const cancelled& by) {
      why = by.reason();
    }
    EXPECT_EQ(why, "the shop is closed");
  };
  loop.run(main());
}

TEST(future, awaited_by_a_task_that_is_being_cancelled_is_cancelled_with_it) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    promise<int> answer;
    auto cancels_itself = [](future<int> from) -> task<> {
      current_task().cancel();
      co_await from;
    };
    auto goes = spawn(cancels_itself, answer.get_future());
    co_await sleep_for(1ms);
    EXPECT_TRUE(goes.cancelled());
    EXPECT_TRUE(answer.cancelled());
  };
  loop.run(main());
}

TEST(future, whose_value_came_with_the_cancellation_of_one_waiter_keeps_it) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    promise<int> answer;
    int got = 0;
    auto goes = spawn(reads, answer.get_future(), std::ref(got));
    co_await yield();
    answer.set_value(42);
    goes.cancel();
    co_await sleep_for(1ms);
    EXPECT_TRUE(goes.cancelled());
    EXPECT_EQ(got, 0);
    EXPECT_EQ(answer.get_future().result(), 42);
  };
  loop.run(main());
}

TEST(future, ends_by_broken_promise_when_the_promise_is_dropped) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    std::optional<promise<int>> answer(std::in_place, "answer");
    const future<int> f = answer->get_future();
    answer.reset();
    std::string why;
    try {
      co_await f;
    } catch (const broken_promise& broken) {
      why = broken.what();
    }
    EXPECT_EQ(why, "the promise of future 'answer' was dropped without a value");
  };
  loop.run(main());
}

TEST(future, with_an_error_nobody_read_is_reported_once_also_when_the_loop_goes_first) {
  for (const bool loop_goes_first : {false, true}) {
    int reported = 0;
    std::optional<future<int>> kept;
    {
      virtual_loop loop;
      loop.on_unhandled = [&](const std::string&, const std::exception_ptr&) { ++reported; };
      promise<int> answer(loop);
      if (loop_goes_first) kept = answer.get_future();
      const future<int> f = answer.get_future();
      answer.set_error(std::make_exception_ptr(std::runtime_error("unread")));
      EXPECT_EQ(reported, 0);
    }
    EXPECT_EQ(reported, 1);
    kept.reset();
    EXPECT_EQ(reported, 1);
  }
}

TEST(future, may_outlive_its_loop) {
  std::optional<promise<int>> answer;
  {
    virtual_loop loop;
    answer.emplace(loop);
  }
  const future<int> f = answer->get_future();
  bool called = false;
  future<int>(f).add_done_callback([&] { called = true; });
  answer->set_value(3);
  EXPECT_EQ(f.result(), 3);
  EXPECT_FALSE(called);
}

TEST(future, gives_what_cannot_be_copied_once) {
  virtual_loop loop;
  promise<std::unique_ptr<int>> answer(loop, "answer");
  answer.set_value(std::make_unique<int>(5));
  const auto f = answer.get_future();
  EXPECT_EQ(*f.result(), 5);
  EXPECT_THROW(static_cast<void>(f.result()), invalid_state);
}

TEST(future, ended_by_an_error_that_is_a_cancellation_is_cancelled) {
  virtual_loop loop;
  promise<> done(loop);
  done.set_error(std::make_exception_ptr(cancelled("elsewhere")));
  EXPECT_TRUE(done.cancelled());
  EXPECT_FALSE(done.try_set_value());
  EXPECT_FALSE(done.try_set_error(std::make_exception_ptr(cancelled("again"))));
}

TEST(future, calls_back_on_a_later_turn_when_it_is_done_already) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    promise<> done;
    done.set_value();
    int calls = 0;
    done.get_future().add_done_callback([&] { ++calls; });
    EXPECT_EQ(calls, 0);
    co_await sleep_for(1ms);
    EXPECT_EQ(calls, 1);
  };
  loop.run(main());
}

TEST(future, is_named_when_it_is_what_a_deadlocked_task_waits_for) {
  virtual_loop loop;
  promise<int> answer(loop, "answer");
  auto main = [&]() -> task<> { co_await answer.get_future().wait(); };
  std::string text;
  try {
    loop.run(main());
  } catch (const deadlock& found) {
    text = found.what();
  }
  EXPECT_NE(text.find("task 'main' waits: future 'answer', at "), std::string::npos) << text;
  EXPECT_NE(text.find("future_test.cpp:"), std::string::npos) << text;
}

TEST(future, of_another_loop_cannot_be_awaited) {
  virtual_loop other;
  promise<int> answer(other);
  virtual_loop loop;
  auto main = [&]() -> task<> {
    bool refused = false;
    try {
      co_await answer.get_future();
    } catch (const invalid_state&) {
      refused = true;
    }
    EXPECT_TRUE(refused);
  };
  loop.run(main());
}

TEST(future, survives_the_frames_that_await_it) {
  for (std::uint64_t steps = 1; steps < 8; ++steps) {
    virtual_loop loop;
    loop.kill_after(steps);
    promise<int> answer(loop);
    auto main = [&]() -> task<> {
      int got = 0;
      auto first = spawn(reads, answer.get_future(), std::ref(got));
      auto second = spawn(watches, answer.get_future(), std::ref(got));
      co_await yield();
      answer.set_value(1);
      co_await first;
      co_await second;
    };
    try {
      loop.run(main());
    } catch (const cancelled&) {
      EXPECT_TRUE(loop.killed());
    }
    EXPECT_EQ(answer.get_future().statistics().waiting, 0U);
  }
}

TEST(thread_future, dropped_by_its_thread_is_a_broken_promise_and_no_deadlock) {
  auto main = []() -> task<> {
    auto [there, here] = make_thread_future<int>("answer");
    std::thread worker([](thread_promise<int>) {}, std::move(there));
    bool broken = false;
    try {
      co_await here;
    } catch (const broken_promise&) {
      broken = true;
    }
    EXPECT_TRUE(broken);
    worker.join();
  };
  run(main());
}

TEST(thread_future, takes_an_error_and_is_settled_once) {
  auto main = []() -> task<> {
    auto [there, here] = make_thread_future<>();
    std::thread worker(
        [](thread_promise<> done) {
          done.set_error(std::make_exception_ptr(std::runtime_error("in the thread")));
          EXPECT_THROW(done.set_value(), invalid_state);
        },
        std::move(there));
    std::string why;
    try {
      co_await here;
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
    EXPECT_EQ(why, "in the thread");
    worker.join();
  };
  run(main());
}

TEST(thread_future, whose_loop_is_gone_is_set_in_vain) {
  std::optional<thread_promise<int>> kept;
  auto main = [&]() -> task<> {
    auto [there, here] = make_thread_future<int>();
    kept.emplace(std::move(there));
    co_await yield();
  };
  run(main());
  kept->set_value(1);
  EXPECT_FALSE(kept->stop_token().stop_requested());
}

}  // namespace
}  // namespace brigade
