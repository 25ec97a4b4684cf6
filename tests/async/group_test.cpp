#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<int> sleeps(std::chrono::milliseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

task<> fails_after(std::chrono::milliseconds duration, const char* text) {
  co_await sleep_for(duration);
  throw std::runtime_error(text);
}

task<> notes_cancellation(int& count) {
  try {
    co_await sleep_for(1h);
  } catch (const cancelled&) {
    ++count;
    throw;
  }
}

TEST(group, waits_for_all_its_children) {
  virtual_loop loop;
  auto main = []() -> task<int> {
    int sum = 0;
    co_await with_group([&](task_group& group) -> task<> {
      auto one = group.spawn(sleeps, 10ms, 1);
      auto two = group.spawn(sleeps, 20ms, 2);
      sum += co_await one;
      sum += co_await two;
    });
    co_return sum;
  };
  EXPECT_EQ(loop.run(main()), 3);
}

TEST(group, a_body_that_joins_a_cancelled_child_does_not_end_as_if_all_were_well) {
  virtual_loop loop;
  bool went_on = false;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      auto child = group.spawn(sleeps, 1h, 1);
      co_await yield();
      child.cancel("by hand");
      co_await child;
    });
    went_on = true;
  };
  EXPECT_THROW(loop.run(main()), cancelled);
  EXPECT_FALSE(went_on);
}

TEST(group, a_cancel_from_outside_that_came_with_an_error_strikes_after_it) {
  for (const bool body_waits : {false, true}) {
    virtual_loop loop;
    std::string course;
    auto inner = [&]() -> task<> {
      auto fails_when_cancelled = []() -> task<> {
        bool struck = false;
        try {
          co_await sleep_for(1h);
        } catch (const cancelled&) {
          struck = true;
        }
        if (struck) throw std::runtime_error("in cleanup");
      };
      try {
        co_await with_group([&](task_group& group) -> task<> {
          group.spawn(fails_when_cancelled);
          if (body_waits) co_await sleep_for(1h);
        });
      } catch (const exception_group&) {
        course += "error,";
      }
      try {
        co_await sleep_for(1s);
        course += "slept";
      } catch (const cancelled&) {
        course += "cancelled";
      }
    };
    auto main = [&]() -> task<> {
      auto handle = spawn(inner);
      co_await sleep_for(1ms);
      handle.cancel("outside");
      co_await handle;
    };
    loop.run(main());
    EXPECT_EQ(course, "error,cancelled") << body_waits;
  }
}

TEST(group, a_child_started_when_the_others_have_just_ended_is_waited_for) {
  virtual_loop loop;
  bool finished = false;
  task_group* open = nullptr;
  auto late = [&]() -> task<> {
    co_await sleep_for(1s);
    finished = true;
  };
  auto main = [&]() -> task<> {
    std::optional<task_handle<int>> child;
    auto follower = [&]() -> task<> {
      co_await yield();
      co_await *child;
      open->spawn(late);
    };
    auto following = spawn(follower);
    co_await with_group([&](task_group& group) {
      open = &group;
      child.emplace(group.spawn(sleeps, 1ms, 1));
    });
    EXPECT_TRUE(finished);
    co_await following;
  };
  loop.run(main());
  EXPECT_TRUE(finished);
}

TEST(group, the_first_error_cancels_the_others_and_comes_out_in_a_group) {
  virtual_loop loop;
  int saw = 0;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      group.spawn(fails_after, 10ms, "burnt");
      group.spawn(notes_cancellation, std::ref(saw));
      group.spawn(notes_cancellation, std::ref(saw));
    });
  };
  try {
    loop.run(main());
    FAIL() << "no error came out";
  } catch (const exception_group& group) {
    ASSERT_EQ(group.errors().size(), 1U);
    EXPECT_EQ(error_text(group.errors()[0]), "burnt");
  }
  EXPECT_EQ(saw, 2);
}

TEST(group, an_error_of_the_body_cancels_the_children) {
  virtual_loop loop;
  int saw = 0;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      group.spawn(notes_cancellation, std::ref(saw));
      co_await sleep_for(1ms);
      throw std::runtime_error("body");
    });
  };
  EXPECT_THROW(loop.run(main()), exception_group);
  EXPECT_EQ(saw, 1);
}

TEST(group, cancelling_the_one_who_waits_cancels_the_children_and_waits_for_them) {
  virtual_loop loop;
  int saw = 0;
  auto parent = [](int& count) -> task<> {
    co_await with_group([&](task_group& group) {
      group.spawn(notes_cancellation, std::ref(count));
      group.spawn(notes_cancellation, std::ref(count));
    });
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(parent, std::ref(saw));
    co_await sleep_for(1s);
    handle.cancel("enough");
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
  EXPECT_EQ(saw, 2);
}

TEST(group, a_child_cancelled_by_hand_is_no_error) {
  virtual_loop loop;
  auto main = []() -> task<int> {
    int value = 0;
    co_await with_group([&](task_group& group) -> task<> {
      auto gone = group.spawn(sleeps, 1000ms, 1);
      auto stays = group.spawn(sleeps, 2000ms, 2);
      co_await sleep_for(1ms);
      gone.cancel();
      value = co_await stays;
    });
    co_return value;
  };
  EXPECT_EQ(loop.run(main()), 2);
}

TEST(group, cancel_ends_it_early_without_an_error) {
  virtual_loop loop;
  int saw = 0;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      group.spawn(notes_cancellation, std::ref(saw));
      co_await sleep_for(1ms);
      group.cancel();
    });
    co_await sleep_for(1ms);  // the cancellation does not leak out
  };
  loop.run(main());
  EXPECT_EQ(saw, 1);
}

TEST(group, a_task_spawned_into_a_cancelled_group_runs_to_its_first_wait) {
  virtual_loop loop;
  std::vector<std::string> seen;
  auto late = [](std::vector<std::string>& log) -> task<> {
    log.emplace_back("started");
    co_await sleep_for(1ms);
    log.emplace_back("never");
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      group.cancel();
      group.spawn(late, std::ref(seen));
    });
  };
  loop.run(main());
  EXPECT_EQ(seen, (std::vector<std::string>{"started"}));
}

TEST(group, errors_nest) {
  virtual_loop loop;
  auto inner = []() -> task<> {
    co_await with_group([](task_group& group) { group.spawn(fails_after, 1ms, "deep"); });
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) { group.spawn(inner); });
  };
  try {
    loop.run(main());
    FAIL();
  } catch (const exception_group& outer) {
    EXPECT_THROW(std::rethrow_exception(outer.errors().at(0)), exception_group);
  }
}

}  // namespace
}  // namespace brigade
