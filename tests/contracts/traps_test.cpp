// The traps that people fall into with asyncio, each as the published Python has it and as it ends
// here. docs/coming-from-asyncio.md tells the stories.

#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using ints = std::vector<int>;

task<> consume(queue<int>& jobs, ints& got) {
  while (auto job = co_await jobs.take()) got.push_back(*job);
}

// --- the account of items ---

TEST(traps, join_ends_although_a_worker_fails_at_some_items) {
  virtual_loop loop;
  queue<int> jobs(100, "jobs");
  auto worker = [&]() -> task<> {
    while (auto job = co_await jobs.take()) {
      if (*job % 3 == 0) throw std::runtime_error("bad item");  // no task_done is forgotten here
    }
  };
  auto main = [&]() -> task<> {
    loop::current().on_unhandled = [](const std::string&, const std::exception_ptr&) {};
    for (int i = 1; i <= 9; ++i) co_await jobs.put(i);
    for (int i = 0; i < 4; ++i) spawn(worker);
    jobs.close();
    co_await jobs.join();
  };
  loop.run(main());
  EXPECT_EQ(jobs.statistics().failed, 3U);
  EXPECT_EQ(jobs.statistics().done, 6U);
}

TEST(traps, a_ticket_that_was_failed_is_not_counted_again_when_it_goes) {
  virtual_loop loop;
  queue<int> jobs(2);
  auto main = [&]() -> task<> {
    co_await jobs.put(1);
    try {
      auto job = co_await jobs.take();
      job.fail();
      throw std::runtime_error("and the finally block calls task_done once more");
    } catch (const std::runtime_error&) {
    }
    co_await jobs.join();
  };
  loop.run(main());
  EXPECT_EQ(jobs.statistics().failed, 1U);
  EXPECT_EQ(jobs.statistics().done, 0U);
}

TEST(traps_death_test, an_item_settled_twice_ends_the_program_and_says_so) {
  auto twice = [] {
    virtual_loop loop;
    queue<int> jobs(2);
    auto main = [&]() -> task<> {
      co_await jobs.put(1);
      auto job = co_await jobs.take();
      job.done();
      job.done();
    };
    loop.run(main());
  };
  EXPECT_DEATH(twice(), "a ticket was settled twice");
}

TEST(traps_death_test, task_done_before_any_get_does_not_release_a_join) {
  auto too_early = [] {
    virtual_loop loop;
    queue<int> jobs(2);
    auto main = [&]() -> task<> {
      co_await jobs.put(1);
      jobs.task_done();
    };
    loop.run(main());
  };
  EXPECT_DEATH(too_early(), "task_done");
}

TEST(traps, a_join_that_was_woken_looks_again) {
  virtual_loop loop;
  queue<int> jobs(2);
  bool joined = false;
  auto joins = [&]() -> task<> {
    co_await jobs.join();
    joined = true;
    EXPECT_EQ(jobs.unfinished(), 0U);
  };
  auto main = [&]() -> task<> {
    int item = 1;
    jobs.try_put(item);
    const auto joining = spawn(eager, joins);
    static_cast<void>(*jobs.try_take());  // settled: the join is woken
    item = 2;
    jobs.try_put(item);  // before it has run
    co_await sleep_for(1s);
    EXPECT_FALSE(joined);
    static_cast<void>(*jobs.try_take());
    co_await joining;
  };
  loop.run(main());
  EXPECT_TRUE(joined);
}

// --- the end of a queue ---

TEST(traps, one_close_ends_every_worker_and_counts_as_no_item) {
  virtual_loop loop;
  queue<int> jobs(4);
  ints got;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      for (int i = 0; i < 5; ++i) group.spawn(consume, std::ref(jobs), std::ref(got));
      for (int i = 1; i <= 10; ++i) co_await jobs.put(i);
      jobs.close();
      co_await jobs.join();
    });
  };
  loop.run(main());
  EXPECT_EQ(got.size(), 10U);
  EXPECT_EQ(jobs.statistics().put, 10U);
}

// Has no order of its own; two sentinels in a priority queue would have to be compared.
struct report {
  int rank;
  std::string text;
};
struct by_rank {
  bool operator()(const report& a, const report& b) const { return a.rank < b.rank; }
};

TEST(traps, equal_priorities_keep_their_order_and_the_end_is_compared_with_nothing) {
  virtual_loop loop;
  priority_queue<report, by_rank> reports(8);
  std::string order;
  auto reader = [&]() -> task<> {
    while (auto next = co_await reports.take()) order += next->text;
  };
  auto main = [&]() -> task<> {
    for (const char* text : {"a", "b", "c", "d", "e"}) {
      report one{1, text};
      co_await reports.put(std::move(one));
    }
    report first{0, "!"};
    co_await reports.put(std::move(first));
    reports.close();
    co_await with_group([&](task_group& group) {
      group.spawn(reader);
      group.spawn(reader);
    });
  };
  loop.run(main());
  EXPECT_EQ(order, "!abcde");
}

TEST(traps, an_abort_returns_what_nobody_has_taken) {
  virtual_loop loop;
  queue<int> jobs(8);
  auto main = [&]() -> task<> {
    for (int i = 1; i <= 5; ++i) co_await jobs.put(i);
    static_cast<void>(co_await jobs.take());
    EXPECT_EQ(jobs.abort(), (ints{2, 3, 4, 5}));
  };
  loop.run(main());
}

TEST(traps, a_put_that_fails_at_a_close_can_keep_its_item) {
  virtual_loop loop;
  queue<std::string> jobs(1);
  std::string item = "the only copy";
  auto put_it = [&]() -> task<> { co_await jobs.put_from(item); };
  auto main = [&]() -> task<> {
    co_await jobs.put("first");
    const auto putting = spawn(put_it);
    co_await yield();
    jobs.close();
    EXPECT_THROW(co_await putting, queue_closed);
  };
  loop.run(main());
  EXPECT_EQ(item, "the only copy");
}

TEST(traps, a_producer_learns_that_its_last_consumer_is_gone) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto [in, out] = channel<int>(1, "orders");
    auto produce = [](sender<int> to) -> task<> {
      for (int i = 0;; ++i) co_await to.send(i);
    };
    const auto producer = spawn(produce, std::move(in));
    co_await sleep_for(1s);  // it waits for room
    static_cast<void>(out.close());
    EXPECT_THROW(co_await producer, channel_broken);
  };
  loop.run(main());
}

TEST(traps, a_consumer_learns_that_the_last_of_many_producers_is_gone) {
  virtual_loop loop;
  int sum = 0;
  auto main = [&]() -> task<> {
    auto [in, out] = channel<int>(1, "orders");
    auto produce = [](int item, sender<int> to) -> task<> {
      co_await sleep_for(1s * item);
      co_await to.send(item);
    };
    for (int i = 1; i <= 4; ++i) spawn(produce, i, in);
    in.close();
    while (auto item = co_await out.receive()) sum += *item;
  };
  loop.run(main());
  EXPECT_EQ(sum, 10);
}

TEST(traps, a_producer_at_a_full_queue_is_cancelled_with_its_group) {
  virtual_loop loop;
  queue<int> jobs(1);
  auto produce = [&]() -> task<> {
    for (int i = 0;; ++i) co_await jobs.put(i);
  };
  auto consumer = [&]() -> task<> {
    static_cast<void>(co_await jobs.take());
    throw std::runtime_error("the consumer has died");
  };
  auto main = [&]() -> task<> {
    EXPECT_THROW(co_await with_group([&](task_group& group) {
                   group.spawn(produce);
                   group.spawn(consumer);
                 }),
                 exception_group);
  };
  loop.run(main());
}

// --- nothing is lost, nobody is overtaken ---

TEST(traps, a_take_under_a_timeout_loses_no_item_in_any_order) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    virtual_loop loop(seed);
    queue<int> jobs(3);
    ints got;
    auto take_one = [&]() -> task<> {
      auto job = co_await jobs.take();
      if (job) got.push_back(*job);
    };
    auto impatient = [&]() -> task<> {
      while (got.size() < 30) {
        try {
          co_await timeout(1ms, take_one());
        } catch (const timed_out&) {
        }
      }
    };
    auto produce = [&]() -> task<> {
      for (int i = 1; i <= 30; ++i) {
        co_await sleep_for(1ms);  // at the very time of the deadlines
        co_await jobs.put(i);
      }
    };
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        group.spawn(produce);
        group.spawn(impatient);
        group.spawn(impatient);
      });
    };
    loop.run(main());
    EXPECT_EQ(std::accumulate(got.begin(), got.end(), 0), 465) << "seed " << seed;
    EXPECT_EQ(got.size(), 30U) << "seed " << seed;
  }
}

TEST(traps, an_item_promised_to_a_cancelled_taker_goes_to_the_next) {
  virtual_loop loop;
  queue<int> jobs(2);
  ints got;
  auto main = [&]() -> task<> {
    auto first = spawn(eager, consume, std::ref(jobs), std::ref(got));
    const auto second = spawn(eager, consume, std::ref(jobs), std::ref(got));
    int item = 7;
    jobs.try_put(item);  // promised to the first
    first.cancel();
    jobs.close();
    co_await second;
    EXPECT_TRUE(first.cancelled());
  };
  loop.run(main());
  EXPECT_EQ(got, ints{7});
}

TEST(traps, try_put_does_not_overtake_a_put_that_waits) {
  virtual_loop loop;
  queue<int> jobs(1);
  ints got;
  auto put = [&](int item) -> task<> { co_await jobs.put(item); };
  auto main = [&]() -> task<> {
    co_await jobs.put(1);
    const auto two = spawn(eager, put, 2);
    const auto three = spawn(eager, put, 3);
    static_cast<void>(*jobs.try_take());  // room, promised to the put of 2
    int late = 4;
    EXPECT_FALSE(jobs.try_put(late));
    co_await two;
    static_cast<void>(*jobs.try_take());
    co_await three;
    got.push_back(**jobs.try_take());
  };
  loop.run(main());
  EXPECT_EQ(got, ints{3});
}

TEST(traps, a_permit_handed_to_a_cancelled_task_goes_to_the_next) {
  virtual_loop loop;
  auto main = []() -> task<> {
    semaphore permits(1, "permits");
    auto once = [&]() -> task<> { const auto mine = co_await permits.acquire(); };
    auto held = co_await permits.acquire();
    auto first = spawn(eager, once);
    const auto second = spawn(eager, once);
    held.release();  // handed to the first
    first.cancel();
    co_await second;
    EXPECT_EQ(permits.value(), 1);
  };
  loop.run(main());
}

TEST(traps, a_condition_has_its_lock_again_when_its_wait_is_cancelled) {
  virtual_loop loop;
  auto main = []() -> task<> {
    mutex lock("shelf");
    condition changed(lock, "changed");
    bool held = false;
    auto waits = [&]() -> task<> {
      auto guard = co_await lock.lock();
      try {
        co_await changed.wait(guard);
      } catch (const cancelled&) {
        held = guard.holds(lock);
        throw;
      }
    };
    auto waiting = spawn(eager, waits);
    waiting.cancel();
    EXPECT_THROW(co_await waiting, cancelled);
    EXPECT_TRUE(held);
    EXPECT_FALSE(lock.locked());
  };
  loop.run(main());
}

TEST(traps_death_test, a_bound_of_zero_is_refused_for_no_bound_is_spelled_unbounded) {
  EXPECT_DEATH(queue<int>(0), "unbounded");
  queue<int> endless(unbounded);
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(endless.try_put(i));
}

TEST(traps, a_queue_that_is_always_ready_does_not_starve_the_others) {
  virtual_loop loop;
  queue<int> jobs(1);
  int turns = 0;
  auto other = [&]() -> task<> {
    for (;;) {
      co_await yield();
      ++turns;
    }
  };
  auto main = [&]() -> task<> {
    spawn(other);
    for (int i = 0; i < 10'000; ++i) {
      co_await jobs.put(i);
      static_cast<void>(co_await jobs.take());
    }
  };
  loop.run(main());
  EXPECT_GT(turns, 100);
}

}  // namespace
}  // namespace brigade
