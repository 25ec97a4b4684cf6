#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/select.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using ints = std::vector<int>;

task<> produce(queue<int>& jobs, int count) {
  for (int i = 0; i < count; ++i) co_await jobs.put(i);
  jobs.close();
}

task<> consume(queue<int>& jobs, ints& got) {
  while (auto job = co_await jobs.take()) got.push_back(*job);
}

TEST(queue, hands_over_in_order_and_ends_when_closed_and_drained) {
  for (const std::size_t capacity : {1U, 2U, 7U, 1000U}) {
    virtual_loop loop;
    queue<int> jobs{capacity};
    ints got;
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        group.spawn(consume, std::ref(jobs), std::ref(got));
        group.spawn(produce, std::ref(jobs), 100);
      });
    };
    loop.run(main());
    ASSERT_EQ(got.size(), 100U);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
    EXPECT_EQ(jobs.statistics().done, 100U);
    EXPECT_EQ(jobs.unfinished(), 0U);
  }
}

TEST(queue, an_item_given_back_after_an_abort_can_still_be_taken) {
  virtual_loop loop;
  queue<int> jobs{4};
  int got = 0;
  auto main = [&]() -> task<> {
    int item = 7;
    jobs.try_put(item);
    auto ticket = co_await jobs.take();
    EXPECT_TRUE(jobs.abort().empty());
    ticket.give_back();
    loop::current().exhaust_budget();  // the take below goes through the loop
    auto again = co_await jobs.take();
    if (again) got = *again;
  };
  loop.run(main());
  EXPECT_EQ(got, 7);
  EXPECT_EQ(jobs.unfinished(), 0U);
}

TEST(queue, a_ticket_left_by_a_timeouts_error_has_failed) {
  virtual_loop loop;
  queue<int> jobs{4};
  auto forever = []() -> task<> { co_await sleep_for(1h); };
  auto main = [&]() -> task<> {
    int item = 7;
    jobs.try_put(item);
    try {
      auto ticket = co_await jobs.take();
      co_await timeout(1s, forever());
    } catch (const timed_out&) {
    }
  };
  loop.run(main());
  EXPECT_EQ(jobs.statistics().failed, 1U);
  EXPECT_EQ(jobs.statistics().abandoned, 0U);
}

TEST(queue, a_full_one_holds_its_producer_back) {
  virtual_loop loop;
  queue<int> jobs{2};
  std::vector<int> put;
  auto producer = [](queue<int>& to, std::vector<int>& seen) -> task<> {
    for (int i = 0; i < 3; ++i) {
      co_await to.put(i);
      seen.push_back(i);
    }
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(producer, std::ref(jobs), std::ref(put));
    co_await sleep_for(1s);
    EXPECT_EQ(put, (ints{0, 1}));
    EXPECT_TRUE(jobs.full());
    {
      auto first = co_await jobs.take();
    }
    co_await handle;
    EXPECT_EQ(put, (ints{0, 1, 2}));
  };
  loop.run(main());
}

task<> take_into(queue<int>& jobs, ints& got) {
  auto job = co_await jobs.take();
  if (job) got.push_back(*job);
}

TEST(queue, a_granted_getter_that_is_cancelled_passes_its_item_on) {
  virtual_loop loop;
  queue<int> jobs{4};
  ints first;
  ints second;
  auto main = [&]() -> task<> {
    auto one = spawn(take_into, std::ref(jobs), std::ref(first));
    auto two = spawn(take_into, std::ref(jobs), std::ref(second));
    co_await yield();
    int item = 7;
    EXPECT_TRUE(jobs.try_put(item));
    one.cancel("changed my mind");  // granted by now, not yet resumed
    co_await sleep_for(1s);
    EXPECT_TRUE(one.cancelled());
    EXPECT_TRUE(first.empty());
    EXPECT_EQ(second, ints{7});
    co_await two;
  };
  loop.run(main());
}

TEST(queue, a_granted_putter_that_is_cancelled_passes_its_slot_on_and_keeps_its_item) {
  virtual_loop loop;
  queue<int> jobs{1};
  auto putter = [](queue<int>& to, int value) -> task<> { co_await to.put(value); };
  auto main = [&]() -> task<> {
    int zero = 0;
    EXPECT_TRUE(jobs.try_put(zero));
    auto one = spawn(putter, std::ref(jobs), 1);
    auto two = spawn(putter, std::ref(jobs), 2);
    co_await yield();
    {
      auto taken = jobs.try_take();
    }
    one.cancel();  // its slot goes to two
    co_await sleep_for(1s);
    EXPECT_TRUE(one.cancelled());
    EXPECT_TRUE(two.done());
    auto left = jobs.abort();
    EXPECT_EQ(left, ints{2});
  };
  loop.run(main());
}

task<> put_one(queue<int>& to, int value) { co_await to.put(value); }

/// A queue of one that holds 0, and a task whose put of 1 has just been promised room.
task_handle<> put_with_room_promised(queue<int>& jobs) {
  int zero = 0;
  EXPECT_TRUE(jobs.try_put(zero));
  auto putter = spawn(eager, put_one, std::ref(jobs), 1);
  EXPECT_TRUE(jobs.try_take().has_value());
  EXPECT_FALSE(putter.done());
  return putter;
}

TEST(queue, a_taker_takes_up_the_put_that_has_room) {
  virtual_loop loop;
  queue<int> jobs{1};
  auto main = [&]() -> task<> {
    auto putter = put_with_room_promised(jobs);
    const std::uint64_t before = loop::current().steps();
    auto ticket = co_await jobs.take();
    EXPECT_EQ(*ticket, 1);
    EXPECT_EQ(loop::current().steps(), before);
    EXPECT_FALSE(putter.done());  // it runs when its turn comes
    EXPECT_EQ(jobs.statistics().reserved, 0U);
    co_await putter;
  };
  loop.run(main());
  EXPECT_EQ(jobs.statistics().put, 2U);
  EXPECT_EQ(jobs.statistics().done, 2U);
}

TEST(queue, a_put_that_was_taken_up_has_succeeded_and_a_cancellation_strikes_later) {
  virtual_loop loop;
  queue<int> jobs{1};
  bool put = false;
  auto putter = [](queue<int>& to, bool& done) -> task<> {
    co_await to.put(1);
    done = true;
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> {
    co_await jobs.put(0);
    auto handle = spawn(eager, putter, std::ref(jobs), std::ref(put));
    EXPECT_TRUE(jobs.try_take().has_value());
    auto ticket = co_await jobs.take();
    EXPECT_EQ(*ticket, 1);
    handle.cancel();
    EXPECT_THROW(co_await handle, cancelled);
    EXPECT_TRUE(put);
  };
  loop.run(main());
}

TEST(queue, a_put_that_was_taken_up_may_lose_its_frame) {
  virtual_loop loop;
  queue<int> jobs{1};
  auto main = [&]() -> task<> {
    auto putter = put_with_room_promised(jobs);
    auto ticket = co_await jobs.take();
    loop::current().kill(putter.record());
    EXPECT_EQ(*ticket, 1);
    ticket.give_back();
    EXPECT_EQ(jobs.abort(), ints{1});
  };
  loop.run(main());
}

TEST(queue, a_put_that_has_room_is_not_taken_up_once_the_queue_is_closed) {
  virtual_loop loop;
  queue<int> jobs{1};
  auto main = [&]() -> task<> {
    auto putter = put_with_room_promised(jobs);
    jobs.close();
    auto ticket = co_await jobs.take();
    EXPECT_EQ(ticket.why(), no_item::closed);
    EXPECT_THROW(co_await putter, queue_closed);
  };
  loop.run(main());
}

TEST(queue, what_is_put_from_is_not_taken_up) {
  virtual_loop loop;
  queue<std::string> words{1};
  std::string item = "kept";
  auto putter = [](queue<std::string>& to, std::string& word) -> task<> {
    co_await to.put_from(word);
    EXPECT_EQ(to.size(), 1U);  // nobody has it before this line
  };
  auto main = [&]() -> task<> {
    co_await words.put("first");
    auto handle = spawn(eager, putter, std::ref(words), std::ref(item));
    EXPECT_TRUE(words.try_take().has_value());
    EXPECT_EQ(item, "kept");
    auto ticket = co_await words.take();
    EXPECT_EQ(*ticket, "kept");
    co_await handle;
  };
  loop.run(main());
}

TEST(queue, of_several_puts_with_room_none_is_taken_up_before_its_turn) {
  virtual_loop loop;
  queue<int> jobs{2};
  ints got;
  auto main = [&]() -> task<> {
    co_await jobs.put(1);
    co_await jobs.put(2);
    auto third = spawn(eager, put_one, std::ref(jobs), 3);
    auto fourth = spawn(eager, put_one, std::ref(jobs), 4);
    for (int i = 0; i < 4; ++i) co_await take_into(jobs, got);
    co_await third;
    co_await fourth;
  };
  loop.run(main());
  EXPECT_EQ(got, (ints{1, 2, 3, 4}));
}

TEST(queue, a_newcomer_does_not_overtake_those_who_wait) {
  virtual_loop loop;
  queue<int> jobs{1};
  ints got;
  auto main = [&]() -> task<> {
    auto waiting = spawn(take_into, std::ref(jobs), std::ref(got));
    co_await yield();
    int item = 1;
    EXPECT_TRUE(jobs.try_put(item));
    EXPECT_FALSE(jobs.try_take().has_value());  // promised to the one who waits
    co_await waiting;
    EXPECT_EQ(got, ints{1});
  };
  loop.run(main());
}

TEST(queue, close_refuses_new_items_and_wakes_everybody) {
  virtual_loop loop;
  queue<int> jobs{1};
  auto putter = [](queue<int>& to) -> task<> { co_await to.put(2); };
  auto main = [&]() -> task<> {
    co_await jobs.put(1);
    auto blocked = spawn(putter, std::ref(jobs));
    co_await yield();
    jobs.close();
    EXPECT_THROW(co_await blocked, queue_closed);
    ints got;
    co_await consume(jobs, got);
    EXPECT_EQ(got, ints{1});
    EXPECT_THROW(co_await jobs.put(3), queue_closed);
  };
  loop.run(main());
}

// Closed is not the end while an item is on its way to somebody who may yet not take it.
TEST(queue, an_item_promised_when_it_was_closed_still_finds_a_taker) {
  virtual_loop loop;
  queue<int> jobs{1};
  ints first;
  ints second;
  auto main = [&]() -> task<> {
    auto one = spawn(take_into, std::ref(jobs), std::ref(first));
    auto two = spawn(take_into, std::ref(jobs), std::ref(second));
    co_await yield();
    int item = 7;
    EXPECT_TRUE(jobs.try_put(item));  // promised to one
    jobs.close();
    one.cancel();
    co_await two;
    EXPECT_EQ(second, ints{7});
    EXPECT_TRUE(jobs.empty());
  };
  loop.run(main());
}

TEST(queue, an_item_given_back_after_an_abort_can_be_taken_in_a_forced_turn) {
  virtual_loop loop;
  queue<int> jobs{1};
  auto main = [&]() -> task<> {
    co_await jobs.put(7);
    auto held = co_await jobs.take();
    EXPECT_TRUE(jobs.abort().empty());
    held.give_back();
    const std::uint64_t before = loop.steps();
    while (loop.steps() == before) {  // until the next operation that need not wait has to
      auto again = co_await jobs.take();
      EXPECT_TRUE(again);
      if (!again) break;
      again.give_back();
    }
    auto last = co_await jobs.take();
    EXPECT_TRUE(last);
  };
  loop.run(main());
  EXPECT_EQ(jobs.statistics().done, 1U);
}

TEST(queue, abort_returns_what_nobody_took_and_releases_join) {
  virtual_loop loop;
  queue<int> jobs{8};
  auto joiner = [](queue<int>& of) -> task<> { co_await of.join(); };
  auto main = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) co_await jobs.put(i);
    auto join = spawn(joiner, std::ref(jobs));
    auto held = co_await jobs.take();
    auto left = jobs.abort();
    EXPECT_EQ(left, (ints{1, 2}));
    co_await yield();
    EXPECT_FALSE(join.done());
    held.done();
    co_await join;
  };
  loop.run(main());
}

TEST(queue, a_ticket_says_how_its_scope_was_left) {
  virtual_loop loop;
  queue<int> jobs{8};
  auto throws = [](queue<int>& from) -> task<> {
    auto job = co_await from.take();
    throw std::runtime_error("spoiled");
  };
  auto waits = [](queue<int>& from) -> task<> {
    auto job = co_await from.take();
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> {
    for (int i = 0; i < 4; ++i) co_await jobs.put(i);
    auto failing = spawn(throws, std::ref(jobs));
    auto waiting = spawn(waits, std::ref(jobs));
    co_await sleep_for(1s);
    waiting.cancel();
    EXPECT_THROW(co_await failing, std::runtime_error);
    EXPECT_THROW(co_await waiting, cancelled);
    {
      auto job = co_await jobs.take();
    }
    {
      auto job = co_await jobs.take();
      job.give_back();
    }
    const auto statistics = jobs.statistics();
    EXPECT_EQ(statistics.failed, 1U);
    EXPECT_EQ(statistics.abandoned, 1U);
    EXPECT_EQ(statistics.done, 1U);
    EXPECT_EQ(statistics.size, 1U);
    EXPECT_EQ(statistics.unfinished, 1U);
  };
  loop.run(main());
}

TEST(queue, a_take_within_a_timeout_never_loses_an_item) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    virtual_loop loop(seed);
    testing::random_source random(seed);
    queue<int> jobs{3};
    ints got;
    auto taker = [](queue<int>& from, ints& into, testing::random_source& dice) -> task<> {
      for (;;) {
        try {
          auto once = [](queue<int>& source, ints& target) -> task<bool> {
            auto job = co_await source.take();
            if (!job) co_return false;
            target.push_back(*job);
            co_return true;
          };
          auto attempt = once(from, into);
          const bool more =
              co_await timeout(std::chrono::milliseconds(dice.below(3)), std::move(attempt));
          if (!more) co_return;
        } catch (const timed_out&) {
        }
      }
    };
    auto slow_producer = [](queue<int>& to, testing::random_source& dice) -> task<> {
      for (int i = 0; i < 50; ++i) {
        if (dice.one_in(2)) co_await sleep_for(std::chrono::milliseconds(dice.below(4)));
        co_await to.put(i);
      }
      to.close();
    };
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        for (int i = 0; i < 3; ++i) {
          group.spawn(taker, std::ref(jobs), std::ref(got), std::ref(random));
        }
        group.spawn(slow_producer, std::ref(jobs), std::ref(random));
      });
    };
    loop.run(main());
    std::sort(got.begin(), got.end());
    ASSERT_EQ(got.size(), 50U);
    for (int i = 0; i < 50; ++i) ASSERT_EQ(got[static_cast<std::size_t>(i)], i);
  }
}

TEST(queue, putting_into_a_closed_one_again_and_again_can_be_cancelled) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> jobs(2, "jobs");
    jobs.close();
    int tries = 0;
    auto tries_again = [&]() -> task<> {
      while (tries < 1'000'000) {
        ++tries;
        try {
          co_await jobs.put(1);
        } catch (const queue_closed&) {
        }
      }
    };
    int tries_at_first_turn = 0;
    auto other = [&]() -> task<> {
      tries_at_first_turn = tries;
      co_await sleep_for(0s);
    };
    const auto beside = spawn(std::ref(other));
    EXPECT_THROW(co_await timeout(0s, tries_again()), timed_out);
    tries = 0;
    auto trying = spawn(std::ref(tries_again));
    co_await beside;
    trying.cancel("enough");
    EXPECT_THROW(co_await trying, cancelled);
    EXPECT_LT(tries, 10'000);
    EXPECT_LE(tries_at_first_turn, 1);
  };
  loop.run(main());
}

task<> takes_one(queue<int>& from) { static_cast<void>(co_await from.take()); }
task<> puts_one(queue<int>& into) { co_await into.put(1); }
task<> joins(queue<int>& all) { co_await all.join(); }

// What a task goes on with after `act` must not be gone by then.
template <class Act>
void destroy_after(task<> (*waits)(queue<int>&), std::size_t items, Act act) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    auto jobs = std::make_unique<queue<int>>(1, "jobs");
    for (int item = 1; jobs->size() < items;) jobs->try_put(item);
    const auto waiting = spawn(waits, std::ref(*jobs));
    co_await yield();
    act(*jobs);
    jobs.reset();
    co_await waiting.join();
  };
  loop.run(main());
}

TEST(queue_death_test, one_that_goes_while_a_task_is_about_to_resume_ends_the_program) {
  const auto put = [](queue<int>& jobs) {
    int item = 1;
    jobs.try_put(item);
  };
  const auto take_and_settle = [](queue<int>& jobs) { static_cast<void>(jobs.try_take()); };
  const auto close = [](queue<int>& jobs) { jobs.close(); };
  EXPECT_DEATH(destroy_after(takes_one, 0, put), "while a task waits to take from it");
  EXPECT_DEATH(destroy_after(takes_one, 0, close), "is about to hear of its end");
  EXPECT_DEATH(destroy_after(puts_one, 1, close), "is about to hear of its end");
  EXPECT_DEATH(destroy_after(puts_one, 1, take_and_settle), "while a slot of it is held");
  EXPECT_DEATH(destroy_after(joins, 1, take_and_settle), "is about to hear of its end");
}

TEST(queue_death_test, one_that_goes_before_its_ticket_ends_the_program) {
  const auto outlive = [] {
    virtual_loop loop;
    auto main = []() -> task<> {
      auto jobs = std::make_unique<queue<int>>(1, "jobs");
      co_await jobs->put(1);
      auto job = co_await jobs->take();
      jobs.reset();
    };
    loop.run(main());
  };
  EXPECT_DEATH(outlive(), "while a ticket of it is held");
}

TEST(queue, may_go_when_whoever_heard_of_its_end_has_gone_before) {
  virtual_loop loop;
  auto main = []() -> task<> {
    for (int round = 0; round < 3; ++round) {
      queue<int> jobs(1, "jobs");
      event never("never");
      auto selects = [&]() -> task<> {
        static_cast<void>(co_await select(jobs.take(), jobs.take_batch(2), never.wait()));
      };
      const auto taking = spawn(takes_one, std::ref(jobs));
      const auto selecting = spawn(std::ref(selects));
      co_await yield();
      jobs.close();
      if (round == 1) loop::current().kill(taking.record());
      if (round == 2) loop::current().kill(selecting.record());
      for (const auto& one : {taking, selecting}) {
        if (!one.done()) co_await one;
      }
    }
  };
  loop.run(main());
}

struct moves_badly {
  explicit moves_badly(int moves) : moves_left(moves) {}
  moves_badly(moves_badly&& other) : moves_left(other.moves_left) {
    if (--moves_left == 0) throw std::runtime_error("moved once too often");
  }
  int moves_left;
};

TEST(queue, an_item_that_throws_on_its_way_out_is_still_here_or_has_failed) {
  for (int moves = 1; moves < 8; ++moves) {
    virtual_loop loop;
    auto main = [=]() -> task<> {
      queue<moves_badly> jobs(2, "jobs");
      try {
        co_await jobs.put(moves_badly(moves));
        static_cast<void>(co_await jobs.take());
      } catch (const std::runtime_error&) {
      }
      const queue_statistics ends = jobs.statistics();
      EXPECT_EQ(ends.unfinished, ends.size) << moves;
      EXPECT_EQ(ends.put, ends.size + ends.done + ends.failed) << moves;
    };
    loop.run(main());
  }
}

}  // namespace
}  // namespace brigade
