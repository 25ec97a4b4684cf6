// What a queue does at its limits: overflow policies, capacity by weight, reserved room.
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using ints = std::vector<int>;
using options = queue<int>::options;

template <class Queue>
bool put_now(Queue& to, int item) {
  return to.try_put(item);
}
task<> take_into(queue<int>& from, ints& got) {
  auto one = co_await from.take();
  if (one) got.push_back(*one);
}
task<> put_and_note(queue<int>& to, int item, ints& order) {
  co_await to.put(item);
  order.push_back(item);
}

// --- overflow ---

TEST(overflow, refuse_throws_and_counts_and_try_put_leaves_the_item) {
  virtual_loop loop;
  queue<std::unique_ptr<int>> q{
      queue_options<std::unique_ptr<int>>(1).name("orders").when_full(overflow::refuse)};
  auto main = [&]() -> task<> {
    co_await q.put(std::make_unique<int>(1));
    EXPECT_THROW(co_await q.put(std::make_unique<int>(2)), queue_full);
    auto item = std::make_unique<int>(3);
    EXPECT_FALSE(q.try_put(item));
    EXPECT_THROW(co_await q.put_from(item), queue_full);
    EXPECT_NE(item, nullptr);
    EXPECT_THROW(static_cast<void>(co_await q.reserve()), queue_full);
    try {
      co_await q.put_from(item);
    } catch (const queue_full& error) {
      EXPECT_STREQ(error.what(), "queue 'orders' is full");
    }
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().refused, 5U);
  EXPECT_EQ(q.statistics().put, 1U);
}

TEST(overflow, a_producer_that_is_refused_again_and_again_still_lets_others_run) {
  virtual_loop loop;
  queue<int> q{options(1).when_full(overflow::refuse)};
  bool other_ran = false;
  auto other = [](bool& ran) -> task<> {
    ran = true;
    co_return;
  };
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_now(q, 0));
    spawn(other, std::ref(other_ran));
    for (int i = 0; i < 1000 && !other_ran; ++i) {
      EXPECT_THROW(co_await q.put(i), queue_full);
    }
    EXPECT_TRUE(other_ran);
  };
  loop.run(main());
}

TEST(overflow, drop_oldest_keeps_the_latest_and_never_waits) {
  virtual_loop loop;
  queue<int> q{options(3).when_full(overflow::drop_oldest)};
  auto main = [&]() -> task<> {
    for (int i = 1; i <= 5; ++i) co_await q.put(i);
    EXPECT_TRUE(put_now(q, 6));
  };
  loop.run(main());
  const queue_statistics now = q.statistics();
  EXPECT_EQ(now.put, 6U);
  EXPECT_EQ(now.dropped, 3U);
  EXPECT_EQ(now.unfinished, 3U);
  EXPECT_EQ(q.abort(), (ints{4, 5, 6}));
}

TEST(overflow, drop_newest_keeps_what_is_there) {
  virtual_loop loop;
  queue<int> q{options(2).when_full(overflow::drop_newest)};
  auto main = [&]() -> task<> {
    for (int i = 1; i <= 5; ++i) co_await q.put(i);
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().dropped, 3U);
  EXPECT_EQ(q.abort(), (ints{1, 2}));
}

TEST(overflow, an_item_on_its_way_to_a_taker_is_not_dropped) {
  virtual_loop loop;
  queue<int> q{options(2).when_full(overflow::drop_oldest)};
  ints got;
  auto main = [&]() -> task<> {
    auto one = spawn(take_into, std::ref(q), std::ref(got));
    auto two = spawn(take_into, std::ref(q), std::ref(got));
    co_await yield();
    for (int i = 1; i <= 5; ++i) EXPECT_TRUE(put_now(q, i));  // 1 and 2 are promised
    EXPECT_EQ(q.statistics().granted, 2U);
    co_await one;
    co_await two;
    EXPECT_EQ(got, (ints{1, 2}));
    EXPECT_EQ(q.abort(), ints{5});
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().dropped, 2U);
}

TEST(overflow, with_everything_promised_the_next_item_still_comes_in) {
  virtual_loop loop;
  queue<int> q{options(1).when_full(overflow::drop_newest)};
  ints got;
  auto main = [&]() -> task<> {
    auto one = spawn(take_into, std::ref(q), std::ref(got));
    auto two = spawn(take_into, std::ref(q), std::ref(got));
    co_await yield();
    EXPECT_TRUE(put_now(q, 1));
    EXPECT_TRUE(put_now(q, 2));  // full, but somebody is waiting for it
    co_await one;
    co_await two;
  };
  loop.run(main());
  EXPECT_EQ(got, (ints{1, 2}));
  EXPECT_EQ(q.statistics().dropped, 0U);
}

TEST(overflow, dropped_items_count_as_finished_for_join) {
  virtual_loop loop;
  queue<int> q{options(1).when_full(overflow::drop_oldest)};
  auto joiner = [](queue<int>& of) -> task<> { co_await of.join(); };
  auto main = [&]() -> task<> {
    for (int i = 0; i < 10; ++i) co_await q.put(i);
    auto waiting = spawn(joiner, std::ref(q));
    co_await yield();
    EXPECT_FALSE(waiting.done());
    {
      auto last = co_await q.take();
      EXPECT_EQ(*last, 9);
    }
    co_await waiting;
  };
  loop.run(main());
}

TEST(overflow, a_stack_drops_its_bottom) {
  lifo_queue<int> q{lifo_queue<int>::options(2).when_full(overflow::drop_oldest)};
  for (int i = 1; i <= 4; ++i) EXPECT_TRUE(put_now(q, i));
  EXPECT_EQ(q.abort(), (ints{4, 3}));
}

TEST(overflow, by_priority_the_least_urgent_gives_way_and_of_these_the_oldest) {
  using ranked = std::pair<int, char>;
  struct by_rank {
    bool operator()(const ranked& a, const ranked& b) const { return a.first < b.first; }
  };
  priority_queue<ranked, by_rank> q{queue_options<ranked>(3).when_full(overflow::drop_oldest)};
  for (ranked item : {ranked{2, 'a'}, ranked{1, 'b'}, ranked{2, 'c'}, ranked{2, 'd'}}) {
    EXPECT_TRUE(q.try_put(item));
  }
  ranked last{9, 'z'};
  EXPECT_TRUE(q.try_put(last));  // less urgent than all of them: dropped itself
  std::string names;
  for (const ranked& item : q.abort()) names += item.second;
  EXPECT_EQ(names, "bcd");
  EXPECT_EQ(q.statistics().dropped, 2U);
}

TEST(displace, takes_out_what_gives_way_and_leaves_the_room_to_those_who_wait) {
  queue<int> q{2};
  EXPECT_TRUE(put_now(q, 1));
  EXPECT_TRUE(put_now(q, 2));
  EXPECT_EQ(q.displace(9), 1);
  EXPECT_TRUE(put_now(q, 3));
  EXPECT_EQ(q.statistics().dropped, 1U);
  EXPECT_EQ(q.abort(), (ints{2, 3}));
  EXPECT_EQ(q.displace(9), std::nullopt);
}

TEST(displace, leaves_what_is_more_urgent) {
  priority_queue<int> q{2};
  EXPECT_TRUE(put_now(q, 5));
  EXPECT_TRUE(put_now(q, 7));
  EXPECT_EQ(q.displace(8), std::nullopt);
  EXPECT_EQ(q.displace(6), 7);
}

// --- weight ---

options weighed(std::size_t weight_max) {
  return options(100).weight(weight_max,
                             [](const int& item) { return static_cast<std::size_t>(item); });
}

TEST(weight, is_a_second_limit_that_taking_relieves) {
  virtual_loop loop;
  queue<int> q{weighed(10)};
  auto main = [&]() -> task<> {
    co_await q.put(4);
    co_await q.put(6);
    EXPECT_TRUE(q.full());
    EXPECT_FALSE(put_now(q, 1));
    EXPECT_EQ(q.statistics().weight, 10U);
    {
      auto first = co_await q.take();
      EXPECT_EQ(q.statistics().weight, 6U);
      EXPECT_TRUE(put_now(q, 3));
      first.give_back();
      EXPECT_EQ(q.statistics().weight, 13U);
    }
    auto all = co_await q.take_batch(10);
    EXPECT_EQ(all.size(), 3U);
    EXPECT_EQ(q.statistics().weight, 0U);
  };
  loop.run(main());
}

TEST(weight, an_item_too_heavy_by_itself_is_let_in_alone) {
  virtual_loop loop;
  queue<int> q{weighed(10)};
  ints order;
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto heavy = spawn(put_and_note, std::ref(q), 50, std::ref(order));
    auto light = spawn(put_and_note, std::ref(q), 2, std::ref(order));
    co_await yield();
    EXPECT_TRUE(order.empty());
    co_await q.get();
    co_await sleep_for(1s);
    EXPECT_EQ(order, ints{50});  // and the light one behind it waits
    EXPECT_EQ(q.size(), 1U);
    co_await q.get();
    co_await light;
    EXPECT_EQ(order, (ints{50, 2}));
  };
  loop.run(main());
}

TEST(weight, a_heavy_putter_at_the_head_is_not_overtaken_by_light_ones) {
  virtual_loop loop;
  queue<int> q{weighed(10)};
  ints order;
  auto main = [&]() -> task<> {
    co_await q.put(4);
    co_await q.put(5);
    auto heavy = spawn(put_and_note, std::ref(q), 8, std::ref(order));
    co_await yield();
    EXPECT_FALSE(put_now(q, 1));  // it would fit
    auto light = spawn(put_and_note, std::ref(q), 1, std::ref(order));
    co_await q.get();
    co_await sleep_for(1s);
    EXPECT_TRUE(order.empty());
    co_await q.get();
    co_await sleep_for(1s);
    EXPECT_EQ(order, (ints{8, 1}));
  };
  loop.run(main());
}

TEST(weight, one_heavy_item_gone_lets_several_light_ones_in) {
  virtual_loop loop;
  queue<int> q{weighed(10)};
  ints order;
  auto main = [&]() -> task<> {
    co_await q.put(10);
    for (int i = 1; i <= 5; ++i) spawn(put_and_note, std::ref(q), i, std::ref(order));
    co_await yield();
    co_await q.get();
    co_await sleep_for(1s);
    EXPECT_EQ(order, (ints{1, 2, 3, 4}));
    EXPECT_EQ(q.abort(), (ints{1, 2, 3, 4}));
  };
  loop.on_unhandled = [](const std::string&, const std::exception_ptr&) {};  // the fifth
  loop.run(main());
}

TEST(weight, a_heavy_putter_that_gives_up_lets_the_light_ones_behind_it_in) {
  virtual_loop loop;
  queue<int> q{weighed(10)};
  ints order;
  auto main = [&]() -> task<> {
    co_await q.put(5);
    auto heavy = spawn(put_and_note, std::ref(q), 9, std::ref(order));
    auto light = spawn(put_and_note, std::ref(q), 2, std::ref(order));
    co_await yield();
    heavy.cancel();
    co_await light;
    EXPECT_EQ(order, ints{2});
    EXPECT_THROW(co_await heavy, cancelled);
  };
  loop.run(main());
}

TEST(weight, a_granted_putter_that_is_cancelled_passes_its_weight_on) {
  virtual_loop loop;
  queue<int> q{weighed(10)};
  ints order;
  auto main = [&]() -> task<> {
    co_await q.put(10);
    auto one = spawn(put_and_note, std::ref(q), 7, std::ref(order));
    auto two = spawn(put_and_note, std::ref(q), 8, std::ref(order));
    co_await yield();
    co_await q.get();
    EXPECT_EQ(q.statistics().reserved, 1U);
    one.cancel();
    co_await two;
    EXPECT_EQ(order, ints{8});
    EXPECT_EQ(q.statistics().reserved, 0U);
  };
  loop.run(main());
}

TEST(weight, a_weigher_that_changes_its_mind_is_a_misuse) {
  EXPECT_DEATH(
      {
        std::size_t says = 1;
        queue<int> q{options(9).weight(5, [&](const int&) { return says; })};
        static_cast<void>(put_now(q, 0));
        says = 3;
        static_cast<void>(q.try_get());
      },
      "a weigher gave one item two weights");
}

// Putters and reservers of all weights, cancelled at random: the limits hold at every step, nobody
// waits for room there is, and what went in comes out.
struct load {
  queue<int> q{weighed(20)};
  int put = 0;
  int taken = 0;
};
task<> put_one_way(load& at, testing::random_source& dice, int item) {
  if (dice.one_in(2)) {
    co_await at.q.put(item);
  } else {
    auto room = co_await at.q.reserve(static_cast<std::size_t>(item));
    if (dice.one_in(4)) co_return;
    if (dice.one_in(2)) co_await yield();
    room.commit(item);
  }
  at.put += item;
}
task<> put_many(load& at, testing::random_source& dice, int& left) {
  for (int i = 0; i < 25; ++i) {
    try {
      auto attempt =
          put_one_way(at, dice, static_cast<int>(1 + dice.below(dice.one_in(5) ? 40 : 9)));
      co_await timeout(std::chrono::milliseconds(dice.below(4)), std::move(attempt));
    } catch (const timed_out&) {
    }
  }
  if (--left == 0) at.q.close();
}
task<> take_many(load& at, testing::random_source& dice) {
  for (;;) {
    auto some = co_await at.q.take_batch(1 + dice.below(3));
    if (!some) co_return;
    if (dice.one_in(4)) {
      some.give_back();
    } else {
      for (const int item : some) at.taken += item;
    }
    co_await sleep_for(std::chrono::milliseconds(dice.below(3)));
  }
}

TEST(weight, its_limits_hold_whatever_is_cancelled) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    virtual_loop loop(seed);
    testing::random_source random(seed);
    load at;
    int putters = 3;
    loop.before_each_step([&] {
      const queue_statistics now = at.q.statistics();
      const bool head_fits = now.putters_waiting != 0 && now.size + now.reserved == 0;
      ASSERT_FALSE(head_fits) << "a putter waits before an empty queue";
    });
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        for (int i = 0; i < 3; ++i) {
          group.spawn(put_many, std::ref(at), std::ref(random), std::ref(putters));
        }
        for (int i = 0; i < 2; ++i) group.spawn(take_many, std::ref(at), std::ref(random));
      });
    };
    loop.run(main());
    ASSERT_EQ(at.put, at.taken);
    const queue_statistics end = at.q.statistics();
    ASSERT_EQ(end.weight, 0U);
    ASSERT_EQ(end.reserved, 0U);
    ASSERT_EQ(end.unfinished, 0U);
  }
}

// --- reserve ---

TEST(reserve, holds_room_until_it_is_used) {
  virtual_loop loop;
  queue<int> q{1};
  auto main = [&]() -> task<> {
    auto room = co_await q.reserve();
    EXPECT_FALSE(put_now(q, 1));
    EXPECT_TRUE(q.full());
    EXPECT_TRUE(q.empty());
    int item = 2;
    room.commit(item);
    EXPECT_FALSE(room);
    EXPECT_EQ(q.statistics().reserved, 0U);
    EXPECT_EQ(co_await q.get(), 2);
  };
  loop.run(main());
}

TEST(reserve, stands_in_line_with_those_who_put) {
  virtual_loop loop;
  queue<int> q{1};
  ints order;
  auto reserver = [](queue<int>& of, ints& seen) -> task<> {
    auto room = co_await of.reserve();
    seen.push_back(100);
    room.commit(100);
  };
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_now(q, 0));
    auto first = spawn(put_and_note, std::ref(q), 1, std::ref(order));
    auto second = spawn(reserver, std::ref(q), std::ref(order));
    auto third = spawn(put_and_note, std::ref(q), 3, std::ref(order));
    co_await yield();
    for (const int expected : {0, 1, 100, 3}) EXPECT_EQ(co_await q.get(), expected);
  };
  loop.run(main());
  EXPECT_EQ(order, (ints{1, 100, 3}));
}

TEST(reserve, room_in_hand_is_no_offer_to_a_taker) {
  virtual_loop loop;
  queue<int> q(1, "orders");
  ints got;
  auto reserver = [](queue<int>& of, event& go_on) -> task<> {
    auto room = co_await of.reserve();
    co_await go_on.wait();
    room.commit(2);
  };
  auto main = [&]() -> task<> {
    event go_on;
    EXPECT_TRUE(put_now(q, 1));
    auto waits = spawn(reserver, std::ref(q), std::ref(go_on));
    co_await yield();
    co_await take_into(q, got);  // the room is promised
    EXPECT_NE(q.core().offer_, nullptr);
    co_await yield();  // and in hand: its operation has ended, and is not asked for an item
    EXPECT_EQ(q.core().offer_, nullptr);
    auto taker = spawn(take_into, std::ref(q), std::ref(got));
    co_await yield();
    EXPECT_FALSE(taker.done());
    go_on.set();
    co_await waits;
    co_await taker;
  };
  loop.run(main());
  EXPECT_EQ(got, (ints{1, 2}));
}

TEST(reserve, a_dropped_slot_goes_to_the_next_putter) {
  virtual_loop loop;
  queue<int> q{1};
  ints order;
  auto main = [&]() -> task<> {
    auto waiting = [&]() -> task<> {
      auto room = co_await q.reserve();
      auto putter = spawn(put_and_note, std::ref(q), 7, std::ref(order));
      co_await yield();
      EXPECT_TRUE(order.empty());
    };
    co_await waiting();
    co_await sleep_for(1s);
    EXPECT_EQ(order, ints{7});
  };
  loop.run(main());
}

TEST(reserve, closed_meanwhile_the_item_stays_with_the_caller) {
  virtual_loop loop;
  queue<std::unique_ptr<int>> q{1};
  auto main = [&]() -> task<> {
    auto room = co_await q.reserve();
    q.close();
    auto item = std::make_unique<int>(5);
    EXPECT_THROW(room.commit(item), queue_closed);
    EXPECT_NE(item, nullptr);
    EXPECT_FALSE(room);
    EXPECT_THROW(static_cast<void>(co_await q.reserve()), queue_closed);
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().reserved, 0U);
}

TEST(reserve, cancelled_it_passes_its_promise_on) {
  virtual_loop loop;
  queue<int> q{1};
  ints order;
  auto reserver = [](queue<int>& of) -> task<> {
    auto room = co_await of.reserve();
    ADD_FAILURE() << "it was cancelled";
  };
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_now(q, 0));
    auto first = spawn(reserver, std::ref(q));
    auto second = spawn(put_and_note, std::ref(q), 2, std::ref(order));
    co_await yield();
    co_await q.get();
    first.cancel();
    co_await second;
    EXPECT_TRUE(first.cancelled());
  };
  loop.run(main());
}

TEST(reserve, by_weight_gives_back_what_the_item_did_not_need) {
  virtual_loop loop;
  queue<int> q{weighed(10)};
  ints order;
  auto main = [&]() -> task<> {
    auto room = co_await q.reserve(10);
    auto putter = spawn(put_and_note, std::ref(q), 6, std::ref(order));
    co_await yield();
    EXPECT_TRUE(order.empty());
    room.commit(4);
    co_await putter;
    EXPECT_EQ(q.statistics().weight, 10U);
    auto small = co_await q.take();
    auto next = co_await q.reserve(1);
    EXPECT_DEATH(next.commit(3), "an item is heavier than what was reserved for it");
  };
  loop.run(main());
}

TEST(reserve, of_a_queue_that_drops_acts_at_the_commit) {
  virtual_loop loop;
  queue<int> q{options(1).when_full(overflow::drop_oldest)};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto room = co_await q.reserve();
    EXPECT_EQ(q.peek(0), 1);
    room.commit(2);
    EXPECT_EQ(q.abort(), ints{2});
  };
  loop.run(main());
}

TEST(reserve, a_slot_is_used_once_and_before_its_queue_ends) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    queue<int> q{2};
    auto room = co_await q.reserve();
    room.commit(1);
    EXPECT_DEATH(room.commit(2), "a slot was used twice");
    auto held = co_await q.reserve();
    EXPECT_DEATH(q.~queue<int>(), "a queue was destroyed while a slot of it is held");
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
