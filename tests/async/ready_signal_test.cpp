#include <brigade/async/group.hpp>
#include <brigade/async/ready_signal.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<> serve(ready_signal<int> ready, int port, std::string& log) {
  co_await sleep_for(1s);
  ready.set(port + 1);
  log += "ready,";
  co_await sleep_for(1s);
  log += "end,";
}

TEST(ready_signal, start_gives_the_value_and_the_child_goes_on_in_the_group) {
  virtual_loop loop;
  std::string log;
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      const int port = co_await group.start(serve, 80, std::ref(log));
      EXPECT_EQ(port, 81);
      EXPECT_EQ(group.size(), 1U);
      log += "body,";
    });
    log += "after";
  };
  loop.run(main());
  EXPECT_EQ(log, "ready,body,end,after");
}

TEST(ready_signal, one_without_a_value_only_says_when) {
  virtual_loop loop;
  auto main = [&]() -> task<bool> {
    bool prepared = false;
    auto child = [&](ready_signal<> ready) -> task<> {
      co_await sleep_for(1s);
      prepared = true;
      ready.set();
      EXPECT_TRUE(ready.is_set());
    };
    bool seen = false;
    co_await with_group([&](task_group& group) -> task<> {
      co_await group.start(child);
      seen = prepared;
    });
    co_return seen;
  };
  EXPECT_TRUE(loop.run(main()));
}

TEST(ready_signal, a_generic_callable_says_which_value_it_gives) {
  virtual_loop loop;
  auto main = [&]() -> task<std::unique_ptr<int>> {
    auto child = [](auto ready, int number) -> task<> {
      ready.set(std::make_unique<int>(number));
      co_await yield();
    };
    std::unique_ptr<int> given;
    co_await with_group([&](task_group& group) -> task<> {
      given = co_await group.start<std::unique_ptr<int>>(child, 7);
    });
    co_return given;
  };
  EXPECT_EQ(*loop.run(main()), 7);
}

TEST(ready_signal, an_error_before_it_comes_out_of_start_and_is_none_of_the_group) {
  virtual_loop loop;
  auto main = [&]() -> task<std::string> {
    auto child = [](ready_signal<int>) -> task<> {
      co_await sleep_for(1s);
      throw std::runtime_error("no such port");
    };
    std::string course;
    co_await with_group([&](task_group& group) -> task<> {
      try {
        co_await group.start(child);
      } catch (const std::runtime_error& error) {
        course += error.what();
      }
      EXPECT_FALSE(group.cancel_called());
      co_await sleep_for(1s);
      course += ", and on";
    });
    co_return course;
  };
  EXPECT_EQ(loop.run(main()), "no such port, and on");
}

TEST(ready_signal, an_error_after_it_is_the_groups) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    auto child = [](ready_signal<> ready) -> task<> {
      ready.set();
      throw std::runtime_error("later");
      co_await yield();
    };
    co_await with_group([&](task_group& group) -> task<> {
      co_await group.start(child);
      co_await sleep_for(1h);
    });
  };
  EXPECT_THROW(loop.run(main()), exception_group);
}

TEST(ready_signal, a_child_that_ends_before_it_is_named) {
  virtual_loop loop;
  auto main = [&]() -> task<std::string> {
    auto child = [](ready_signal<>) -> task<> { co_await sleep_for(1s); };
    std::string said;
    co_await with_group([&](task_group& group) -> task<> {
      try {
        co_await group.start(child);
      } catch (const never_ready& error) {
        said = error.what();
      }
    });
    co_return said;
  };
  EXPECT_NE(loop.run(main()).find("ended before it was ready"), std::string::npos);
}

TEST(ready_signal, a_cancelled_starter_cancels_the_child_and_waits_for_its_end) {
  for (const bool by_scope : {false, true}) {
    virtual_loop loop;
    std::string log;
    auto child = [&](ready_signal<>) -> task<> {
      bool struck = false;
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        struck = true;
      }
      EXPECT_TRUE(struck);
      auto cleanup = []() -> task<> { co_await sleep_for(2s); };
      co_await shielded(5s, cleanup());
      log += "child ended,";
      co_await yield();  // cancelled for good
      log += "never,";
    };
    task_group* open = nullptr;
    auto starter = [&]() -> task<> {
      try {
        co_await open->start(child);
      } catch (const cancelled&) {
        log += "cancelled,";
        throw;
      }
    };
    auto main = [&]() -> task<> {
      co_await with_group([&](task_group& group) -> task<> {
        open = &group;
        if (by_scope) {
          EXPECT_THROW(co_await timeout(1s, starter()), timed_out);
        } else {
          auto handle = spawn(starter);
          co_await sleep_for(1s);
          handle.cancel();
          EXPECT_THROW(co_await handle, cancelled);
        }
        EXPECT_FALSE(group.cancel_called());
        log += "body";
      });
    };
    loop.run(main());
    EXPECT_EQ(log, "child ended,cancelled,body") << by_scope;
  }
}

TEST(ready_signal, an_error_of_the_cancelled_child_beats_the_cancellation_which_strikes_after_it) {
  virtual_loop loop;
  std::string log;
  auto child = [&](ready_signal<>) -> task<> {
    try {
      co_await sleep_for(1h);
    } catch (const cancelled&) {
      log += "struck,";
    }
    throw std::runtime_error("in cleanup");
  };
  auto starter = [&](task_group& group) -> task<> {
    try {
      co_await group.start(child);
    } catch (const std::runtime_error& error) {
      log += error.what();
    }
    co_await sleep_for(1s);
    log += "never";
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      auto handle = spawn(starter, std::ref(group));
      co_await sleep_for(1s);
      handle.cancel();
      EXPECT_THROW(co_await handle, cancelled);
    });
  };
  loop.run(main());
  EXPECT_EQ(log, "struck,in cleanup");
}

TEST(ready_signal, start_into_a_cancelled_group_ends_with_it) {
  virtual_loop loop;
  int began = 0;
  auto child = [&](ready_signal<>) -> task<> {
    ++began;
    co_await sleep_for(1s);
    ++began;
  };
  auto main = [&]() -> task<> {
    task_group* open = nullptr;
    auto outside = [&]() -> task<> { EXPECT_THROW(co_await open->start(child), never_ready); };
    co_await with_group([&](task_group& group) -> task<> {
      open = &group;
      group.cancel();
      auto handle = spawn(outside);
      auto stays = [](task_handle<>& until) -> task<> { co_await until; };
      auto wait = stays(handle);
      co_await shielded(5s, std::move(wait));
    });
  };
  loop.run(main());
  EXPECT_EQ(began, 1);
}

TEST(ready_signal, when_the_starter_is_killed_the_child_stays_and_its_error_is_the_groups) {
  virtual_loop loop;
  auto child = [](ready_signal<> ready) -> task<> {
    co_await sleep_for(2s);
    ready.set();
    throw std::runtime_error("alone");
  };
  auto starter = [&](task_group& group) -> task<> { co_await group.start(child); };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      auto handle = spawn(starter, std::ref(group));
      co_await sleep_for(1s);
      loop::current().kill(handle.record());
      EXPECT_EQ(group.size(), 1U);
    });
  };
  EXPECT_THROW(loop.run(main()), exception_group);
}

TEST(ready_signal, a_killed_child_does_not_leave_its_starter_waiting) {
  virtual_loop loop;
  auto child = [](ready_signal<>) -> task<> { co_await sleep_for(1h); };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      auto starter = [&]() -> task<> { EXPECT_THROW(co_await group.start(child), never_ready); };
      auto handle = spawn(starter);
      co_await sleep_for(1s);
      for (const task_ref& task : all_tasks()) {
        const bool is_child = task != current_task() && task != handle;
        if (is_child) loop::current().kill(task.record());
      }
      co_await handle;
    });
  };
  loop.run(main());
}

TEST(ready_signal, start_waits_for_room) {
  virtual_loop loop;
  std::string log;
  auto sleeper = [&]() -> task<> {
    co_await sleep_for(1s);
    log += "first ended,";
  };
  auto child = [&](ready_signal<> ready) -> task<> {
    log += "second began";
    ready.set();
    co_await yield();
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> {
      group.set_limit(1);
      group.spawn(sleeper);
      co_await group.start(child);
    });
  };
  loop.run(main());
  EXPECT_EQ(log, "first ended,second began");
}

TEST(ready_signal_deathtest, ready_twice_is_a_misuse) {
  auto child = [](ready_signal<> ready) -> task<> {
    ready.set();
    ready.set();
    co_await yield();
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) -> task<> { co_await group.start(child); });
  };
  EXPECT_DEATH(
      {
        virtual_loop loop;
        loop.run(main());
      },
      "said twice that it is ready");
}

struct throws_when_moved {
  throws_when_moved() = default;
  throws_when_moved(throws_when_moved&&) { throw std::runtime_error("cannot be moved"); }
};

TEST(ready_signal, a_value_that_throws_when_it_is_set_was_not_set) {
  virtual_loop loop;
  bool set = true;
  auto bad_child = [&](ready_signal<throws_when_moved> ready) -> task<> {
    try {
      ready.set(throws_when_moved());
    } catch (const std::runtime_error&) {
      set = ready.is_set();
    }
    co_await yield();
  };
  auto main = [&]() -> task<> {
    auto body = [&](task_group& group) -> task<> {
      static_cast<void>(co_await group.start<throws_when_moved>(bad_child));
    };
    co_await with_group(std::ref(body));
  };
  try {
    loop.run(main());
    ADD_FAILURE() << "was ready without a value";
  } catch (const exception_group& failed) {
    EXPECT_THROW(std::rethrow_exception(failed.errors().front()), never_ready);
  }
  EXPECT_FALSE(set);
}

}  // namespace
}  // namespace brigade
