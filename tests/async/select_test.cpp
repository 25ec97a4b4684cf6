#include <brigade/async/channel.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/select.hpp>
#include <brigade/async/shared_queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using ints = std::vector<int>;

template <class Queue>
bool put_now(Queue& to, int item) {
  return to.try_put(item);
}
task<> take_into(queue<int>& from, ints& got) {
  auto one = co_await from.take();
  if (one) got.push_back(*one);
}

// What one select of a worker with two queues and a stop came to.
struct seen {
  std::size_t arm = 99;
  int item = 0;
};
task<> one_of(queue<int>& a, queue<int>& b, event& stop, seen& into) {
  auto which = co_await select(a.take(), b.take(), stop.wait());
  into.arm = which.index();
  if (auto* first = which.get_if<0>()) into.item = **first;
  if (auto* second = which.get_if<1>()) into.item = **second;
}

struct two_queues {
  queue<int> a{8, "a"};
  queue<int> b{8, "b"};
  event stop{"stop"};
  seen got;
  auto start() { return spawn(one_of, std::ref(a), std::ref(b), std::ref(stop), std::ref(got)); }
};

TEST(select, takes_what_is_there_without_waiting) {
  virtual_loop loop;
  two_queues at;
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_now(at.b, 5));
    const std::uint64_t before = loop.steps();
    co_await one_of(at.a, at.b, at.stop, at.got);
    EXPECT_EQ(loop.steps(), before);
  };
  loop.run(main());
  EXPECT_EQ(at.got.arm, 1U);
  EXPECT_EQ(at.got.item, 5);
  EXPECT_EQ(at.b.statistics().done, 1U);
}

TEST(select, waits_for_the_first_and_leaves_the_others) {
  virtual_loop loop;
  two_queues at;
  auto main = [&]() -> task<> {
    auto waiting = at.start();
    co_await sleep_for(1s);
    EXPECT_EQ(at.a.statistics().getters_waiting, 1U);
    EXPECT_TRUE(at.stop.awaited());
    at.stop.set();
    co_await waiting;
    EXPECT_EQ(at.got.arm, 2U);
    EXPECT_EQ(at.a.statistics().getters_waiting, 0U);
    EXPECT_EQ(at.b.statistics().getters_waiting, 0U);
  };
  loop.run(main());
}

TEST(select, a_grant_to_an_arm_that_loses_goes_to_the_next_who_waits) {
  virtual_loop loop;
  two_queues at;
  ints next;
  auto main = [&]() -> task<> {
    auto waiting = at.start();
    auto behind = spawn(take_into, std::ref(at.b), std::ref(next));
    co_await yield();
    EXPECT_TRUE(put_now(at.a, 1));
    EXPECT_TRUE(put_now(at.b, 2));  // both are promised to the select now
    EXPECT_EQ(at.b.statistics().granted, 1U);
    co_await waiting;
    co_await behind;
    EXPECT_EQ(at.got.arm, 0U);
    EXPECT_EQ(at.got.item, 1);
    EXPECT_EQ(next, ints{2});
  };
  loop.run(main());
  EXPECT_EQ(at.b.statistics().granted, 0U);
}

TEST(select, a_grant_to_an_arm_that_loses_leaves_the_item_when_nobody_waits) {
  virtual_loop loop;
  two_queues at;
  auto main = [&]() -> task<> {
    auto waiting = at.start();
    co_await yield();
    EXPECT_TRUE(put_now(at.b, 2));
    EXPECT_TRUE(put_now(at.a, 1));
    co_await waiting;
    EXPECT_EQ(at.got.arm, 1U);
    EXPECT_EQ(at.a.abort(), ints{1});
  };
  loop.run(main());
}

TEST(select, cancelled_it_takes_nothing_not_even_what_it_was_promised) {
  virtual_loop loop;
  two_queues at;
  ints next;
  auto main = [&]() -> task<> {
    auto waiting = at.start();
    auto behind = spawn(take_into, std::ref(at.a), std::ref(next));
    co_await yield();
    EXPECT_TRUE(put_now(at.a, 1));
    at.stop.set();
    waiting.cancel("changed my mind");
    co_await behind;
    EXPECT_THROW(co_await waiting, cancelled);
    EXPECT_EQ(next, ints{1});
    EXPECT_FALSE(at.stop.awaited());
    EXPECT_EQ(at.b.statistics().getters_waiting, 0U);
  };
  loop.run(main());
}

TEST(select, in_a_cancelled_scope_fails_again_and_again) {
  virtual_loop loop;
  two_queues at;
  int failed = 0;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      group.cancel();
      for (int i = 0; i < 3; ++i) {
        try {
          co_await one_of(at.a, at.b, at.stop, at.got);
        } catch (const cancelled&) {
          ++failed;
        }
      }
    });
  };
  loop.run(main());
  EXPECT_EQ(failed, 3);
}

TEST(select, with_a_sleep_is_a_timeout_that_loses_no_item) {
  virtual_loop loop;
  queue<int> q{1};
  auto main = [&]() -> task<> {
    const auto start = loop.now();
    auto which = co_await select(q.take(), sleep_for(3s));
    EXPECT_EQ(which.index(), 1U);
    EXPECT_EQ(loop.now() - start, 3s);
    EXPECT_TRUE(put_now(q, 1));
    auto again = co_await select(q.take(), sleep_for(3s));
    EXPECT_EQ(again.index(), 0U);
    co_await sleep_for(10s);  // a timer of the arm that lost would have gone off
    EXPECT_EQ(loop.now() - start, 13s);
  };
  loop.run(main());
}

TEST(select, puts_into_the_first_queue_with_room_and_keeps_the_item_otherwise) {
  virtual_loop loop;
  queue<std::unique_ptr<int>> narrow{1};
  event stop{"stop"};
  auto offer = [](queue<std::unique_ptr<int>>& to, event& end,
                  std::unique_ptr<int>& item) -> task<std::size_t> {
    auto which = co_await select(to.put_from(item), end.wait());
    co_return which.index();
  };
  auto main = [&]() -> task<> {
    auto item = std::make_unique<int>(1);
    EXPECT_EQ(co_await offer(narrow, stop, item), 0U);
    EXPECT_EQ(item, nullptr);
    item = std::make_unique<int>(2);
    auto waiting = spawn(offer, std::ref(narrow), std::ref(stop), std::ref(item));
    co_await sleep_for(1s);
    stop.set();
    EXPECT_EQ(co_await waiting, 1U);
    EXPECT_NE(item, nullptr);
    EXPECT_EQ(narrow.statistics().putters_waiting, 0U);
  };
  loop.run(main());
}

TEST(select, room_promised_to_an_arm_that_loses_goes_to_the_next_putter) {
  virtual_loop loop;
  queue<int> q{1};
  event stop{"stop"};
  std::size_t won = 99;
  auto chooser = [](queue<int>& of, event& end, std::size_t& arm) -> task<> {
    auto which = co_await select(of.reserve(), end.wait());
    arm = which.index();
  };
  auto putter = [](queue<int>& to) -> task<> { co_await to.put(2); };
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_now(q, 1));
    auto one = spawn(chooser, std::ref(q), std::ref(stop), std::ref(won));
    auto two = spawn(putter, std::ref(q));
    co_await yield();
    stop.set();
    EXPECT_EQ(q.try_get(), 1);
    EXPECT_EQ(q.statistics().reserved, 1U);
    co_await two;
    EXPECT_EQ(won, 1U);
    EXPECT_EQ(q.try_get(), 2);
  };
  loop.run(main());
}

TEST(select, throws_what_the_arm_that_won_throws) {
  virtual_loop loop;
  queue<int> q{1};
  event never{"never"};
  auto main = [&]() -> task<> {
    q.close();
    int item = 1;
    EXPECT_THROW(static_cast<void>(co_await select(q.put_from(item), never.wait())), queue_closed);
    auto ended = co_await select(never.wait(), q.take());
    EXPECT_EQ(ended.index(), 1U);
    EXPECT_FALSE(ended.get<1>());
    EXPECT_EQ(ended.get_if<0>(), nullptr);
  };
  loop.run(main());
}

TEST(select, arms_that_are_always_ready_take_turns) {
  virtual_loop loop;
  queue<int> a{1000};
  queue<int> b{1000};
  queue<int> c{1000};
  std::vector<int> served(3, 0);
  auto main = [&]() -> task<> {
    for (int i = 0; i < 1000; ++i) {
      EXPECT_TRUE(put_now(a, i));
      EXPECT_TRUE(put_now(b, i));
      EXPECT_TRUE(put_now(c, i));
    }
    for (int i = 0; i < 900; ++i) {
      auto which = co_await select(a.take(), b.take(), c.take());
      ++served[which.index()];
    }
  };
  loop.run(main());
  for (const int times : served) EXPECT_NEAR(times, 300, 30);
}

TEST(select, with_an_arm_always_ready_lets_other_tasks_run) {
  virtual_loop loop;
  two_queues at;
  bool ran = false;
  auto other = [](bool& flag) -> task<> {
    flag = true;
    co_return;
  };
  auto main = [&]() -> task<> {
    spawn(other, std::ref(ran));
    for (int i = 0; i < 1000 && !ran; ++i) {
      EXPECT_TRUE(put_now(at.a, i));
      co_await one_of(at.a, at.b, at.stop, at.got);
    }
  };
  loop.run(main());
  EXPECT_TRUE(ran);
}

TEST(select, takes_a_batch_or_hears_a_stop) {
  virtual_loop loop;
  queue<int> q{8};
  event stop{"stop"};
  ints next;
  auto batcher = [](queue<int>& from, event& end) -> task<std::size_t> {
    auto which = co_await select(from.take_batch(5, 1h), end.wait());
    co_return which.index();
  };
  auto main = [&]() -> task<> {
    auto waiting = spawn(batcher, std::ref(q), std::ref(stop));
    auto behind = spawn(take_into, std::ref(q), std::ref(next));
    co_await yield();
    EXPECT_TRUE(put_now(q, 1));  // the batch lingers over it
    stop.set();
    EXPECT_EQ(co_await waiting, 1U);
    co_await behind;
    EXPECT_EQ(next, ints{1});
  };
  loop.run(main());
}

TEST(select, receives_from_the_channel_that_has_something) {
  virtual_loop loop;
  auto [to_a, from_a] = channel<int>(2);
  auto [to_b, from_b] = channel<int>(2);
  auto chooser = [](receiver<int> a, receiver<int> b) -> task<std::size_t> {
    auto which = co_await select(a.receive(), b.receive());
    co_return which.index();
  };
  auto main = [&, &out = to_b]() -> task<> {
    auto waiting = spawn(chooser, from_a, from_b);
    co_await yield();
    co_await out.send(3);
    EXPECT_EQ(co_await waiting, 1U);
  };
  loop.run(main());
}

TEST(select, says_what_it_waits_for) {
  virtual_loop loop;
  two_queues at;
  auto main = [&]() -> task<> {
    auto waiting = at.start();
    co_await yield();
    const std::string text = loop.dump_tasks();
    EXPECT_NE(text.find("the first of: take from queue 'a' (0 of 8, empty); take from queue 'b' "
                        "(0 of 8, empty); event 'stop'"),
              std::string::npos)
        << text;
    waiting.cancel();
  };
  loop.run(main());
}

TEST(select, killed_at_any_step_gives_back_what_it_was_promised) {
  bool killed_with_two_promises = false;
  for (std::uint64_t steps = 1; steps < 10; ++steps) {
    virtual_loop loop;
    two_queues at;
    auto main = [&]() -> task<> {
      auto waiting = at.start();
      co_await yield();
      EXPECT_TRUE(put_now(at.a, 1));
      EXPECT_TRUE(put_now(at.b, 2));
      loop.kill(waiting.record());
      killed_with_two_promises = true;
      EXPECT_EQ(at.a.statistics().granted, 0U);
      EXPECT_EQ(at.b.statistics().granted, 0U);
      co_await sleep_for(1h);
    };
    loop.kill_after(steps);
    try {
      loop.run(main());
    } catch (const cancelled&) {
    }
    EXPECT_EQ(at.a.size(), at.a.statistics().put);
    EXPECT_EQ(at.b.size(), at.b.statistics().put);
    EXPECT_EQ(at.a.statistics().granted, 0U);
  }
  EXPECT_TRUE(killed_with_two_promises);
}

// A put by value would take its item along when it loses; it does not compile.
static_assert(decltype(std::declval<queue<int>&>().put(1))::owns_item);
static_assert(decltype(std::declval<shared_queue<int>&>().put(1))::owns_item);
static_assert(!decltype(std::declval<queue<int>&>().put_from(std::declval<int&>()))::owns_item);
static_assert(!std::is_copy_constructible_v<decltype(std::declval<queue<int>&>().take())>);

// Selecting consumers and producers, cancelled at random: items in are items out.
task<> select_at_random(two_queues& at, testing::random_source& dice, ints& into) {
  for (;;) {
    try {
      seen one;
      const auto limit = std::chrono::milliseconds(1 + dice.below(3));
      auto attempt = one_of(at.a, at.b, at.stop, one);
      co_await timeout(limit, std::move(attempt));
      if (one.arm == 2) co_return;
      into.push_back(one.item);
    } catch (const timed_out&) {
    }
  }
}
task<> put_either(two_queues& at, testing::random_source& dice, int from, int& left) {
  for (int i = from; i < from + 30; ++i) {
    if (dice.one_in(2)) co_await sleep_for(std::chrono::milliseconds(dice.below(3)));
    int item = i;
    static_cast<void>(co_await select(at.a.put_from(item), at.b.put_from(item)));
  }
  if (--left == 0) {
    co_await at.a.join();
    co_await at.b.join();
    at.stop.set();
  }
}

TEST(select, loses_and_doubles_nothing_whatever_is_cancelled) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    virtual_loop loop(seed);
    testing::random_source random(seed);
    two_queues at;
    ints got;
    int producers = 2;
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        for (int i = 0; i < 3; ++i) {
          group.spawn(select_at_random, std::ref(at), std::ref(random), std::ref(got));
        }
        for (int i = 0; i < 2; ++i) {
          group.spawn(put_either, std::ref(at), std::ref(random), i * 30, std::ref(producers));
        }
      });
    };
    loop.run(main());
    std::sort(got.begin(), got.end());
    ASSERT_EQ(got.size(), 60U);
    for (int i = 0; i < 60; ++i) ASSERT_EQ(got[static_cast<std::size_t>(i)], i);
  }
}

}  // namespace
}  // namespace brigade
