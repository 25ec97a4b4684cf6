#include <brigade/async/error.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/shared_queue.hpp>
#include <brigade/async/threads.hpp>
#include <brigade/async/timeout.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;

TEST(threads, each_loop_has_a_thread_of_its_own_and_results_come_by_index) {
  std::vector<std::thread::id> ids(3);
  auto main = [&](std::size_t index) -> task<std::string> {
    ids[index] = std::this_thread::get_id();
    co_await yield();
    co_return "loop " + std::to_string(index);
  };
  const std::vector<std::string> results = run_threads(3, main);
  EXPECT_EQ(results, (std::vector<std::string>{"loop 0", "loop 1", "loop 2"}));
  EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), 3U);
}

TEST(threads, the_first_error_cancels_the_others_and_is_thrown) {
  std::atomic<int> cleaned_up{0};
  struct cleanup {
    std::atomic<int>& count;
    ~cleanup() { ++count; }
  };
  auto main = [&](std::size_t index) -> task<> {
    const cleanup at_end{cleaned_up};
    if (index == 1) throw std::runtime_error("the second one");
    co_await sleep_for(1h);
  };
  try {
    run_threads(3, main);
    FAIL() << "no error came out";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the second one");
  }
  EXPECT_EQ(cleaned_up, 3);
}

TEST(threads, a_stop_from_outside_cancels_all_of_them) {
  std::stop_source stop;
  std::atomic<int> waiting{0};
  std::jthread outside([&] {
    while (waiting != 2) std::this_thread::yield();
    stop.request_stop();
  });
  auto main = [&](std::size_t) -> task<> {
    ++waiting;
    co_await sleep_for(1h);
  };
  EXPECT_THROW(run_threads(2, main, stop.get_token()), cancelled);
}

TEST(threads, a_main_task_may_end_well_although_it_was_stopped) {
  std::stop_source stop;
  stop.request_stop();
  auto main = [](std::size_t index) -> task<std::size_t> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled&) {
    }
    co_return index;
  };
  EXPECT_THROW(run_threads(2, main, stop.get_token()), cancelled);
}

TEST(threads, on_a_thread_that_runs_a_loop_it_is_refused) {
  auto inner = [](std::size_t) -> task<> { co_return; };
  auto main = [&]() -> task<> {
    run_threads(2, inner);
    co_return;
  };
  EXPECT_THROW(run(main()), invalid_state);
}

TEST(threads, no_threads_at_all_is_a_misuse) {
  auto main = [](std::size_t) -> task<> { co_return; };
  EXPECT_DEATH(run_threads(0, main), "run_threads of no threads");
}

TEST(threads, loops_that_all_wait_for_each_other_are_named) {
  shared_queue<int> orders(1, "orders");
  shared_queue<int> answers(1, "answers");
  auto main = [&](std::size_t index) -> task<> {
    current_task().set_name(index == 0 ? "asks" : "cooks");
    shared_queue<int>& from = index == 0 ? answers : orders;
    auto ticket = co_await from.take();
    ADD_FAILURE() << "nobody put anything";
  };
  std::string text;
  try {
    run_threads(2, main);
  } catch (const deadlock& found) {
    text = found.what();
  }
  EXPECT_NE(text.find("'asks' waits: take from shared queue 'answers' (0 of 1, empty)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("'cooks' waits: take from shared queue 'orders' (0 of 1, empty)"),
            std::string::npos)
      << text;
}

TEST(threads, the_last_that_could_have_acted_has_ended) {
  shared_queue<int> orders(1, "orders");
  auto main = [&](std::size_t index) -> task<> {
    if (index == 0) {
      co_await orders.put(1);
      co_await orders.put(2);
    }
  };
  EXPECT_THROW(run_threads(2, main), deadlock);
}

TEST(threads, as_long_as_one_may_act_the_others_wait) {
  shared_queue<int> orders(1, "orders");
  auto main = [&](std::size_t index) -> task<int> {
    if (index == 0) {
      auto ticket = co_await orders.take();
      co_return *ticket;
    }
    for (int turn = 0; turn < 3; ++turn) co_await sleep_for(1ms);
    co_await orders.put(7);
    co_return 0;
  };
  EXPECT_EQ(run_threads(2, main).front(), 7);
}

TEST(threads, a_thread_with_an_end_may_act_until_it_blocks_or_lets_go) {
  shared_queue<int> orders(1, "orders");
  std::atomic<bool> waits{false};
  auto end = std::make_unique<shared_queue<int>::blocking_end>(orders);
  std::jthread outside([&] {
    while (!waits) std::this_thread::yield();
    end->put(1);
    end.reset();
  });
  int got = 0;
  auto main = [&](std::size_t index) -> task<> {
    if (index == 1) co_return;
    waits = true;
    {
      auto ticket = co_await orders.take();
      got = *ticket;
    }
    static_cast<void>(co_await orders.take());
  };
  EXPECT_THROW(run_threads(2, main), deadlock);
  EXPECT_EQ(got, 1);
}

}  // namespace
}  // namespace brigade
