#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
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

TEST(group, gives_the_value_of_its_body_when_all_children_have_ended) {
  virtual_loop loop;
  int saw = 0;
  auto main = [&]() -> task<std::string> {
    auto slow = [&]() -> task<> {
      co_await sleep_for(1s);
      ++saw;
    };
    auto body = [&](task_group& group) -> task<std::string> {
      group.spawn(slow);
      co_return "value";
    };
    const std::string of_a_coroutine = co_await with_group(body);
    EXPECT_EQ(saw, 1);
    auto plain = [&](task_group& group) {
      group.spawn(slow);
      return 7;
    };
    co_return of_a_coroutine + std::to_string(co_await with_group(plain));
  };
  EXPECT_EQ(loop.run(main()), "value7");
  EXPECT_EQ(saw, 2);
}

TEST(group, cancelled_before_its_body_gave_a_value_it_says_so) {
  virtual_loop loop;
  auto main = []() -> task<std::string> {
    auto body = [](task_group& group) -> task<int> {
      group.cancel("had enough");
      co_await sleep_for(1s);
      co_return 1;
    };
    std::string said;
    try {
      static_cast<void>(co_await with_group(body));
    } catch (const invalid_state& error) {
      said = error.what();
    }
    co_return said;
  };
  EXPECT_NE(loop.run(main()).find("had enough"), std::string::npos);
}

TEST(group, cancel_before_the_run_strikes_at_its_beginning_and_after_it_does_nothing) {
  virtual_loop loop;
  int saw = 0;
  auto main = [&]() -> task<> {
    task_group group;
    group.cancel("early");
    group.cancel("again");
    EXPECT_TRUE(group.cancel_called());
    co_await group.run([&](task_group& open) { open.spawn(notes_cancellation, std::ref(saw)); });
    group.cancel("late");
    co_await sleep_for(1ms);
    task_group other;
    co_await other.run([](task_group&) {});
    other.cancel("late");
    EXPECT_FALSE(other.cancel_called());
  };
  loop.run(main());
  EXPECT_EQ(saw, 1);
}

TEST(group, with_nothing_to_wait_for_is_no_point_of_cancellation) {
  virtual_loop loop;
  bool went_on = false;
  auto worker = [&]() -> task<> {
    current_task().cancel();
    co_await with_group([](task_group&) {});
    went_on = true;
    co_await yield();
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(worker);
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
  EXPECT_TRUE(went_on);
}

TEST(group, a_scope_cancelled_around_it_while_it_waits_does_not_look_like_a_good_end) {
  virtual_loop loop;
  bool went_on = false;
  auto work = [&]() -> task<> {
    co_await with_group([](task_group& group) { group.spawn(sleeps, 1h, 1); });
    went_on = true;
  };
  EXPECT_THROW(loop.run(timeout(1s, work())), timed_out);
  EXPECT_FALSE(went_on);
}

TEST(group, a_shield_around_it_keeps_outer_cancellation_from_the_children) {
  virtual_loop loop;
  int done = 0;
  auto work = [&]() -> task<> {
    auto slow = [&]() -> task<> {
      co_await sleep_for(5s);
      ++done;
    };
    auto all = with_group([&](task_group& group) { group.spawn(slow); });
    co_await shielded(10s, std::move(all));
    co_await yield();
  };
  EXPECT_THROW(loop.run(timeout(1s, work())), timed_out);
  EXPECT_EQ(done, 1);
}

TEST(group, statistics_count_how_children_ended) {
  virtual_loop loop;
  auto main = []() -> task<task_group_statistics> {
    task_group group;
    try {
      co_await group.run([](task_group& open) -> task<> {
        open.spawn(sleeps, 1ms, 1);
        open.spawn(fails_after, 5ms, "burnt");
        open.spawn(sleeps, 1h, 1);
        co_await sleep_for(2ms);
        EXPECT_EQ(open.statistics().running, 2U);
      });
    } catch (const exception_group&) {
    }
    co_return group.statistics();
  };
  const task_group_statistics seen = loop.run(main());
  EXPECT_EQ(seen.spawned, 3U);
  EXPECT_EQ(seen.failed, 1U);
  EXPECT_EQ(seen.cancelled, 1U);
  EXPECT_EQ(seen.running, 0U);
  EXPECT_EQ(seen.limit, task_group::no_limit);
}

TEST(group, an_eager_child_that_ends_or_fails_at_once_is_one_of_the_group) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto at_once = []() -> task<int> { co_return 7; };
    auto fails = []() -> task<> {
      throw std::runtime_error("at once");
      co_return;
    };
    co_await with_group([&](task_group& group) {
      auto child = group.spawn(eager, at_once);
      EXPECT_TRUE(child.done());
      EXPECT_EQ(child.result(), 7);
      EXPECT_EQ(group.size(), 0U);
      group.spawn(eager, fails);
      EXPECT_TRUE(group.cancel_called());
    });
  };
  EXPECT_THROW(loop.run(main()), exception_group);
}

TEST(group, in_a_destroyed_frame_children_end_before_what_the_body_holds) {
  virtual_loop loop;
  std::string order;
  struct notes_end {
    notes_end(std::string& to, const char* what) : log(to), name(what) {}
    ~notes_end() { log += name; }
    std::string& log;
    const char* name;
  };
  auto parent = [&]() -> task<> {
    auto child = [&](const char* name) -> task<> {
      const notes_end note(order, name);
      co_await sleep_for(1h);
    };
    co_await with_group([&](task_group& group) -> task<> {
      const notes_end note(order, "body");
      group.spawn(child, "child,");
      auto inner = [&](task_group& deeper) { deeper.spawn(child, "grandchild,"); };
      co_await with_group(inner);
    });
  };
  auto main = [&]() -> task<> {
    auto handle = spawn(parent);
    co_await sleep_for(1s);
    loop::current().kill(handle.record());
    EXPECT_TRUE(handle.cancelled());
    EXPECT_EQ(loop::current().task_count(), 1U);
  };
  loop.run(main());
  EXPECT_EQ(order, "child,grandchild,body");
}

// Die at every step: whatever frame is destroyed, nothing is left behind.
TEST(group, killed_at_any_step_leaves_nothing_behind) {
  bool survived = false;
  for (std::uint64_t steps = 1; !survived; ++steps) {
    ASSERT_LT(steps, 500U);
    virtual_loop loop(steps);
    loop.kill_after(steps);
    auto held = std::make_shared<int>(1);
    auto main = [&]() -> task<> {
      auto child = [](std::shared_ptr<int> mine, bool fails) -> task<> {
        co_await sleep_for(std::chrono::milliseconds(*mine));
        if (fails) throw std::runtime_error("burnt");
      };
      auto serves = [](ready_signal<int> ready, std::shared_ptr<int> mine) -> task<> {
        co_await yield();
        ready.set(*mine);
        co_await sleep_for(1h);
      };
      co_await with_group([&](task_group& group) -> task<> {
        group.set_limit(2);
        static_cast<void>(co_await group.start(serves, held));
        for (int i = 0; i < 4; ++i) co_await group.spawn_when_room(child, held, i == 3);
        co_await with_group([&](task_group& inner) { inner.spawn(child, held, false); });
      });
    };
    try {
      loop.run(main());
    } catch (const exception_group&) {
    } catch (const cancelled&) {
    }
    survived = !loop.killed();
    EXPECT_EQ(held.use_count(), 1);
    EXPECT_TRUE(loop.timers().empty());
  }
}

TEST(group, the_wait_for_children_names_the_group_and_how_many) {
  virtual_loop loop;
  std::string dump;
  auto main = [&]() -> task<> {
    auto looks = [&]() -> task<> {
      dump = loop.dump_tasks();
      co_await yield();
    };
    auto body = [&](task_group& group) {
      group.spawn(sleeps, 1s, 1);
      group.spawn(looks);
    };
    co_await with_group(body, "kitchen");
  };
  loop.run(main());
  EXPECT_NE(dump.find("end of 2 tasks of kitchen"), std::string::npos) << dump;
}

}  // namespace
}  // namespace brigade
