// asyncio's tests of task groups (CPython, test_taskgroups.py), by their names; each with tasks
// that start lazily and with tasks that start eagerly.
#include <brigade/async/cleanup.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

struct zero_division : std::runtime_error {
  zero_division() : std::runtime_error("division by zero") {}
};
struct value_error : std::runtime_error {
  value_error() : std::runtime_error("value") {}
};
struct my_error : std::runtime_error {
  my_error() : std::runtime_error("mine") {}
};

task<int> gives_after(std::chrono::milliseconds duration, int value) {
  co_await sleep_for(duration);
  co_return value;
}

task<> sleeps(std::chrono::nanoseconds duration) { co_await sleep_for(duration); }

template <class Error>
task<> fails_after(std::chrono::nanoseconds duration) {
  co_await sleep_for(duration);
  throw Error();
}

task<> counts_cancellation(int& count) {
  try {
    co_await sleep_for(10s);
  } catch (const cancelled&) {
    ++count;
    throw;
  }
}

/// True when the wait was cancelled; goes on either way, as a handler that awaits does.
task<bool> struck_within(std::chrono::nanoseconds duration) {
  bool struck = false;
  try {
    co_await sleep_for(duration);
  } catch (const cancelled&) {
    struck = true;
  }
  co_return struck;
}

/// Fails in its cleanup when it is cancelled.
task<> fails_when_cancelled() {
  const bool struck = co_await struck_within(10s);
  if (struck) throw zero_division();
}

/// The types of a group's errors, nested ones in braces: "group{zero}".
std::string shape_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const exception_group& group) {
    std::string text = "group{";
    for (const auto& inner : group.errors()) {
      if (text.back() != '{') text += ",";
      text += shape_of(inner);
    }
    return text + "}";
  } catch (const zero_division&) {
    return "zero";
  } catch (const value_error&) {
    return "value";
  } catch (const my_error&) {
    return "mine";
  } catch (const cancelled&) {
    return "cancelled";
  } catch (const std::exception& other) {
    return other.what();
  }
}

task<std::string> end_of(task<> body) {
  std::string end = "nothing";
  try {
    co_await std::move(body);
  } catch (...) {
    end = shape_of(std::current_exception());
  }
  co_return end;
}

class TaskGroupTests : public ::testing::TestWithParam<bool> {
 protected:
  template <class F, class... Args>
  auto start(task_group& group, F&& function, Args&&... args) {
    if (GetParam())
      return group.spawn(eager, std::forward<F>(function), std::forward<Args>(args)...);
    return group.spawn(std::forward<F>(function), std::forward<Args>(args)...);
  }
  /// Runs `body` as a task, cancels that after `delay`, and says how it ended.
  template <class Body>
  std::string end_when_cancelled_after(std::chrono::nanoseconds delay, Body body) {
    auto main = [&]() -> task<std::string> {
      auto handle = spawn(body);
      co_await sleep_for(delay);
      EXPECT_FALSE(handle.done());
      handle.cancel("from outside");
      auto wait = [](task_handle<> what) -> task<> { co_await what; };
      co_return co_await end_of(wait(handle));
    };
    return loop_.run(main());
  }
  template <class Body>
  std::string end_of_run(Body body) {
    return loop_.run(end_of(body()));
  }
  virtual_loop loop_;
};

TEST_P(TaskGroupTests, taskgroup_01) {
  auto main = [&]() -> task<int> {
    co_return co_await with_group([&](task_group& group) -> task<int> {
      auto one = start(group, gives_after, 100ms, 42);
      auto two = start(group, gives_after, 200ms, 11);
      const int first = co_await one;
      const int second = co_await two;
      co_return first + second;
    });
  };
  EXPECT_EQ(loop_.run(main()), 53);
}

TEST_P(TaskGroupTests, taskgroup_02) {
  auto main = [&]() -> task<> {
    std::optional<task_handle<int>> one;
    std::optional<task_handle<int>> two;
    co_await with_group([&](task_group& group) -> task<> {
      one = start(group, gives_after, 100ms, 42);
      co_await sleep_for(100ms);
      two = start(group, gives_after, 200ms, 11);
    });
    EXPECT_EQ(one->result(), 42);
    EXPECT_EQ(two->result(), 11);
  };
  loop_.run(main());
}

TEST_P(TaskGroupTests, taskgroup_03) {
  auto main = [&]() -> task<> {
    std::optional<task_handle<int>> one;
    std::optional<task_handle<int>> two;
    co_await with_group([&](task_group& group) -> task<> {
      one = start(group, gives_after, 10000ms, 42);
      co_await sleep_for(100ms);
      two = start(group, gives_after, 200ms, 11);
      one->cancel();
    });
    EXPECT_TRUE(one->cancelled());
    EXPECT_EQ(two->result(), 11);
  };
  loop_.run(main());
}

TEST_P(TaskGroupTests, taskgroup_04) {
  int struck = 0;
  bool went_on = false;
  auto body = [&]() -> task<> {
    std::optional<task_handle<>> other;
    auto noting = [&](task_group& group) {
      start(group, fails_after<zero_division>, 100ms);
      other = start(group, counts_cancellation, std::ref(struck));
    };
    const auto end = co_await end_of(with_group(noting));
    EXPECT_TRUE(other->cancelled());
    if (end != "nothing") throw std::runtime_error(end);
    went_on = true;
  };
  EXPECT_EQ(end_of_run(body), "group{zero}");
  EXPECT_EQ(struck, 1);
  EXPECT_FALSE(went_on);
}

TEST_P(TaskGroupTests, cancel_children_on_child_error) {
  int struck = 0;
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      for (int i = 0; i < 3; ++i) start(group, fails_after<zero_division>, 100ms);
      start(group, counts_cancellation, std::ref(struck));
      co_await counts_cancellation(struck);
    });
  };
  // The first error strikes the other two, which are due in the same turn, before they get there.
  EXPECT_EQ(end_of_run(body), "group{zero}");
  EXPECT_EQ(struck, 2);
}

TEST_P(TaskGroupTests, cancellation) {
  int struck = 0;
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      for (int i = 0; i < 5; ++i) start(group, counts_cancellation, std::ref(struck));
    });
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "cancelled");
  EXPECT_EQ(struck, 5);
}

TEST_P(TaskGroupTests, taskgroup_07) {
  int struck = 0;
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      for (int i = 0; i < 5; ++i) start(group, counts_cancellation, std::ref(struck));
      co_await counts_cancellation(struck);
    });
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "cancelled");
  EXPECT_EQ(struck, 6);
}

TEST_P(TaskGroupTests, taskgroup_08) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      for (int i = 0; i < 5; ++i) start(group, fails_when_cancelled);
      co_await sleep_for(10s);
    });
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "group{zero,zero,zero,zero,zero}");
}

TEST_P(TaskGroupTests, taskgroup_09) {
  auto body = [&]() -> task<> {
    std::vector<task_handle<int>> children;
    const auto end = co_await end_of(with_group([&](task_group& group) -> task<> {
      children.push_back(start(group, gives_after, 10000ms, 42));
      children.push_back(start(group, gives_after, 20000ms, 11));
      co_await sleep_for(100ms);
      throw zero_division();
    }));
    EXPECT_EQ(end, "group{zero}");
    for (const auto& child : children) EXPECT_TRUE(child.cancelled());
  };
  loop_.run(body());
}

TEST_P(TaskGroupTests, taskgroup_10) {
  auto body = [&]() -> task<> {
    std::vector<task_handle<int>> children;
    const auto end = co_await end_of(with_group([&](task_group& group) {
      children.push_back(start(group, gives_after, 10000ms, 42));
      children.push_back(start(group, gives_after, 20000ms, 11));
      throw zero_division();
    }));
    EXPECT_EQ(end, "group{zero}");
    for (const auto& child : children) EXPECT_TRUE(child.cancelled());
  };
  loop_.run(body());
}

TEST_P(TaskGroupTests, taskgroup_11) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group&) -> task<> {
      co_await with_group([&](task_group& inner) -> task<> {
        for (int i = 0; i < 2; ++i) start(inner, fails_when_cancelled);
        co_await sleep_for(10s);
      });
    });
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "group{group{zero,zero}}");
}

TEST_P(TaskGroupTests, taskgroup_12) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& outer) -> task<> {
      start(outer, sleeps, 10s);
      co_await with_group([&](task_group& inner) -> task<> {
        for (int i = 0; i < 2; ++i) start(inner, fails_when_cancelled);
        co_await sleep_for(10s);
      });
    });
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "group{group{zero,zero}}");
}

TEST_P(TaskGroupTests, taskgroup_13) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& outer) -> task<> {
      start(outer, fails_after<value_error>, 100ms);
      co_await with_group([&](task_group& inner) { start(inner, fails_after<value_error>, 10s); });
    });
  };
  EXPECT_EQ(end_of_run(body), "group{value}");
}

TEST_P(TaskGroupTests, taskgroup_14) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& outer) -> task<> {
      start(outer, fails_after<value_error>, 10s);
      co_await with_group(
          [&](task_group& inner) { start(inner, fails_after<value_error>, 100ms); });
    });
  };
  EXPECT_EQ(end_of_run(body), "group{group{value}}");
}

/// Its body is cancelled at 100 ms, and delays that for 500 ms.
task<> delays_its_cancellation() {
  const bool struck = co_await struck_within(10s);
  co_await sleep_for(500ms);
  if (struck) throw cancelled("in the end");
}

TEST_P(TaskGroupTests, taskgroup_15) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      start(group, fails_after<zero_division>, 300ms);
      co_await delays_its_cancellation();
    });
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "group{zero}");
}

TEST_P(TaskGroupTests, taskgroup_16) {
  auto inner = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      start(group, fails_after<zero_division>, 300ms);
      co_await delays_its_cancellation();
    });
  };
  auto body = [&]() -> task<> {
    auto handle = spawn(inner);
    co_await handle;
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "group{zero}");
}

TEST_P(TaskGroupTests, taskgroup_17) {
  int struck = 0;
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group&) -> task<> { co_await counts_cancellation(struck); });
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "cancelled");
  EXPECT_EQ(struck, 1);
}

TEST_P(TaskGroupTests, taskgroup_18) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group&) -> task<> {
      const bool struck = co_await struck_within(10s);
      if (struck) throw my_error();
    });
  };
  EXPECT_EQ(end_when_cancelled_after(100ms, body), "group{mine}");
}

TEST_P(TaskGroupTests, taskgroup_19) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      start(group, fails_after<zero_division>, 100ms);
      const bool struck = co_await struck_within(10s);
      if (struck) throw my_error();
    });
  };
  EXPECT_EQ(end_of_run(body), "group{zero,mine}");
}

TEST_P(TaskGroupTests, taskgroup_22) {
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      start(group, sleeps, 10s);
      start(group, sleeps, 10s);
    });
  };
  EXPECT_EQ(end_when_cancelled_after(50ms, body), "cancelled");
}

TEST_P(TaskGroupTests, taskgroup_23) {
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      for (int i = 0; i < 10; ++i) {
        start(group, sleeps, 10ms);
        co_await sleep_for(5ms);
        EXPECT_TRUE(i != 5 || group.statistics().running < 5U);
      }
      co_await sleep_for(1s);
      EXPECT_EQ(group.statistics().running, 0U);
      EXPECT_EQ(group.statistics().spawned, 10U);
    });
  };
  loop_.run(main());
}

TEST_P(TaskGroupTests, taskgroup_24) {
  int ended = 0;
  auto sibling = [&]() -> task<> {
    co_await sleep_for(100ms);
    ++ended;
  };
  auto main = [&]() -> task<> {
    auto spawns_two = [&](task_group& group) -> task<> {
      co_await yield();
      start(group, sibling);
      start(group, sibling);
    };
    co_await with_group([&](task_group& group) { start(group, spawns_two, std::ref(group)); });
  };
  loop_.run(main());
  EXPECT_EQ(ended, 2);
}

TEST_P(TaskGroupTests, taskgroup_25) {
  int hydras = 0;
  std::function<task<>(task_group&)> hydra = [&](task_group& group) -> task<> {
    ++hydras;
    co_await sleep_for(10ms);
    start(group, hydra, std::ref(group));
    start(group, hydra, std::ref(group));
  };
  auto hercules = [&]() -> task<> {
    while (hydras < 10) {
      const auto pause = 15ms;
      co_await sleep_for(pause);
    }
    throw zero_division();
  };
  auto body = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      start(group, hydra, std::ref(group));
      start(group, hercules);
    });
  };
  EXPECT_EQ(end_of_run(body), "group{zero}");
  EXPECT_GE(hydras, 10);
}

TEST_P(TaskGroupTests, taskgroup_task_name) {
  std::string inside;
  auto says_its_name = [&]() -> task<> {
    inside = current_task().name();
    co_await yield();
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      auto child = GetParam() ? group.spawn_named("cook", eager, says_its_name)
                              : group.spawn_named("cook", says_its_name);
      EXPECT_EQ(child.name(), "cook");
    });
  };
  loop_.run(main());
  EXPECT_EQ(inside, "cook");
}

TEST_P(TaskGroupTests, name) {
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      auto child = start(group, sleeps, 1ms);
      child.set_name("renamed");
      EXPECT_EQ(child.name(), "renamed");
    });
  };
  loop_.run(main());
}

// Here the late one is taken: it runs to its first wait, and is cancelled there.
TEST_P(TaskGroupTests, taskgroup_no_create_task_after_failure) {
  int begun = 0;
  int struck = 0;
  auto late = [&]() -> task<> {
    ++begun;
    co_await counts_cancellation(struck);
  };
  auto body = [&]() -> task<> {
    auto spawns_when_cancelled = [&](task_group& group) -> task<> {
      const bool was_struck = co_await struck_within(10s);
      if (was_struck) start(group, late);
    };
    co_await with_group([&](task_group& group) {
      start(group, spawns_when_cancelled, std::ref(group));
      start(group, fails_after<zero_division>, 100ms);
    });
  };
  EXPECT_EQ(end_of_run(body), "group{zero}");
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(struck, 1);
}

TEST_P(TaskGroupTests, taskgroup_context_manager_exit_raises) {
  auto main = [&]() -> task<> {
    const auto end = co_await end_of(with_group([&](task_group& group) -> task<> {
      auto use = [&]() -> task<> {
        start(group, fails_after<my_error>, 0s);
        co_await sleep_for(1s);
      };
      auto close = []() -> task<> {
        co_await yield();
        throw my_error();
      };
      co_await with_cleanup(use, close, 5s);
    }));
    EXPECT_EQ(end, "group{mine,mine}");
    EXPECT_EQ(current_task().cancelling(), 0);
  };
  loop_.run(main());
}

// What asyncio answers with a RuntimeError is a misuse here: the program ends and says which.
TEST_P(TaskGroupTests, taskgroup_already_entered) {
  auto main = []() -> task<> {
    task_group group;
    co_await group.run([](task_group& again) -> task<> { co_await again.run([](task_group&) {}); });
  };
  EXPECT_DEATH(loop_.run(main()), "a task group was run twice");
}

TEST_P(TaskGroupTests, taskgroup_double_enter) {
  auto main = []() -> task<> {
    task_group group;
    co_await group.run([](task_group&) {});
    co_await group.run([](task_group&) {});
  };
  EXPECT_DEATH(loop_.run(main()), "a task group was run twice");
}

TEST_P(TaskGroupTests, taskgroup_finished) {
  auto main = [&]() -> task<> {
    task_group group;
    co_await group.run([](task_group&) {});
    start(group, sleeps, 1s);
  };
  EXPECT_DEATH(loop_.run(main()), "spawned into a group that has ended");
}

// No coroutine is made, so there is none to close.
TEST_P(TaskGroupTests, coro_closed_when_tg_closed) {
  auto made = []() -> task<> {
    ADD_FAILURE() << "called";
    co_return;
  };
  auto main = [&]() -> task<> {
    task_group group;
    co_await group.run([](task_group&) {});
    start(group, made);
  };
  EXPECT_DEATH(loop_.run(main()), "spawned into a group that has ended");
}

TEST_P(TaskGroupTests, taskgroup_not_entered) {
  auto main = [&]() -> task<> {
    task_group group;
    start(group, sleeps, 1s);
    co_return;
  };
  EXPECT_DEATH(loop_.run(main()), "spawned into a group that does not run");
}

TEST_P(TaskGroupTests, taskgroup_without_parent_task) {
  task_group group;
  EXPECT_DEATH(start(group, sleeps, 1s), "spawned into a group that does not run");
}

TEST_P(TaskGroupTests, cancelling_level_preserved) {
  auto main = [&]() -> task<> {
    const auto end = co_await end_of(
        with_group([&](task_group& group) { start(group, fails_after<my_error>, 0s); }));
    EXPECT_EQ(end, "group{mine}");
    EXPECT_EQ(current_task().cancelling(), 0);
  };
  loop_.run(main());
}

// The groups' own cancellation is no request to the task: none is ever counted. That the outer
// group is being cancelled shows in the next wait.
TEST_P(TaskGroupTests, nested_groups_both_cancelled) {
  bool handled = false;
  auto fails_second = []() -> task<> {
    for (int turn = 0; turn < 3; ++turn) co_await yield();  // so that its timer comes second
    co_await fails_after<value_error>(10ms);
  };
  auto main = [&]() -> task<> {
    const auto end = co_await end_of(with_group([&](task_group& outer) -> task<> {
      start(outer, fails_second);
      auto inside = [&](task_group& inner) -> task<> {
        start(inner, fails_after<my_error>, 10ms);
        co_await sleep_for(1s);
      };
      const auto inner_end = co_await end_of(with_group(inside));
      EXPECT_EQ(inner_end, "group{mine}");
      handled = true;
      EXPECT_EQ(current_task().cancelling(), 0);
      const bool struck = co_await struck_within(1ms);
      EXPECT_TRUE(struck);
    }));
    EXPECT_EQ(end, "group{value}");
    EXPECT_EQ(current_task().cancelling(), 0);
    co_await yield();
  };
  loop_.run(main());
  EXPECT_TRUE(handled);
}

TEST_P(TaskGroupTests, error_and_cancel) {
  for (const bool error_first : {true, false}) {
    virtual_loop loop;
    bool went_on = false;
    auto worker = [&]() -> task<> {
      const auto end = co_await end_of(with_group([&](task_group& group) -> task<> {
        start(group, fails_after<my_error>, 10ms);
        co_await sleep_for(1s);
      }));
      EXPECT_EQ(end, "group{mine}");
      EXPECT_EQ(current_task().cancelling(), 1);
      co_await yield();
      went_on = true;
    };
    auto main = [&]() -> task<> {
      std::optional<task_handle<>> handle;
      if (error_first) {
        handle = spawn(eager, worker);
        co_await sleep_for(10ms);
      } else {
        auto sleeping = sleep_for(10ms);
        auto starts_later = [&]() -> task<> {
          handle = spawn(worker);
          co_return;
        };
        auto starting = spawn(starts_later);
        co_await sleeping;
        co_await starting;
      }
      handle->cancel();
      const auto end =
          co_await end_of([](task_handle<> what) -> task<> { co_await what; }(*handle));
      EXPECT_EQ(end, "cancelled");
      EXPECT_TRUE(handle->cancelled());
    };
    loop.run(main());
    EXPECT_FALSE(went_on);
  }
}

TEST_P(TaskGroupTests, cancels_task_if_created_during_creation) {
  bool ran = false;
  auto third = []() -> task<> {
    throw my_error();
    co_return;
  };
  auto body = [&]() -> task<> {
    auto second = [&](task_group& group) -> task<> {
      start(group, third);
      bool struck = false;
      try {
        co_await yield();
        co_await yield();
      } catch (const cancelled&) {
        struck = true;
      }
      EXPECT_TRUE(struck);
      ran = true;
    };
    co_await with_group([&](task_group& group) { start(group, second, std::ref(group)); });
  };
  EXPECT_EQ(end_of_run(body), "group{mine}");
  EXPECT_TRUE(ran);
}

TEST_P(TaskGroupTests, cancellation_does_not_leak_out_of_tg) {
  auto main = [&]() -> task<bool> {
    const auto end = co_await end_of(
        with_group([&](task_group& group) { start(group, fails_after<my_error>, 0s); }));
    EXPECT_EQ(end, "group{mine}");
    co_await yield();
    co_return true;
  };
  EXPECT_TRUE(loop_.run(main()));
}

INSTANTIATE_TEST_SUITE_P(all, TaskGroupTests, ::testing::Bool());

}  // namespace
}  // namespace brigade
