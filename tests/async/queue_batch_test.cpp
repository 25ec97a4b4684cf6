// take_batch: several items for one wait.
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using ints = std::vector<int>;

void put_now(queue<int>& to, int first, int last) {
  for (int i = first; i <= last; ++i) {
    int item = i;
    ASSERT_TRUE(to.try_put(item));
  }
}
ints contents(batch<int>& of) { return ints(of.begin(), of.end()); }

struct taken {
  ints items;
  detail::time_point at{};
  no_item why = no_item::none;
};
task<> take_some(queue<int>& from, std::size_t most, std::chrono::nanoseconds within, taken& into,
                 on_cancel mode = on_cancel::raise) {
  auto some = co_await from.take_batch(most, within, mode);
  into.items = contents(some);
  into.why = some.why();
  into.at = loop::current().now();
}

TEST(take_batch, takes_what_is_there_up_to_its_limit_without_waiting) {
  virtual_loop loop;
  queue<int> q{100};
  auto main = [&]() -> task<> {
    put_now(q, 1, 5);
    auto first = co_await q.take_batch(3);
    EXPECT_EQ(contents(first), (ints{1, 2, 3}));
    auto rest = co_await q.take_batch(3);
    EXPECT_EQ(contents(rest), (ints{4, 5}));
    EXPECT_EQ(q.unfinished(), 5U);
    first.done();
    rest.fail();
    EXPECT_EQ(q.unfinished(), 0U);
  };
  loop.run(main());
  EXPECT_EQ(loop.steps(), 1U);
  EXPECT_EQ(q.statistics().done, 3U);
  EXPECT_EQ(q.statistics().failed, 2U);
}

TEST(take_batch, waits_for_the_first_and_takes_what_came_with_it) {
  virtual_loop loop;
  queue<int> q{100};
  taken got;
  auto main = [&]() -> task<> {
    auto taker = spawn(take_some, std::ref(q), 10, 0s, std::ref(got), on_cancel::raise);
    co_await yield();
    put_now(q, 1, 4);
    co_await taker;
  };
  loop.run(main());
  EXPECT_EQ(got.items, (ints{1, 2, 3, 4}));
}

TEST(take_batch, makes_room_for_as_many_putters_as_it_took_items) {
  virtual_loop loop;
  queue<int> q{3};
  ints order;
  auto putter = [](queue<int>& to, int item, ints& put) -> task<> {
    co_await to.put(item);
    put.push_back(item);
  };
  auto main = [&]() -> task<> {
    put_now(q, 1, 3);
    for (int i = 4; i <= 8; ++i) spawn(putter, std::ref(q), i, std::ref(order));
    co_await yield();
    auto some = co_await q.take_batch(100);
    EXPECT_EQ(some.size(), 3U);
    EXPECT_EQ(q.statistics().reserved, 3U);
    co_await yield();
    EXPECT_EQ(order, (ints{4, 5, 6}));
    EXPECT_EQ(q.abort(), (ints{4, 5, 6}));
    co_await yield();
  };
  loop.on_unhandled = [](const std::string&, const std::exception_ptr&) {};  // the last two
  loop.run(main());
}

TEST(take_batch, lingers_until_it_is_full_of_what_comes_one_by_one) {
  virtual_loop loop;
  queue<int> q{100};
  taken got;
  auto main = [&]() -> task<> {
    auto taker = spawn(take_some, std::ref(q), 3, 10s, std::ref(got), on_cancel::raise);
    const auto start = loop.now();
    for (int i = 1; i <= 4; ++i) {
      co_await sleep_for(1s);
      put_now(q, i, i);
    }
    co_await taker;
    EXPECT_EQ(got.items, (ints{1, 2, 3}));
    EXPECT_EQ(got.at - start, 3s);
  };
  loop.run(main());
  EXPECT_EQ(q.size(), 1U);
}

TEST(take_batch, lingers_no_longer_than_told_counted_from_the_first_item) {
  virtual_loop loop;
  queue<int> q{100};
  taken got;
  auto main = [&]() -> task<> {
    auto taker = spawn(take_some, std::ref(q), 100, 5s, std::ref(got), on_cancel::raise);
    const auto start = loop.now();
    co_await sleep_for(60s);
    put_now(q, 1, 2);
    co_await taker;
    EXPECT_EQ(got.items, (ints{1, 2}));
    EXPECT_EQ(got.at - start, 65s);
  };
  loop.run(main());
}

TEST(take_batch, with_items_there_already_lingers_for_the_others) {
  virtual_loop loop;
  queue<int> q{100};
  taken got;
  auto main = [&]() -> task<> {
    put_now(q, 1, 2);
    auto taker = spawn(take_some, std::ref(q), 3, 5s, std::ref(got), on_cancel::raise);
    co_await sleep_for(1s);
    EXPECT_EQ(q.statistics().granted, 2U);
    EXPECT_FALSE(q.try_take().has_value());  // they are promised
    put_now(q, 3, 3);
    co_await taker;
  };
  loop.run(main());
  EXPECT_EQ(got.items, (ints{1, 2, 3}));
}

TEST(take_batch, stops_lingering_when_the_queue_is_closed_or_full) {
  for (const bool close : {true, false}) {
    virtual_loop loop;
    queue<int> q{2};
    taken got;
    auto main = [&]() -> task<> {
      auto taker = spawn(take_some, std::ref(q), 10, 1h, std::ref(got), on_cancel::raise);
      const auto start = loop.now();
      co_await sleep_for(1s);
      put_now(q, 1, close ? 1 : 2);
      if (close) q.close();
      co_await taker;
      EXPECT_EQ(got.at - start, 1s);
    };
    loop.run(main());
    EXPECT_EQ(got.items, close ? ints{1} : (ints{1, 2}));
  }
}

TEST(take_batch, ends_empty_when_the_queue_is_closed_and_drained) {
  virtual_loop loop;
  queue<int> q{2};
  taken got;
  auto main = [&]() -> task<> {
    auto taker = spawn(take_some, std::ref(q), 10, 1h, std::ref(got), on_cancel::raise);
    co_await yield();
    q.close();
    co_await taker;
    EXPECT_EQ(got.why, no_item::closed);
    auto none = co_await q.take_batch(1);
    EXPECT_FALSE(none);
  };
  loop.run(main());
}

TEST(take_batch, an_abort_while_it_lingers_returns_its_items_too) {
  virtual_loop loop;
  queue<int> q{8};
  taken got;
  auto main = [&]() -> task<> {
    auto taker = spawn(take_some, std::ref(q), 10, 1h, std::ref(got), on_cancel::raise);
    co_await yield();
    put_now(q, 1, 3);
    EXPECT_EQ(q.abort(), (ints{1, 2, 3}));
    co_await taker;
    EXPECT_TRUE(got.items.empty());
    EXPECT_EQ(got.why, no_item::closed);
  };
  loop.run(main());
  EXPECT_EQ(q.unfinished(), 0U);
}

TEST(take_batch, a_cancelled_linger_leaves_its_items_to_those_behind_it) {
  virtual_loop loop;
  queue<int> q{8};
  taken first;
  taken second;
  auto main = [&]() -> task<> {
    auto one = spawn(take_some, std::ref(q), 10, 1h, std::ref(first), on_cancel::raise);
    auto two = spawn(take_some, std::ref(q), 2, 0s, std::ref(second), on_cancel::raise);
    co_await yield();
    put_now(q, 1, 3);
    one.cancel();
    co_await two;
    EXPECT_THROW(co_await one, cancelled);
    EXPECT_EQ(second.items, (ints{1, 2}));
    auto last = co_await q.take();
    EXPECT_EQ(*last, 3);
  };
  loop.run(main());
  EXPECT_TRUE(first.items.empty());
  EXPECT_EQ(q.statistics().granted, 0U);
}

TEST(take_batch, cancelled_after_its_promise_it_hands_all_of_it_on) {
  virtual_loop loop;
  queue<int> q{8};
  taken first;
  taken second;
  auto main = [&]() -> task<> {
    auto one = spawn(take_some, std::ref(q), 2, 1h, std::ref(first), on_cancel::end);
    auto two = spawn(take_some, std::ref(q), 5, 0s, std::ref(second), on_cancel::raise);
    co_await yield();
    put_now(q, 1, 2);  // complete, and on its way
    one.cancel();
    co_await two;
    co_await one;
    EXPECT_EQ(first.why, no_item::cancelled);
    EXPECT_EQ(second.items, (ints{1, 2}));
  };
  loop.run(main());
}

TEST(take_batch, does_not_overtake_who_came_before_it_nor_is_overtaken) {
  virtual_loop loop;
  queue<int> q{8};
  ints order;
  auto single = [](queue<int>& from, ints& into) -> task<> {
    auto one = co_await from.take();
    into.push_back(*one);
  };
  taken some;
  auto main = [&]() -> task<> {
    auto before = spawn(single, std::ref(q), std::ref(order));
    auto batch = spawn(take_some, std::ref(q), 2, 1h, std::ref(some), on_cancel::raise);
    auto behind = spawn(single, std::ref(q), std::ref(order));
    co_await yield();
    for (int i = 1; i <= 4; ++i) {
      put_now(q, i, i);
      co_await sleep_for(1s);
    }
    EXPECT_EQ(order, (ints{1, 4}));
    EXPECT_EQ(some.items, (ints{2, 3}));
  };
  loop.run(main());
}

TEST(take_batch, its_items_settle_one_by_one_or_together) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    put_now(q, 0, 5);
    {
      auto some = co_await q.take_batch(6);
      some.done(1);
      some.fail(2);
      some.give_back(4);
      EXPECT_EQ(some.unsettled(), 3U);
      auto own = some.split(0);
      EXPECT_EQ(*own, 0);
      own.fail();
      EXPECT_EQ(q.statistics().done, 1U);
      EXPECT_EQ(q.statistics().failed, 2U);
    }  // 3 and 5 are done
    EXPECT_EQ(q.statistics().done, 3U);
    EXPECT_EQ(q.unfinished(), 1U);
    EXPECT_EQ(q.abort(), ints{4});
  };
  loop.run(main());
}

TEST(take_batch, given_back_keeps_its_order) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    put_now(q, 1, 6);
    auto some = co_await q.take_batch(4);
    some.done(1);
    some.give_back();
    EXPECT_EQ(q.abort(), (ints{1, 3, 4, 5, 6}));
  };
  loop.run(main());
}

TEST(take_batch, says_how_its_scope_was_left) {
  virtual_loop loop;
  queue<int> q{8};
  auto throws = [](queue<int>& from) -> task<> {
    auto some = co_await from.take_batch(2);
    throw std::runtime_error("spoiled");
  };
  auto waits = [](queue<int>& from) -> task<> {
    auto some = co_await from.take_batch(3);
    co_await sleep_for(1h);
  };
  auto main = [&]() -> task<> {
    put_now(q, 1, 5);
    EXPECT_THROW(co_await throws(q), std::runtime_error);
    auto waiting = spawn(waits, std::ref(q));
    co_await yield();
    waiting.cancel();
    EXPECT_THROW(co_await waiting, cancelled);
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().failed, 2U);
  EXPECT_EQ(q.statistics().abandoned, 3U);
}

TEST(take_batch, an_item_of_it_does_not_settle_twice) {
  queue<int> q{8};
  virtual_loop loop;
  auto main = [&]() -> task<> {
    put_now(q, 1, 2);
    auto some = co_await q.take_batch(2);
    some.done(0);
    EXPECT_DEATH(some.fail(0), "an item of a batch was settled twice");
    EXPECT_DEATH(static_cast<void>(q.take_batch(0)), "take_batch of no items");
  };
  loop.run(main());
}

// Takers of all kinds under a storm of cancellations: what was put is what was taken.
task<> take_at_random(queue<int>& from, testing::random_source& dice, ints& into) {
  for (;;) {
    try {
      const auto limit = std::chrono::milliseconds(1 + dice.below(4));
      taken some;
      auto attempt = take_some(from, 1 + dice.below(5), std::chrono::milliseconds(dice.below(4)),
                               some, dice.one_in(2) ? on_cancel::raise : on_cancel::end);
      co_await timeout(limit, std::move(attempt));
      if (some.why == no_item::closed) co_return;
      into.insert(into.end(), some.items.begin(), some.items.end());
    } catch (const timed_out&) {
    }
  }
}

/// Throws at the move after so many.
struct brittle {
  explicit brittle(int which) : number(which) {}
  brittle(brittle&& other) : number(other.number) {
    if (moves_left > 0 && --moves_left == 0) throw std::runtime_error("broken");
  }
  brittle& operator=(brittle&&) = delete;
  ~brittle() = default;
  int number;
  static inline int moves_left = 0;
};

TEST(take_batch, counts_what_throws_when_it_is_moved_as_failed) {
  for (int moves = 1; moves <= 12; ++moves) {
    SCOPED_TRACE("move " + std::to_string(moves));
    virtual_loop loop;
    queue<brittle> q(queue<brittle>::options(8).note_holders());
    auto main = [&]() -> task<> {
      for (int i = 0; i < 4; ++i) {
        brittle one(i);
        EXPECT_TRUE(q.try_put(one));
      }
      brittle::moves_left = moves;
      try {
        auto all = co_await q.take_batch(4);
        EXPECT_EQ(all.size(), 4U);
      } catch (const std::runtime_error&) {
      }
      brittle::moves_left = 0;
    };
    loop.run(main());
    const queue_statistics after = q.statistics();
    EXPECT_EQ(after.unfinished, after.size);
    EXPECT_EQ(after.done + after.failed + after.size, 4U);
    EXPECT_EQ(q.abort().size(), after.size);
  }
}

TEST(take_batch, loses_and_doubles_nothing_whatever_is_cancelled) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    virtual_loop loop(seed);
    testing::random_source random(seed);
    queue<int> q{1 + random.below(6)};
    ints got;
    auto producer = [](queue<int>& to, testing::random_source& dice) -> task<> {
      for (int i = 0; i < 60; ++i) {
        if (dice.one_in(2)) co_await sleep_for(std::chrono::milliseconds(dice.below(3)));
        co_await to.put(i);
      }
      to.close();
    };
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        for (int i = 0; i < 3; ++i) {
          group.spawn(take_at_random, std::ref(q), std::ref(random), std::ref(got));
        }
        group.spawn(producer, std::ref(q), std::ref(random));
      });
    };
    loop.run(main());
    std::sort(got.begin(), got.end());
    ASSERT_EQ(got.size(), 60U);
    for (int i = 0; i < 60; ++i) ASSERT_EQ(got[static_cast<std::size_t>(i)], i);
    ASSERT_EQ(q.statistics().granted, 0U);
  }
}

}  // namespace
}  // namespace brigade
