// The code in docs/testing.md.

#include <brigade/async.hpp>
#include <brigade/testing/counted.hpp>
#include <brigade/testing/fault.hpp>
#include <brigade/testing/probes.hpp>
#include <brigade/testing/sequencer.hpp>
#include <brigade/testing/steps.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// What is tested: sends each item on, after a pause, and again when that fails.
task<> forward(queue<int>& from, queue<int>& to) {
  while (auto item = co_await from.take()) {
    co_await sleep_for(100ms);
    co_await to.put(*item);
  }
  to.close();
}

TEST(testing_chapter, time_is_virtual) {
  virtual_loop loop;
  const auto before = loop.now();
  auto test = []() -> task<> {
    queue<int> from(10, "from");
    queue<int> to(10, "to");
    for (int i = 1; i <= 10; ++i) co_await from.put(i);
    from.close();
    co_await forward(from, to);
    EXPECT_EQ(to.size(), 10U);
  };
  loop.run(test());
  EXPECT_EQ(loop.now() - before, 1s);  // to the nanosecond, and it took no time
}

TEST(testing_chapter, the_order_is_drawn_from_a_seed) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    virtual_loop loop(seed);
    std::string order;
    auto runner = [&](char name) -> task<> {
      co_await yield();
      order += name;
    };
    auto test = [&]() -> task<> {
      co_await with_group([&](task_group& group) {
        for (const char name : {'a', 'b', 'c'}) group.spawn(runner, name);
      });
    };
    loop.run(test());
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6U);  // all there are
}

TEST(testing_chapter, a_loop_is_driven_by_hand) {
  virtual_loop loop;
  queue<int> from(10, "from");
  queue<int> to(10, "to");
  loop.start(forward(from, to));
  loop.run_until_idle();  // it waits for an item

  int item = 1;
  from.try_put(item);
  loop.advance(99ms);
  EXPECT_EQ(to.size(), 0U);
  loop.advance(1ms);
  EXPECT_EQ(to.size(), 1U);
  loop.finish();  // cancels what is left
}

TEST(testing_chapter, the_others_get_all_the_turns_they_need) {
  virtual_loop loop;
  auto test = []() -> task<> {
    queue<int> from(1, "from");
    queue<int> to(1, "to");
    co_await with_group([&](task_group& group) -> task<> {
      auto forwarding = group.spawn(forward, std::ref(from), std::ref(to));
      co_await from.put(1);
      co_await wait_all_tasks_blocked();  // no number of yields to guess
      EXPECT_TRUE(from.empty());
      EXPECT_TRUE(to.empty());  // time has not passed
      forwarding.cancel();
    });
  };
  loop.run(test());
}

TEST(testing_chapter, an_order_is_fixed_by_a_sequencer) {
  virtual_loop loop;
  std::string order;
  auto test = [&]() -> task<> {
    sequencer seq;
    auto first = [&]() -> task<> {
      {
        auto turn = co_await seq(0);
        order += "a";
      }
      auto turn = co_await seq(2);
      order += "c";
    };
    auto second = [&]() -> task<> {
      auto turn = co_await seq(1);
      order += "b";
    };
    co_await with_group([&](task_group& group) {
      group.spawn(first);
      group.spawn(second);
    });
  };
  loop.run(test());
  EXPECT_EQ(order, "abc");
}

TEST(testing_chapter, it_dies_at_every_step) {
  const auto steps = for_each_step([](virtual_loop& loop) {
    census items;                    // asserts at its end that no item is left
    queue<counted> from(2, "from");  // outlive the tasks
    queue<counted> to(2, "to");
    auto move_on = [&]() -> task<> {
      while (auto item = co_await from.take()) {
        co_await sleep_for(1ms);
        co_await to.put(std::move(*item));
      }
    };
    auto test = [&]() -> task<> {
      co_await with_group([&](task_group& group) -> task<> {
        group.spawn(move_on);
        for (int i = 0; i < 5; ++i) co_await from.put(counted(items, i));
        from.close();
        for (int i = 0; i < 5; ++i) EXPECT_EQ((co_await to.take())->value(), i);
      });
    };
    try {
      loop.run(test());
    } catch (const cancelled&) {
      if (!loop.killed()) throw;
    }
  });
  EXPECT_GT(steps, 10U);
}

TEST(testing_chapter, it_fails_at_every_call) {
  // What is tested: all rows are saved, or none.
  const auto calls = for_each_failure([](fail_at& fault) {
    virtual_loop loop;
    std::vector<int> saved;
    auto save_all = [&]() -> task<> {
      std::vector<int> rows;
      for (int row = 1; row <= 3; ++row) {
        co_await yield();
        fault.pass();  // where the real thing may fail
        rows.push_back(row);
      }
      saved = rows;
    };
    try {
      loop.run(save_all());
    } catch (const injected_fault&) {
      EXPECT_TRUE(saved.empty());
      throw;
    }
    EXPECT_EQ(saved.size(), 3U);
  });
  EXPECT_EQ(calls, 3U);
}

// A property: whatever the order, and whoever is cancelled when, nothing is lost or taken twice.
void conserves_items(std::uint64_t seed) {
  virtual_loop loop(seed);
  random_source random(seed);
  queue<int> items(1 + random.below(4), "items");
  std::multiset<int> taken;
  auto taker = [&]() -> task<> {
    while (auto item = co_await items.take(on_cancel::end)) {
      taken.insert(*item);
      co_await sleep_for(std::chrono::milliseconds(random.below(3)));
    }
  };
  auto putter = [&]() -> task<> {
    for (int i = 0; i < 20; ++i) co_await items.put(i);
  };
  std::vector<int> left;
  auto test = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      std::vector<task_handle<>> takers;
      for (int i = 0; i < 4; ++i) takers.push_back(group.spawn(taker));
      auto putting = group.spawn(putter);
      for (int i = 0; i < 3; ++i) {
        co_await sleep_for(std::chrono::milliseconds(random.below(5)));
        takers[random.below(3)].cancel();  // the fourth goes on
      }
      co_await putting;
      left = items.abort();
    });
  };
  loop.run(test());
  taken.insert(left.begin(), left.end());
  ASSERT_EQ(taken.size(), 20U) << "seed " << seed;
  for (int i = 0; i < 20; ++i) ASSERT_EQ(taken.count(i), 1U) << "item " << i << ", seed " << seed;
}

TEST(testing_chapter, a_property_holds_under_every_seed) {
  const coverage seen;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) conserves_items(seed);
  EXPECT_GT(seen.of("grant_revoked"), 0U);  // else nobody was cancelled at the interesting moment
}

TEST(testing_chapter, a_test_is_seen_failing) {
  // Waits for the wrong thing: nobody closes `from`.
  virtual_loop loop;
  auto test = []() -> task<> {
    queue<int> from(1, "from");
    queue<int> to(1, "to");
    co_await forward(from, to);
  };
  EXPECT_THROW(loop.run(test()), deadlock);  // at once, and it names the queue and the line
}

}  // namespace
}  // namespace brigade
