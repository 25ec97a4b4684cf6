#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::random_source;
using testing::virtual_loop;

task<int> naps(std::chrono::nanoseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

TEST(group_limit, spawn_when_room_waits_until_fewer_run_and_gives_a_handle) {
  virtual_loop loop;
  std::size_t most = 0;
  auto main = [&]() -> task<int> {
    co_return co_await with_group([&](task_group& group) -> task<int> {
      group.set_limit(3);
      std::vector<task_handle<int>> children;
      for (int i = 1; i <= 10; ++i) {
        children.push_back(co_await group.spawn_when_room(naps, 1s, i));
        most = std::max(most, group.size());
      }
      int sum = 0;
      for (auto& child : children) sum += co_await child;
      co_return sum;
    });
  };
  EXPECT_EQ(loop.run(main()), 55);
  EXPECT_EQ(most, 3U);
}

TEST(group_limit, spawn_at_the_limit_is_refused_and_starts_nothing) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto body = [](task_group& group) {
      group.set_limit(1);
      EXPECT_TRUE(group.has_room());
      group.spawn(naps, 1s, 1);
      EXPECT_FALSE(group.has_room());
      EXPECT_THROW(group.spawn(naps, 1s, 2), group_full);
      EXPECT_EQ(group.statistics().spawned, 1U);
    };
    co_await with_group(body, "kitchen");
  };
  loop.run(main());
  EXPECT_STREQ(group_full("kitchen", 1).what(),
               "kitchen is at its limit of 1 tasks: use spawn_when_room");
}

TEST(group_limit, who_waits_for_room_is_served_in_the_order_they_came_and_not_overtaken) {
  virtual_loop loop;
  std::string order;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      group.set_limit(1);
      auto note = [&](char name) -> task<> {
        order += name;
        co_await sleep_for(1s);
      };
      auto spawner = [&](char name) -> task<> { co_await group.spawn_when_room(note, name); };
      group.spawn(note, 'a');
      std::vector<task_handle<>> spawners;
      for (const char name : {'b', 'c', 'd'}) spawners.push_back(spawn(spawner, name));
      co_await sleep_for(500ms);
      EXPECT_EQ(group.statistics().waiting_for_room, 3U);
      co_await sleep_for(500ms);
      EXPECT_FALSE(group.has_room());  // granted to b, who may not have resumed yet
      EXPECT_THROW(group.spawn(note, 'x'), group_full);
      for (auto& one : spawners) co_await one;
    });
  };
  loop.run(main());
  EXPECT_EQ(order, "abcd");
}

TEST(group_limit, a_cancelled_spawner_starts_nothing_and_passes_its_room_on) {
  virtual_loop loop;
  std::string order;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      group.set_limit(1);
      auto note = [&](char name) -> task<> {
        order += name;
        co_await yield();
      };
      auto spawner = [&](char name) -> task<> { co_await group.spawn_when_room(note, name); };
      auto first = group.spawn(naps, 1s, 1);
      auto b = spawn(spawner, 'b');
      auto c = spawn(spawner, 'c');
      co_await first.join();
      b.cancel();  // granted in this very turn, and not resumed yet
      EXPECT_THROW(co_await b.join(), cancelled);
      co_await c;
    });
  };
  loop.run(main());
  EXPECT_EQ(order, "c");
}

TEST(group_limit, the_group_does_not_end_while_room_is_granted) {
  virtual_loop loop;
  bool ran = false;
  task_group group("kitchen");
  auto late = [&]() -> task<> {
    co_await sleep_for(1s);
    ran = true;
  };
  auto main = [&]() -> task<> {
    auto outside = [&]() -> task<> {
      co_await sleep_for(1ms);
      co_await group.spawn_when_room(late);
    };
    auto handle = spawn(outside);
    co_await group.run([&](task_group& open) {
      open.set_limit(1);
      open.spawn(naps, 1s, 1);
    });
    EXPECT_TRUE(ran);
    EXPECT_TRUE(handle.done());
  };
  loop.run(main());
}

TEST(group_limit, a_granted_spawner_that_gives_up_lets_the_group_end) {
  virtual_loop loop;
  task_group group;
  auto main = [&]() -> task<> {
    auto outside = [&]() -> task<> { co_await group.spawn_when_room(naps, 1s, 1); };
    task_handle<> handle = spawn(outside);
    co_await group.run([&](task_group& open) -> task<> {
      open.set_limit(1);
      auto first = open.spawn(naps, 1s, 1);
      auto cancels = [](task_handle<int> when, task_handle<> whom) -> task<> {
        co_await when.join();
        whom.cancel();
      };
      spawn(cancels, first, handle);
      co_return;
    });
    EXPECT_EQ(group.statistics().spawned, 1U);
    EXPECT_THROW(co_await handle.join(), cancelled);
  };
  loop.run(main());
}

TEST(group_limit, a_raised_limit_lets_those_in_who_wait) {
  virtual_loop loop;
  auto main = []() -> task<> {
    co_await with_group([](task_group& group) -> task<> {
      group.set_limit(1);
      group.spawn(naps, 1h, 1);
      auto spawner = [&]() -> task<> { co_await group.spawn_when_room(naps, 1s, 2); };
      auto waits = spawn(spawner);
      co_await sleep_for(1s);
      EXPECT_FALSE(waits.done());
      group.set_limit(2);
      co_await waits;
      EXPECT_EQ(group.size(), 2U);
      group.cancel();
    });
  };
  loop.run(main());
}

TEST(group_limit, the_wait_says_what_it_waits_for) {
  virtual_loop loop;
  std::string dump;
  auto main = [&]() -> task<> {
    auto body = [&](task_group& group) -> task<> {
      group.set_limit(1);
      group.spawn(naps, 1s, 1);
      auto spawner = [&]() -> task<> { co_await group.spawn_when_room(naps, 1s, 2); };
      auto waits = spawn(spawner);
      co_await yield();
      co_await yield();
      dump = loop.dump_tasks();
      co_await waits;
    };
    co_await with_group(body, "kitchen");
  };
  loop.run(main());
  EXPECT_NE(dump.find("room in kitchen (1 of 1 run)"), std::string::npos) << dump;
}

// Spawners come, go and are cancelled at random: the limit holds, nobody starves, nothing is lost.
TEST(group_limit, holds_under_random_cancels) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    virtual_loop loop(seed);
    random_source random(seed);
    const std::size_t limit = 1 + random.below(4);
    std::size_t running = 0;
    int begun = 0;
    int given = 0;
    auto main = [&]() -> task<> {
      auto child = [&](std::chrono::milliseconds duration) -> task<> {
        ++begun;
        EXPECT_LE(++running, limit);
        co_await sleep_for(duration);
        --running;
      };
      co_await with_group([&](task_group& group) -> task<> {
        group.set_limit(limit);
        auto spawner = [&](std::chrono::milliseconds duration) -> task<> {
          co_await group.spawn_when_room(child, duration);
          ++given;
        };
        std::vector<task_handle<>> spawners;
        for (int i = 0; i < 30; ++i) {
          const auto duration = std::chrono::milliseconds(random.below(5));
          spawners.push_back(spawn(spawner, duration));
          if (random.one_in(2)) co_await sleep_for(std::chrono::milliseconds(random.below(3)));
          if (random.one_in(3)) spawners[random.below(spawners.size())].cancel();
        }
        for (auto& one : spawners) {
          try {
            co_await one.join();
          } catch (const cancelled&) {
          }
        }
      });
    };
    loop.run(main());
    EXPECT_EQ(begun, given) << "seed " << seed;
    EXPECT_EQ(running, 0U) << "seed " << seed;
  }
}

TEST(group_limit_deathtest, a_limit_of_0_is_a_misuse) {
  task_group group;
  EXPECT_DEATH(group.set_limit(0), "a limit of 0");
}

}  // namespace
}  // namespace brigade
