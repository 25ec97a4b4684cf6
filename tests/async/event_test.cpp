#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

namespace brigade {
namespace {

using namespace std::chrono_literals;

task<> wait_and_count(event& bell, int& woken) {
  co_await bell.wait();
  ++woken;
}

void run(const std::function<task<>()>& whole) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) testing::virtual_loop(seed).run(whole());
}

TEST(event, wakes_everyone_who_waits_and_none_before) {
  run([]() -> task<> {
    event bell;
    int woken = 0;
    co_await with_group([&](task_group& group) {
      for (int i = 0; i < 3; ++i) group.spawn(wait_and_count, std::ref(bell), std::ref(woken));
      group.spawn([&]() -> task<> {
        co_await sleep_for(1s);
        EXPECT_EQ(woken, 0);
        bell.set();
        EXPECT_EQ(woken, 0) << "nobody is resumed inside set";
      });
    });
    EXPECT_EQ(woken, 3);
  });
}

TEST(event, that_is_set_is_no_wait) {
  run([]() -> task<> {
    event bell;
    bell.set();
    const auto before = loop::current().steps();
    co_await bell.wait();
    EXPECT_EQ(loop::current().steps(), before);
  });
}

TEST(event, that_is_cleared_at_once_still_wakes_who_waited) {
  run([]() -> task<> {
    event bell;
    int woken = 0;
    co_await with_group([&](task_group& group) {
      group.spawn(wait_and_count, std::ref(bell), std::ref(woken));
      group.spawn([&]() -> task<> {
        co_await sleep_for(1s);
        bell.set();
        bell.clear();
        co_await sleep_for(1s);
        EXPECT_FALSE(bell.is_set());
        EXPECT_EQ(woken, 1);
      });
    });
  });
}

TEST(event, forgets_a_waiter_that_is_cancelled) {
  run([]() -> task<> {
    event bell;
    int woken = 0;
    co_await with_group([&](task_group& group) {
      auto first = group.spawn(wait_and_count, std::ref(bell), std::ref(woken));
      group.spawn(wait_and_count, std::ref(bell), std::ref(woken));
      group.spawn([&bell, first]() mutable -> task<> {
        co_await sleep_for(1s);
        EXPECT_TRUE(first.cancel());
        bell.set();
        co_await yield();
      });
    });
    EXPECT_EQ(woken, 1);
  });
}

TEST(event, nobody_will_set_is_named_in_the_deadlock) {
  testing::virtual_loop loop;
  auto whole = []() -> task<> {
    event bell("dinner");
    co_await bell.wait();
  };
  std::string said;
  try {
    loop.run(whole());
  } catch (const deadlock& why) {
    said = why.what();
  }
  EXPECT_NE(said.find("dinner"), std::string::npos) << said;
  EXPECT_NE(said.find("event_test.cpp"), std::string::npos) << said;
}

}  // namespace
}  // namespace brigade
