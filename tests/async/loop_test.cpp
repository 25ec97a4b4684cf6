#include <brigade/async/cleanup.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<> worker_that_throws(queue<int>& orders) {
  auto order = co_await orders.take();
  throw std::runtime_error("the worker died");
}

task<> producer(queue<int>& orders) {
  for (int i = 0; i < 30; ++i) co_await orders.put(i);
}

// Full queue, dead consumers: the classic hang, named.
TEST(loop, posted_work_that_throws_is_reported_and_the_loop_goes_on) {
  loop own;
  std::string reported;
  own.on_unhandled = [&](const std::string& name, const std::exception_ptr& error) {
    reported += name + ": " + error_text(error) + ";";
  };
  auto main = [&]() -> task<int> {
    own.post([] { throw std::runtime_error("burnt"); });
    co_await sleep_for(1ms);
    co_return 42;
  };
  EXPECT_EQ(own.run(main()), 42);
  EXPECT_EQ(reported, "posted work: burnt;");
}

// Owns something that posts when it goes.
struct last_word {
  std::shared_ptr<detail::mailbox> box;
  ~last_word() {
    static_cast<void>(box->post([] {}));
  }
};

TEST(loop, work_dropped_with_its_loop_may_post_when_it_goes) {
  bool ran = false;
  {
    loop own;
    auto word = std::make_shared<last_word>(own.mailbox());
    own.post([&ran, word] { ran = true; });
  }
  EXPECT_FALSE(ran);
}

TEST(loop, a_producer_blocked_on_a_queue_whose_workers_died_is_a_deadlock_with_a_name) {
  virtual_loop loop;
  int reported = 0;
  loop.on_unhandled = [&](const std::string&, const std::exception_ptr&) { ++reported; };
  queue<int> orders{19, "orders"};
  auto main = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) spawn(worker_that_throws, std::ref(orders));
    auto handle = spawn(producer, std::ref(orders));
    handle.set_name("producer");
    co_await handle;
  };
  try {
    loop.run(main());
    FAIL() << "no deadlock was found";
  } catch (const deadlock& found) {
    const std::string text = found.what();
    EXPECT_NE(text.find("task 'producer' waits: put into queue 'orders' (19 of 19, full)"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("loop_test.cpp:"), std::string::npos) << text;
  }
  EXPECT_EQ(reported, 3);
}

TEST(loop, a_background_wait_does_not_hide_a_deadlock) {
  virtual_loop loop;
  auto ticks = []() -> task<> {
    for (;;) co_await sleep_for(1s);
  };
  auto main = [&]() -> task<> {
    auto ticker = spawn(ticks);
    ticker.set_background();
    event never{"never"};
    co_await never.wait();
  };
  EXPECT_THROW(loop.run(main()), deadlock);
}

TEST(loop, a_deadlocked_task_that_swallows_its_cancellation_is_destroyed) {
  virtual_loop loop;
  auto stubborn = [](event& never) -> task<> {
    for (int i = 0; i < 2; ++i) {
      cancel_scope scope;
      scope.shield();
      co_await never.wait();
    }
  };
  event never{"never"};
  EXPECT_THROW(loop.run(stubborn(never)), deadlock);
}

TEST(loop, work_posted_from_another_thread_wakes_it) {
  loop own;
  event ready;
  std::thread other;
  auto main = [&]() -> task<> {
    other = std::thread([&own, &ready] { own.post([&ready] { ready.set(); }); });
    own.outside_wait_begins(false);
    co_await ready.wait();
    own.outside_wait_ends(false);
  };
  own.run(main());
  other.join();
}

TEST(loop, seeds_change_the_order_and_repeat_it) {
  auto order_of = [](std::uint64_t seed) {
    virtual_loop loop(seed);
    std::string order;
    auto note = [](std::string& log, char id) -> task<> {
      co_await yield();
      log += id;
    };
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        for (const char id : {'a', 'b', 'c', 'd', 'e', 'f'}) {
          group.spawn(note, std::ref(order), id);
        }
      });
    };
    loop.run(main());
    return order;
  };
  EXPECT_EQ(order_of(3), order_of(3));
  EXPECT_NE(order_of(1), order_of(2));
}

TEST(loop, a_task_whose_queue_is_always_ready_does_not_starve_the_others) {
  virtual_loop loop;
  queue<int> jobs{1000};
  auto greedy = [](queue<int>& own, bool& stop) -> task<> {
    while (!stop) {
      co_await own.put(1);
      auto job = co_await own.take();
    }
  };
  auto main = [&]() -> task<> {
    bool stop = false;
    auto handle = spawn(greedy, std::ref(jobs), std::ref(stop));
    for (int i = 0; i < 10; ++i) co_await yield();
    stop = true;
    co_await handle;
  };
  loop.run(main());
}

// Die at every step: stop after i steps and destroy everything; nothing may crash or leak.
TEST(loop, can_be_ended_after_any_step) {
  for (std::uint64_t stop = 0; stop < 120; ++stop) {
    virtual_loop loop(stop);
    loop.set_leftover_timeout(0s);
    queue<std::string> jobs{2};
    auto put = [](queue<std::string>& to) -> task<> {
      for (int i = 0; i < 10; ++i) co_await to.put("a string that is not a small one at all");
      to.close();
    };
    auto take = [](queue<std::string>& from) -> task<> {
      while (auto job = co_await from.take()) co_await sleep_for(1ms);
    };
    auto group_of = [&](queue<std::string>& shared) -> task<> {
      co_await with_group([&](task_group& group) {
        group.spawn(put, std::ref(shared));
        group.spawn(take, std::ref(shared));
        group.spawn(take, std::ref(shared));
      });
    };
    auto main = [&]() -> task<> {
      spawn(group_of, std::ref(jobs));
      while (loop.steps() < stop) co_await yield();
    };
    ::testing::internal::CaptureStderr();
    loop.run(main());
    ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(loop.task_count(), 0U);
  }
}

// At every step of a run in turn: whatever was being done, the frames go and nothing runs after.
TEST(virtual_loop, killed_after_n_steps_destroys_each_frame_where_it_waits) {
  struct counted {
    explicit counted(int& count_) : count(count_) { ++count; }
    ~counted() { --count; }
    int& count;
  };
  std::uint64_t steps = 1;
  for (bool killed = true; killed; ++steps) {
    virtual_loop loop(steps);
    int alive = 0;
    auto child = [](int& count) -> task<> {
      const counted here(count);
      for (int i = 0; i < 4; ++i) co_await sleep_for(1ms);
    };
    auto main = [&]() -> task<> {
      const counted here(alive);
      spawn(child, std::ref(alive));
      co_await with_group([&](task_group& group) {
        group.spawn(child, std::ref(alive));
        group.spawn(child, std::ref(alive));
      });
    };
    loop.kill_after(steps);
    try {
      loop.run(main());
    } catch (const cancelled&) {
      EXPECT_TRUE(loop.killed());
    }
    killed = loop.killed();
    EXPECT_EQ(alive, 0) << steps;
    EXPECT_EQ(loop.task_count(), 0U);
  }
  EXPECT_GT(steps, 15U);
}

TEST(loop, tasks_left_over_may_be_given_the_longest_time_there_is) {
  virtual_loop loop;
  loop.set_leftover_timeout(std::chrono::nanoseconds::max());
  loop.on_warning = [](const std::string& text) { ADD_FAILURE() << text; };
  bool cleaned_up = false;
  auto cleans_up = [&]() -> task<> {
    auto for_ever = []() -> task<> { co_await sleep_for(24h); };
    auto slowly = [&]() -> task<> {
      co_await sleep_for(1h);
      cleaned_up = true;
    };
    co_await with_cleanup(for_ever, slowly, 2h);
  };
  auto main = [&]() -> task<> {
    spawn(std::ref(cleans_up));
    co_await yield();
    co_await yield();
  };
  loop.run(main());
  EXPECT_TRUE(cleaned_up);
}

TEST(loop, what_was_posted_before_the_main_task_ended_is_run) {
  int run_so_far = 0;
  {
    loop here;
    auto main = [&]() -> task<> {
      promise<int> answer;
      future<int> seen = answer.get_future();
      seen.add_done_callback([&] { ++run_so_far; });
      answer.set_value(7);
      here.post([&] { ++run_so_far; });
      co_return;
    };
    here.run(main());
  }
  EXPECT_EQ(run_so_far, 2);
}

}  // namespace
}  // namespace brigade
