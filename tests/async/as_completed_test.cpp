#include <brigade/async/as_completed.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::random_source;
using testing::virtual_loop;
using handle = task_handle<int>;
using stream = as_completed_stream<handle>;
using ints = std::vector<int>;

task<int> sleeps(std::chrono::milliseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

std::vector<handle> sleepers(int count) {
  std::vector<handle> all;
  for (int i = 0; i < count; ++i) all.push_back(spawn(sleeps, 1ms * (i + 1), i));
  return all;
}

task<> collects(stream& ends, ints& got) {
  while (auto next = co_await ends.next()) got.push_back(next->result());
}

TEST(as_completed, of_nothing_ends_at_once) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto ends = as_completed(std::vector<handle>{}, 1s);
    auto next = co_await ends.next();
    EXPECT_FALSE(next.has_value());
  };
  loop.run(main());
}

TEST(as_completed, gives_each_to_one_of_several_takers) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto ends = as_completed(sleepers(5));
    ints a;
    ints b;
    auto one = spawn(collects, std::ref(ends), std::ref(a));
    auto two = spawn(collects, std::ref(ends), std::ref(b));
    co_await one;
    co_await two;
    EXPECT_EQ(a, (ints{0, 2, 4}));
    EXPECT_EQ(b, (ints{1, 3}));
    EXPECT_EQ(ends.left(), 0U);
  };
  loop.run(main());
}

TEST(as_completed, passes_on_what_a_cancelled_taker_was_promised) {
  virtual_loop loop;
  auto main = []() -> task<> {
    promise<int> answer;
    const std::vector<future<int>> one = {answer.get_future()};
    auto ends = as_completed(one);
    auto takes = [](auto& from, std::optional<int>& got) -> task<> {
      auto next = co_await from.next();
      if (next) got = next->result();
    };
    std::optional<int> first;
    std::optional<int> second;
    auto gone = spawn(takes, std::ref(ends), std::ref(first));
    auto stays = spawn(takes, std::ref(ends), std::ref(second));
    co_await yield();
    answer.set_value(42);
    gone.cancel();
    co_await stays;
    EXPECT_TRUE(gone.cancelled());
    EXPECT_FALSE(first.has_value());
    EXPECT_EQ(second, 42);
  };
  loop.run(main());
}

TEST(as_completed, whose_time_is_up_gives_what_has_ended_first) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto ends = as_completed(sleepers(3), 2500us);
    co_await sleep_for(2600us);
    auto first = co_await ends.next();
    EXPECT_EQ(first->result(), 0);
    auto second = co_await ends.next();
    EXPECT_EQ(second->result(), 1);
    bool expired = false;
    try {
      co_await ends.next();
    } catch (const timed_out&) {
      expired = true;
    }
    EXPECT_TRUE(expired);
    co_await sleep_for(1ms);
    auto third = co_await ends.next();
    EXPECT_EQ(third->result(), 2);
    auto none = co_await ends.next();
    EXPECT_FALSE(none.has_value());
  };
  loop.run(main());
}

TEST(as_completed, wakes_all_who_wait_when_its_time_is_up) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto ends = as_completed(sleepers(1), 500us);
    ints got;
    auto one = spawn(collects, std::ref(ends), std::ref(got));
    auto two = spawn(collects, std::ref(ends), std::ref(got));
    co_await sleep_for(600us);
    EXPECT_THROW(std::rethrow_exception(one.error()), timed_out);
    EXPECT_THROW(std::rethrow_exception(two.error()), timed_out);
    co_await sleep_for(1ms);
  };
  loop.run(main());
}

TEST(as_completed, loses_and_doubles_nothing_whoever_is_cancelled_and_when) {
  constexpr int members = 6;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    virtual_loop loop(seed);
    random_source random(seed);
    ints got;
    auto main = [&]() -> task<> {
      std::vector<promise<int>> promises(members);
      std::vector<future<int>> futures;
      for (auto& one : promises) futures.push_back(one.get_future());
      auto ends = as_completed(futures);
      auto takes = [](auto& from, ints& into) -> task<> {
        while (auto next = co_await from.next()) {
          into.push_back(next->result());
          co_await yield();
        }
      };
      std::vector<task_handle<>> takers;
      for (int i = 0; i < 4; ++i) takers.push_back(spawn(takes, std::ref(ends), std::ref(got)));
      int settled = 0;
      while (settled < members) {
        if (random.one_in(2)) promises[static_cast<std::size_t>(settled)].set_value(settled);
        if (promises[static_cast<std::size_t>(settled)].done()) ++settled;
        if (random.one_in(3)) takers[random.below(3)].cancel();  // the last one always stays
        if (random.one_in(2)) co_await yield();
      }
      for (auto& taker : takers) {
        const std::vector<task_handle<>> one = {taker};
        while (!taker.done()) co_await yield();
      }
      EXPECT_EQ(ends.left(), 0U) << "seed " << seed;
    };
    loop.run(main());
    ints sorted = got;
    std::ranges::sort(sorted);
    EXPECT_EQ(sorted, (ints{0, 1, 2, 3, 4, 5})) << "seed " << seed;
  }
}

TEST(as_completed, is_named_with_its_line_when_it_hangs) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event never("never");
    auto waits = [](event& on) -> task<> { co_await on.wait(); };
    const std::vector<task_handle<>> one = {spawn(waits, std::ref(never))};
    auto ends = as_completed(one);
    auto next = co_await ends.next();
    EXPECT_FALSE(next.has_value());
  };
  std::string text;
  try {
    loop.run(main());
  } catch (const deadlock& found) {
    text = found.what();
  }
  EXPECT_NE(text.find("next of 1 to end: 1 to go, at "), std::string::npos) << text;
  EXPECT_NE(text.find("as_completed_test.cpp:"), std::string::npos) << text;
}

TEST(as_completed_death, destroyed_while_somebody_waits_is_a_misuse) {
  auto drops_it = [] {
    virtual_loop loop;
    auto main = []() -> task<> {
      std::optional<stream> ends(std::in_place, sleepers(1), std::nullopt);
      ints got;
      auto taker = spawn(collects, std::ref(*ends), std::ref(got));
      co_await yield();
      ends.reset();
      co_await taker;
    };
    loop.run(main());
  };
  EXPECT_DEATH(drops_it(), "as_completed was destroyed while a task awaits its next");
}

}  // namespace
}  // namespace brigade
