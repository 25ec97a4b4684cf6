#include <brigade/async/error.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/shared_queue.hpp>
#include <brigade/async/threads.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using ints = shared_queue<int>;

template <class F>
void on_a_loop(F body) {
  testing::virtual_loop own;
  own.run(body());
}

task<int> take_one(ints& queue) {
  auto ticket = co_await queue.take();
  co_return ticket ? *ticket : -1;
}
task<> put_one(ints& queue, int item) { co_await queue.put(item); }

task<std::vector<int>> take_all(ints& queue) {
  std::vector<int> items;
  while (auto ticket = co_await queue.take()) items.push_back(*ticket);
  co_return items;
}

TEST(shared_queue, within_a_loop_it_is_a_queue) {
  ints queue(2, "orders");
  on_a_loop([&]() -> task<> {
    auto taker = spawn(take_all, std::ref(queue));
    for (int item = 0; item < 10; ++item) co_await queue.put(item);
    queue.close();
    const std::vector<int> got = co_await taker;
    std::vector<int> expected(10);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(got, expected);
    EXPECT_THROW(co_await queue.put(1), queue_closed);
    int item = 2;
    EXPECT_THROW(queue.try_put(item), queue_closed);
  });
  EXPECT_EQ(queue.statistics().done, 10U);
  EXPECT_EQ(queue.unfinished(), 0U);
}

TEST(shared_queue, waiters_are_served_in_order_and_newcomers_pass_nobody) {
  ints queue(1, "orders");
  on_a_loop([&]() -> task<> {
    co_await queue.put(1);
    auto second = spawn(put_one, std::ref(queue), 2);
    auto third = spawn(put_one, std::ref(queue), 3);
    co_await yield();
    EXPECT_EQ(queue.statistics().putters_waiting, 2U);
    auto first = queue.try_take();
    EXPECT_EQ(**first, 1);
    int thief = 9;
    EXPECT_FALSE(queue.try_put(thief));
    const int two = co_await take_one(queue);
    const int three = co_await take_one(queue);
    EXPECT_EQ(two, 2);
    EXPECT_EQ(three, 3);
    auto getter = spawn(take_one, std::ref(queue));
    co_await yield();
    co_await queue.put(4);
    EXPECT_FALSE(queue.try_take());
    const int four = co_await getter;
    EXPECT_EQ(four, 4);
    first->done();
    co_await second;
    co_await third;
  });
}

TEST(shared_queue, a_cancelled_waiter_passes_its_promise_on) {
  ints queue(1, "orders");
  on_a_loop([&]() -> task<> {
    auto first = spawn(take_one, std::ref(queue));
    auto second = spawn(take_one, std::ref(queue));
    co_await yield();
    int item = 1;
    EXPECT_TRUE(queue.try_put(item));
    first.cancel();
    const int got = co_await second;
    EXPECT_EQ(got, 1);

    item = 2;
    EXPECT_TRUE(queue.try_put(item));
    auto third = spawn(put_one, std::ref(queue), 3);
    auto fourth = spawn(put_one, std::ref(queue), 4);
    co_await yield();
    queue.try_take()->done();
    third.cancel();
    co_await fourth;
    const int left = co_await take_one(queue);
    EXPECT_EQ(left, 4);
    EXPECT_EQ(queue.size(), 0U);
  });
}

TEST(shared_queue, a_take_that_is_cancelled_can_end_instead_of_throwing) {
  ints queue(1);
  auto patient = [&]() -> task<bool> {
    auto ticket = co_await queue.take(on_cancel::end);
    co_return ticket.why() == shared_ticket<int>::end::cancelled;
  };
  on_a_loop([&]() -> task<> {
    auto waiting = spawn(patient);
    co_await yield();
    waiting.cancel();
    EXPECT_TRUE(co_await waiting);
  });
}

TEST(shared_queue, tickets_settle_once_and_join_waits_for_them) {
  ints queue(4, "orders");
  auto fails = [&]() -> task<> {
    auto ticket = co_await queue.take();
    throw std::runtime_error("spoiled");
  };
  auto cancelled_later = [&]() -> task<> {
    auto ticket = co_await queue.take();
    co_await sleep_for(1h);
  };
  on_a_loop([&]() -> task<> {
    for (int item = 0; item < 4; ++item) co_await queue.put(item);
    EXPECT_THROW(co_await fails(), std::runtime_error);
    EXPECT_THROW(co_await timeout(1ms, cancelled_later()), timed_out);
    auto ticket = co_await queue.take();
    ticket.give_back();
    EXPECT_EQ(queue.size(), 2U);
    auto joined = spawn([](ints& all) -> task<> { co_await all.join(); }, std::ref(queue));
    co_await yield();
    auto batch = co_await queue.take_batch(10);
    EXPECT_EQ(batch.size(), 2U);
    EXPECT_EQ(*batch.front(), 2);
    EXPECT_FALSE(joined.done());
    batch.front().done();
    batch.back().fail();
    co_await joined;
  });
  const queue_statistics seen = queue.statistics();
  EXPECT_EQ(seen.done, 1U);
  EXPECT_EQ(seen.failed, 2U);
  EXPECT_EQ(seen.abandoned, 1U);
}

TEST(shared_queue, abort_gives_back_what_nobody_took_also_what_was_promised) {
  ints queue(3, "orders");
  on_a_loop([&]() -> task<> {
    auto getter = spawn(take_one, std::ref(queue));
    co_await yield();
    for (int item = 1; item <= 3; ++item) co_await queue.put(item);
    auto putter = spawn(put_one, std::ref(queue), 4);
    co_await yield();
    EXPECT_EQ(co_await getter, 1);
    co_await putter;
    auto blocked = spawn(put_one, std::ref(queue), 5);
    auto second = spawn(take_one, std::ref(queue));
    co_await yield();
    const std::vector<int> left = queue.abort();
    EXPECT_FALSE(left.empty());
    EXPECT_THROW(co_await blocked, queue_closed);
    const int got = co_await second;
    EXPECT_EQ(left.size() + (got == -1 ? 0 : 1), 3U);
    EXPECT_EQ(queue.unfinished(), 0U);
  });
}

TEST(shared_queue, tells_what_is_promised_and_what_was_returned) {
  ints queue(2, "orders");
  on_a_loop([&]() -> task<> {
    auto getter = spawn(take_one, std::ref(queue));
    co_await yield();
    for (int item = 1; item <= 2; ++item) co_await queue.put(item);
    auto putter = spawn(put_one, std::ref(queue), 3);
    EXPECT_EQ(queue.statistics().granted, 1U);
    EXPECT_EQ(co_await getter, 1);
    co_await putter;
    auto blocked = spawn(put_one, std::ref(queue), 4);
    co_await yield();
    auto ticket = queue.try_take();
    EXPECT_EQ(queue.statistics().reserved, 1U);
    co_await blocked;
    EXPECT_EQ(queue.abort().size(), 2U);
    ticket->done();
  });
  const queue_statistics seen = queue.statistics();
  EXPECT_EQ(seen.granted, 0U);
  EXPECT_EQ(seen.reserved, 0U);
  EXPECT_EQ(seen.returned, 2U);
  EXPECT_EQ(seen.put, seen.done + seen.returned);
}

TEST(shared_queue, whatever_step_it_dies_at_the_count_is_right) {
  const auto life = [](testing::virtual_loop& own) {
    ints queue(2, "orders");
    auto cook = [](ints& from) -> task<> {
      while (auto ticket = co_await from.take()) co_await yield();
    };
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) -> task<> {
        for (int i = 0; i < 2; ++i) group.spawn(cook, std::ref(queue));
        for (int item = 0; item < 6; ++item) co_await queue.put(item);
        co_await queue.join();
        queue.close();
      });
    };
    try {
      own.run(main());
    } catch (const cancelled&) {
    }
    const queue_statistics end = queue.statistics();
    EXPECT_EQ(end.put, end.done + end.failed + end.abandoned + queue.size());
    EXPECT_LE(queue.size(), 2U);
  };
  testing::virtual_loop whole;
  life(whole);
  for (std::uint64_t step = 1; step < whole.steps(); ++step) {
    testing::virtual_loop own(step);
    own.kill_after(step);
    life(own);
  }
}

TEST(shared_queue, items_go_from_loop_to_loop_in_order) {
  ints queue(4, "orders");
  auto main = [&](std::size_t index) -> task<std::vector<int>> {
    if (index == 1) co_return co_await take_all(queue);
    for (int item = 0; item < 1000; ++item) co_await queue.put(item);
    queue.close();
    co_return std::vector<int>();
  };
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(run_threads(2, main).back(), expected);
}

TEST(shared_queue, a_capacity_of_one_is_enough_for_many_loops) {
  ints queue(1, "orders");
  std::atomic<int> producers{2};
  auto main = [&](std::size_t index) -> task<int> {
    int sum = 0;
    if (index < 2) {
      for (int item = 1; item <= 100; ++item) co_await queue.put(item);
      if (--producers == 0) queue.close();
    } else {
      while (auto ticket = co_await queue.take()) sum += *ticket;
    }
    co_return sum;
  };
  const std::vector<int> sums = run_threads(4, main);
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), 0), 2 * 5050);
}

TEST(shared_queue, a_loop_that_never_runs_dry_does_not_starve_the_others_items) {
  ints queue(64, "orders");
  std::atomic<bool> seen{false};
  auto feed = [&]() -> task<> {
    while (!seen) co_await queue.put(0);
  };
  auto eat = [&]() -> task<> {
    while (!seen) {
      auto ticket = co_await queue.take();
      if (*ticket == 1) seen = true;
    }
  };
  auto main = [&](std::size_t index) -> task<> {
    if (index == 0) co_return co_await queue.put(1);
    co_await with_group([&](task_group& group) {
      group.spawn(feed);
      group.spawn(eat);
    });
  };
  run_threads(2, main);
  EXPECT_TRUE(seen);
}

TEST(shared_queue, join_hears_of_items_settled_on_another_loop) {
  ints queue(8, "orders");
  auto main = [&](std::size_t index) -> task<> {
    if (index == 1) {
      while (auto ticket = co_await queue.take()) co_await yield();
      co_return;
    }
    for (int item = 0; item < 50; ++item) co_await queue.put(item);
    co_await queue.join();
    EXPECT_EQ(queue.unfinished(), 0U);
    queue.close();
  };
  run_threads(2, main);
}

TEST(shared_queue, what_a_loop_leaves_behind_is_for_the_others) {
  ints queue(8, "orders");
  auto puts = [&]() -> task<> {
    for (int item = 0; item < 8; ++item) co_await queue.put(item);
  };
  run(puts());
  EXPECT_EQ(queue.size(), 8U);
  auto takes = [&]() -> task<std::size_t> {
    std::size_t count = 0;
    while (auto ticket = queue.try_take()) ++count;
    co_return count;
  };
  EXPECT_EQ(run(takes()), 8U);
}

TEST(shared_queue, a_thread_without_a_loop_puts_and_takes) {
  ints orders(2, "orders");
  ints answers(2, "answers");
  std::vector<int> got;
  {
    ints::blocking_end asks(orders);
    ints::blocking_end hears(answers);
    EXPECT_FALSE(hears.take_for(1ms));
    std::jthread loops([&] {
      auto main = [&](std::size_t) -> task<> {
        while (auto ticket = co_await orders.take()) co_await answers.put(2 * *ticket);
      };
      run_threads(2, main);
      answers.close();
    });
    std::jthread feeds([&] {
      for (int item = 1; item <= 50; ++item) asks.put(item);
      orders.close();
      EXPECT_THROW(asks.put(1), queue_closed);
    });
    while (auto ticket = hears.take()) got.push_back(*ticket);
  }
  EXPECT_EQ(std::accumulate(got.begin(), got.end(), 0), 2 * 1275);
  EXPECT_EQ(answers.unfinished(), 0U);
}

TEST(shared_queue, misuse_is_named) {
  EXPECT_DEATH(ints(0), "a queue of capacity 0");
  auto leaves_a_waiter = [] {
    auto queue = std::make_unique<ints>(1);
    auto main = [&]() -> task<> {
      auto waiting = spawn(take_one, std::ref(*queue));
      co_await yield();
      queue.reset();
    };
    run(main());
  };
  EXPECT_DEATH(leaves_a_waiter(), "a shared queue was destroyed while somebody waits to take");
  auto settles_twice = [] {
    ints queue(1);
    auto main = [&]() -> task<> {
      co_await queue.put(1);
      auto ticket = co_await queue.take();
      ticket.done();
      ticket.fail();
    };
    run(main());
  };
  EXPECT_DEATH(settles_twice(), "a ticket was settled twice");
}

TEST(shared_queue_death_test, one_that_goes_before_its_ticket_or_its_joiner_ends_the_program) {
  const auto before_its_ticket = [] {
    auto main = []() -> task<> {
      auto jobs = std::make_unique<shared_queue<int>>(2, "jobs");
      co_await jobs->put(1);
      auto job = co_await jobs->take();
      jobs.reset();
    };
    run(main());
  };
  const auto before_its_joiner = [] {
    auto main = []() -> task<> {
      auto jobs = std::make_unique<shared_queue<int>>(2, "jobs");
      co_await jobs->put(1);
      auto joins = [](shared_queue<int>& all) -> task<> { co_await all.join(); };
      const auto joining = spawn(joins, std::ref(*jobs));
      co_await yield();
      jobs.reset();
    };
    run(main());
  };
  EXPECT_DEATH(before_its_ticket(), "while a ticket of it is held");
  EXPECT_DEATH(before_its_joiner(), "while a task waits to join it");
}

}  // namespace
}  // namespace brigade
