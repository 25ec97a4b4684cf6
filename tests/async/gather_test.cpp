#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/gather.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::random_source;
using testing::virtual_loop;
using strings = std::vector<std::string>;

task<int> sleeps(std::chrono::milliseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

task<> fails_after(std::chrono::milliseconds duration, const char* text) {
  co_await sleep_for(duration);
  throw std::runtime_error(text);
}

/// Notes how it ended: by itself, cancelled, or with its frame.
class course {
 public:
  explicit course(strings& log, std::string name) : log_(log), name_(std::move(name)) {}
  course(const course&) = delete;
  course& operator=(const course&) = delete;
  ~course() { log_.push_back(name_ + " " + how); }
  std::string how = "destroyed";

 private:
  strings& log_;
  std::string name_;
};

task<int> noted(std::chrono::milliseconds duration, std::string name, strings& log) {
  course ended(log, std::move(name));
  try {
    co_await sleep_for(duration);
  } catch (const cancelled&) {
    ended.how = "cancelled";
    throw;
  }
  ended.how = "done";
  co_return 1;
}

TEST(gather, gives_a_tuple_in_the_order_of_its_arguments) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto text = []() -> task<std::string> { co_return "two"; };
    auto nothing = []() -> task<> { co_await sleep_for(1ms); };
    promise<std::unique_ptr<int>> fourth;
    fourth.set_value(std::make_unique<int>(4));
    auto third = spawn(sleeps, 5ms, 3);
    auto [a, b, c, d, e] =
        co_await gather(sleeps(10ms, 1), text(), third, fourth.get_future(), nothing());
    EXPECT_EQ(a, 1);
    EXPECT_EQ(b, "two");
    EXPECT_EQ(c, 3);
    EXPECT_EQ(*d, 4);
    static_assert(std::is_same_v<decltype(e), std::monostate>);
  };
  loop.run(main());
}

TEST(gather, of_nothing_but_void_gives_nothing) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto nothing = []() -> task<> { co_await sleep_for(1ms); };
    auto both = gather(nothing(), nothing());
    static_assert(std::is_void_v<decltype(both.await_resume())>);
    co_await both;
    std::vector<task<>> several;
    several.push_back(nothing());
    auto all = gather(std::move(several));
    static_assert(std::is_void_v<decltype(all.await_resume())>);
    co_await all;
  };
  loop.run(main());
}

TEST(gather, starts_its_tasks_in_the_call) {
  virtual_loop loop;
  auto main = []() -> task<> {
    const auto began = current_loop().now();
    auto both = gather(sleeps(10ms, 1), sleeps(10ms, 2));
    co_await sleep_for(10ms);
    co_await both;
    EXPECT_EQ(current_loop().now() - began, 10ms);
  };
  loop.run(main());
}

TEST(gather, cancels_what_it_started_at_the_first_error_and_waits_for_it) {
  virtual_loop loop;
  auto main = []() -> task<> {
    strings log;
    auto elsewhere = spawn(sleeps, 50ms, 3);
    auto cleans_up_slowly = [](strings& lines) -> task<> {
      bool struck = false;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        struck = true;
      }
      if (struck) co_await shielded(1s, [](strings&) -> task<> { co_await sleep_for(5ms); }(lines));
      lines.emplace_back("cleaned up");
    };
    const auto began = current_loop().now();
    std::string text;
    try {
      co_await gather(noted(1h, "sibling", log), cleans_up_slowly(log), elsewhere,
                      fails_after(10ms, "boom"));
    } catch (const std::runtime_error& error) {
      text = error.what();
    }
    EXPECT_EQ(text, "boom");
    EXPECT_EQ(log, (strings{"sibling cancelled", "cleaned up"}));
    EXPECT_EQ(current_loop().now() - began, 15ms);
    EXPECT_FALSE(elsewhere.done());
    EXPECT_EQ(co_await elsewhere, 3);
  };
  loop.run(main());
}

TEST(gather, that_keeps_running_leaves_its_tasks_to_the_loop) {
  virtual_loop loop;
  strings log;
  auto main = [&]() -> task<> {
    std::string text;
    try {
      co_await gather(keep_running, noted(20ms, "sibling", log), fails_after(10ms, "boom"));
    } catch (const std::runtime_error& error) {
      text = error.what();
    }
    EXPECT_EQ(text, "boom");
    EXPECT_EQ(log, strings{});
    co_await sleep_for(15ms);
    EXPECT_EQ(log, strings{"sibling done"});
  };
  loop.run(main());
}

TEST(gather, collects_what_became_of_each) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto gone = spawn(sleeps, 1h, 3);
    gone.cancel("not needed");
    const auto [a, b, c] =
        co_await gather(collect_errors, sleeps(1ms, 1), fails_after(2ms, "boom"), gone);
    EXPECT_EQ(a.value(), 1);
    EXPECT_EQ(a.error(), nullptr);
    EXPECT_FALSE(b.has_value());
    EXPECT_EQ(error_text(b.error()), "boom");
    EXPECT_FALSE(b.cancelled());
    EXPECT_TRUE(c.cancelled());
    EXPECT_EQ(error_text(c.error()), "cancelled: not needed");
    EXPECT_THROW(static_cast<void>(c.value()), cancelled);
  };
  loop.run(main());
}

TEST(gather, inside_a_scope_that_ends_ends_with_its_tasks) {
  virtual_loop loop;
  strings log;
  auto main = [&]() -> task<> {
    auto inner = [](strings& lines) -> task<> {
      auto elsewhere = spawn(noted, 1h, "given", std::ref(lines));
      co_await gather(noted(1h, "started", lines), elsewhere);
    };
    bool expired = false;
    try {
      co_await timeout(10ms, inner(log));
    } catch (const timed_out&) {
      expired = true;
    }
    EXPECT_TRUE(expired);
    EXPECT_EQ(log, (strings{"started cancelled", "given cancelled"}));
  };
  loop.run(main());
}

TEST(gather, passes_each_cancellation_of_its_waiter_on_once) {
  virtual_loop loop;
  strings log;
  auto main = [&]() -> task<> {
    auto stubborn = [](std::string name, strings& lines) -> task<> {
      for (int i = 0; i < 2; ++i) {
        try {
          co_await sleep_for(1h);
        } catch (const cancelled& why) {
          lines.push_back(name + ": " + why.reason());
        }
      }
    };
    auto awaits = [](auto member, strings& lines) -> task<> {
      auto given = spawn(member, "given", std::ref(lines));
      co_await gather(member("started", lines), given);
    };
    auto waits = spawn(awaits, stubborn, std::ref(log));
    co_await sleep_for(1ms);
    waits.cancel("one");
    co_await sleep_for(1ms);
    EXPECT_FALSE(waits.done());
    waits.cancel("two");
    co_await sleep_for(1ms);
    EXPECT_TRUE(waits.cancelled());
  };
  loop.run(main());
  EXPECT_EQ(log, (strings{"started: one", "given: one", "started: two", "given: two"}));
}

TEST(gather, whose_result_is_there_gives_it_and_the_cancellation_strikes_at_the_next_wait) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event go;
    auto waits = [](event& on) -> task<int> {
      co_await on.wait();
      co_return 42;
    };
    std::optional<int> got;
    auto awaits = [](auto member, event& on, std::optional<int>& result) -> task<> {
      auto [value] = co_await gather(member(on));
      result = value;
      co_await yield();
      result = -1;
    };
    auto waiter = spawn(awaits, waits, std::ref(go), std::ref(got));
    co_await sleep_for(1ms);
    go.set();
    co_await yield();  // the member ends; its gather has not resumed
    waiter.cancel();
    co_await sleep_for(1ms);
    EXPECT_EQ(got, 42);
    EXPECT_TRUE(waiter.cancelled());
  };
  loop.run(main());
}

TEST(gather, cancelled_by_hand_fails_though_its_members_do_not_mind) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto ignores = []() -> task<> {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        static_cast<void>(0);
      }
    };
    auto both = gather(collect_errors, ignores(), ignores());
    co_await yield();
    EXPECT_TRUE(both.cancel_all("enough"));
    std::string why;
    try {
      co_await both;
    } catch (const cancelled& by) {
      why = by.reason();
    }
    EXPECT_EQ(why, "enough");
  };
  loop.run(main());
}

TEST(gather, that_is_dropped_destroys_what_it_started_where_it_waits) {
  virtual_loop loop;
  strings log;
  auto main = [&]() -> task<> {
    auto given = spawn(noted, 10ms, "given", std::ref(log));
    {
      auto both = gather(noted(1h, "started", log), given);
      co_await yield();
    }
    EXPECT_EQ(log, strings{"started destroyed"});
    co_await given;
    EXPECT_EQ(log, (strings{"started destroyed", "given done"}));
  };
  loop.run(main());
}

TEST(gather, of_the_task_that_awaits_it_is_refused) {
  virtual_loop loop;
  auto main = []() -> task<> {
    strings log;
    std::string why;
    std::optional<task_handle<>> self;
    auto awaits_itself = [](std::optional<task_handle<>>& me, strings& lines) -> task<> {
      co_await gather(noted(1h, "started", lines), *me);
    };
    self = spawn(awaits_itself, std::ref(self), std::ref(log));
    try {
      co_await *self;
    } catch (const invalid_state& error) {
      why = error.what();
    }
    EXPECT_EQ(why, "a task awaits itself");
    EXPECT_EQ(log, strings{});  // it had not started
  };
  loop.run(main());
}

TEST(gather, is_named_with_its_line_when_it_hangs) {
  virtual_loop loop;
  auto main = []() -> task<> {
    event never("never");
    auto waits = [](event& on) -> task<> { co_await on.wait(); };
    co_await gather(waits(never), waits(never), sleeps(1ms, 1));
  };
  std::string text;
  try {
    loop.run(main());
  } catch (const deadlock& found) {
    text = found.what();
  }
  EXPECT_NE(text.find("gather of 3: 2 to go, at "), std::string::npos) << text;
  EXPECT_NE(text.find("gather_test.cpp:"), std::string::npos) << text;
}

/// Ends after a while in one of the ways a task can; counts itself while it runs.
task<int> ends_somehow(random_source& random, int& running) {
  const struct counted {
    explicit counted(int& of) : of_(of) { ++of_; }
    ~counted() { --of_; }
    int& of_;
  } alive(running);
  co_await sleep_for(1us * random.below(20));
  if (random.one_in(4)) throw std::runtime_error("failed");
  if (random.one_in(4)) co_await shielded(1s, [](int) -> task<> { co_await sleep_for(5us); }(0));
  if (random.one_in(4)) current_task().cancel();
  co_await yield();
  co_return 1;
}

TEST(gather, leaves_nothing_running_whatever_its_members_do_and_whenever_it_is_cancelled) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    virtual_loop loop(seed);
    random_source random(seed);
    auto main = [&]() -> task<> {
      int running = 0;
      auto gathers_some = [](random_source& chance, int& alive) -> task<> {
        std::vector<task<int>> members;
        for (int i = 0; i < 4; ++i) members.push_back(ends_somehow(chance, alive));
        if (chance.one_in(2)) {
          co_await gather(collect_errors, std::move(members));
        } else {
          co_await gather(std::move(members));
        }
      };
      auto all = spawn(gathers_some, std::ref(random), std::ref(running));
      for (std::uint64_t i = random.below(30); i > 0; --i) co_await sleep_for(1us);
      if (random.one_in(2)) all.cancel();
      while (!all.done()) co_await sleep_for(1us);
      EXPECT_EQ(running, 0) << "seed " << seed;
      static_cast<void>(all.error());
    };
    loop.run(main());
    EXPECT_EQ(loop.task_count(), 0U);
  }
}

task<int> gathers_inside(strings& log) {
  auto [a, b] = co_await gather(noted(3ms, "inner a", log), noted(1h, "inner b", log));
  co_return a + b;
}

TEST(gather, dies_at_every_step_without_leaving_anything) {
  bool killed = true;
  for (std::uint64_t steps = 1; killed; ++steps) {
    ASSERT_LT(steps, 200U);
    strings log;
    virtual_loop loop;
    loop.kill_after(steps);
    int reported = 0;
    loop.on_unhandled = [&](const std::string&, const std::exception_ptr&) { ++reported; };
    auto main = [&]() -> task<> {
      auto given = spawn(noted, 2ms, "given", std::ref(log));
      try {
        co_await gather(noted(1ms, "a", log), gathers_inside(log), given, fails_after(5ms, "boom"));
      } catch (const std::runtime_error&) {
        log.emplace_back("caught");
      }
    };
    try {
      loop.run(main());
    } catch (const cancelled&) {
      static_cast<void>(0);
    }
    killed = loop.killed();
    // Only who died between the error and its catch leaves it to be reported.
    EXPECT_TRUE(killed || reported == 0) << steps;
    EXPECT_EQ(loop.task_count(), 0U);
    EXPECT_TRUE(loop.timers().empty());
  }
}

task<> gathers(std::optional<task_handle<>>& other) { co_await gather(*other); }
task<> gathers_who_awaits_it(std::optional<task_handle<>>& self) {
  auto awaits = [&]() -> task<> { co_await *self; };
  co_await gather(awaits());
}

TEST(gather, of_tasks_that_gather_each_other_a_cancelled_one_ends_and_then_the_others) {
  virtual_loop loop;
  loop.on_warning = [](const std::string&) {};  // that names the circle
  auto main = []() -> task<> {
    std::optional<task_handle<>> a;
    std::optional<task_handle<>> b;
    a = spawn(gathers, std::ref(b));
    b = spawn(gathers, std::ref(a));
    co_await sleep_for(1s);
    a->cancel("enough");
    co_await sleep_for(1s);
    EXPECT_TRUE(a->cancelled());
    EXPECT_TRUE(b->cancelled());
    a = spawn(gathers_who_awaits_it, std::ref(a));
    co_await sleep_for(1s);
    a->cancel("enough");
    co_await sleep_for(1s);
    EXPECT_TRUE(a->cancelled());
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
