// How a queue ends: join, with and without a limit, and get() beside tickets.
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<> join(queue<int>& of) { co_await of.join(); }
task<> hold(queue<int>& from, std::chrono::nanoseconds how_long) {
  auto item = co_await from.take();
  co_await sleep_for(how_long);
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(join, counts_tickets_and_gets_together) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    for (int i = 0; i < 2; ++i) co_await q.put(i);
    auto waiting = spawn(join, std::ref(q));
    auto item = co_await q.take();
    EXPECT_EQ(co_await q.get(), 1);
    q.task_done();
    co_await yield();
    EXPECT_FALSE(waiting.done());
    EXPECT_DEATH(q.task_done(), "task_done\\(\\) was called more often");  // that is the ticket's
    item.done();
    co_await waiting;
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().done, 2U);
}

TEST(join, looks_again_when_there_was_a_put_before_it_ran) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto waiting = spawn(join, std::ref(q));
    co_await yield();
    co_await q.get();
    q.task_done();      // wakes the one who joins
    co_await q.put(2);  // before its turn
    co_await sleep_for(1s);
    EXPECT_FALSE(waiting.done());
    co_await q.get();
    q.task_done();
    co_await waiting;
  };
  loop.run(main());
}

TEST(join, with_a_limit_says_that_it_was_in_time) {
  virtual_loop loop;
  queue<int> q{8, "orders"};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto cook = spawn(hold, std::ref(q), 5s);
    const auto start = loop.now();
    auto result = co_await q.join(60s);
    EXPECT_TRUE(result);
    EXPECT_EQ(result.text, "queue 'orders': everything is settled");
    EXPECT_EQ(loop.now() - start, 5s);
  };
  loop.run(main());
}

TEST(join, with_a_limit_names_who_holds_what) {
  virtual_loop loop;
  queue<int> q{queue<int>::options(8).name("orders").note_holders()};
  auto main = [&]() -> task<> {
    for (int i = 0; i < 4; ++i) co_await q.put(i);
    auto quick = spawn(hold, std::ref(q), 1s);
    auto slow = spawn(hold, std::ref(q), 1h);
    slow.set_name("slow cook");
    co_await sleep_for(2s);
    auto mine = co_await q.take();
    q.close();
    auto result = co_await q.join(10s);
    EXPECT_FALSE(result);
    EXPECT_EQ(result.queued, 1U);
    EXPECT_EQ(result.held, 2U);
    EXPECT_EQ(result.holders.size(), 2U);
    const item_holder& first = result.holders.front();
    EXPECT_EQ(first.task, "slow cook");
    EXPECT_EQ(first.held_for, 12s);
    EXPECT_TRUE(contains(first.where.file_name(), "queue_join_test.cpp"));
    EXPECT_TRUE(contains(result.text,
                         "queue 'orders': 3 unfinished: 1 queued, 2 taken and not "
                         "settled; it is closed\n  task 'slow cook' has held 1 for "
                         "12 s, taken at "))
        << result.text;
    EXPECT_TRUE(contains(result.text, "task 'main' has held 1 for 10 s"));
    slow.cancel();
  };
  loop.run(main());
}

TEST(join, a_batch_is_noted_as_one_and_forgotten_when_it_is_settled) {
  virtual_loop loop;
  queue<int> q{queue<int>::options(8).note_holders()};
  auto main = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) co_await q.put(i);
    auto some = co_await q.take_batch(3);
    auto moved = std::move(some);
    auto early = co_await q.join(0s);
    EXPECT_EQ(early.holders.size(), 1U);
    EXPECT_EQ(early.holders.front().items, 3U);
    auto one = moved.split(0);
    moved.done();
    auto late = co_await q.join(0s);
    EXPECT_EQ(late.holders.size(), 1U);
    EXPECT_EQ(late.holders.front().items, 1U);
    one.give_back();
    auto back = co_await q.join(0s);
    EXPECT_TRUE(back.holders.empty());
    EXPECT_EQ(back.queued, 1U);
  };
  loop.run(main());
}

TEST(join, with_a_limit_says_how_to_learn_the_holders_when_it_does_not_know) {
  virtual_loop loop;
  queue<int> q{8, "orders"};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto mine = co_await q.take();
    auto result = co_await q.join(1s);
    EXPECT_EQ(result.text,
              "queue 'orders': 1 unfinished: 0 queued, 1 taken and not settled (a queue made with "
              "note_holders() says by whom)");
  };
  loop.run(main());
}

TEST(join, with_a_limit_is_cancelled_like_any_wait) {
  virtual_loop loop;
  queue<int> q{8};
  auto joiner = [](queue<int>& of) -> task<> { static_cast<void>(co_await of.join(1h)); };
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto waiting = spawn(joiner, std::ref(q));
    co_await sleep_for(1s);
    waiting.cancel("enough");
    EXPECT_THROW(co_await waiting, cancelled);
  };
  loop.run(main());
}

// Nobody will ever settle it: the loop says so, and does not hang.
TEST(join, of_a_closed_queue_that_nobody_drains_is_a_deadlock_with_a_name) {
  virtual_loop loop;
  queue<int> q{8, "orders"};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto held = co_await q.take();
    co_await q.put(2);
    q.close();
    co_await q.join();
  };
  try {
    loop.run(main());
    ADD_FAILURE() << "it returned";
  } catch (const deadlock& stuck) {
    EXPECT_TRUE(contains(stuck.what(),
                         "join of queue 'orders' (1 of 8, 2 unfinished, 1 of them taken and not "
                         "settled, closed)"))
        << stuck.what();
  }
}

TEST(join, of_an_aborted_queue_waits_for_what_was_taken) {
  virtual_loop loop;
  queue<int> q{8, "orders"};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    co_await q.put(2);
    auto held = co_await q.take();
    EXPECT_EQ(q.abort(), std::vector<int>{2});
    auto result = co_await q.join(1s);
    EXPECT_EQ(result.held, 1U);
    EXPECT_EQ(result.queued, 0U);
    held.done();
    co_await q.join();
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().returned, 1U);
}

TEST(join, a_queue_does_not_end_while_somebody_joins_it) {
  EXPECT_DEATH(
      {
        virtual_loop loop;
        auto main = []() -> task<> {
          task_handle<> waiting = [] {
            queue<int> q{8};
            int item = 1;
            static_cast<void>(q.try_put(item));
            auto handle = spawn(eager, join, std::ref(q));
            return handle;
          }();
          co_await waiting;
        };
        loop.run(main());
      },
      "a queue was destroyed while a task waits to join it");
}

TEST(join, a_worker_that_fails_does_not_hold_it_up) {
  virtual_loop loop;
  queue<int> q{8};
  auto worker = [](queue<int>& from) -> task<> {
    auto item = co_await from.take();
    throw std::runtime_error("spoiled");  // and nobody has called task_done()
  };
  auto main = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) {
      co_await q.put(i);
      spawn(worker, std::ref(q));
    }
    co_await q.join();
  };
  loop.on_unhandled = [](const std::string&, const std::exception_ptr&) {};
  loop.run(main());
  EXPECT_EQ(q.statistics().failed, 3U);
}

TEST(get, throws_once_the_queue_is_closed_and_drained) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    q.close();
    EXPECT_EQ(co_await q.get(), 1);
    EXPECT_THROW(static_cast<void>(co_await q.get()), queue_closed);
    EXPECT_THROW(static_cast<void>(q.try_get()), queue_closed);
    q.task_done();
  };
  loop.run(main());
}

TEST(get, cancelled_after_its_grant_passes_the_item_on) {
  virtual_loop loop;
  queue<int> q{8};
  auto getter = [](queue<int>& from) -> task<int> { co_return co_await from.get(); };
  auto main = [&]() -> task<> {
    auto one = spawn(getter, std::ref(q));
    auto two = spawn(getter, std::ref(q));
    co_await yield();
    int item = 7;
    EXPECT_TRUE(q.try_put(item));
    one.cancel();
    EXPECT_EQ(co_await two, 7);
    EXPECT_TRUE(one.cancelled());
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
