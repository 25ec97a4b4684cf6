// What a loop tells of its tasks. The primitives' own waits are described in their own tests.

#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

task<> takes(queue<int>& from) {
  auto item = co_await from.take();
  static_cast<void>(item);
}

TEST(dump_tasks, shows_children_below_their_parents_with_wait_line_and_time) {
  virtual_loop loop;
  queue<int> orders(4, "orders");
  std::string text;
  auto parent = [&]() -> task<> {
    co_await with_group(
        [&](task_group& group) { group.spawn_named("cook", takes, std::ref(orders)); });
  };
  auto main = [&]() -> task<> {
    auto kitchen = spawn(parent);
    kitchen.set_name("kitchen");
    co_await sleep_for(90s);
    text = loop::current().dump_tasks();
    kitchen.cancel();
  };
  loop.run(main());
  EXPECT_NE(text.find("  task 'main' runs\n    task 'kitchen' waits: end of 1 tasks of task group"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("\n      task 'cook' waits: take from queue 'orders' (0 of 4, empty), at "),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("diagnose_test.cpp:"), std::string::npos) << text;
  EXPECT_NE(text.find(", for 90.000 s\n"), std::string::npos) << text;
}

TEST(dump_tasks, as_json_has_ids_parents_states_and_blockers) {
  virtual_loop loop;
  event never("a \"quoted\"\nname");
  std::string json;
  auto waits = [&]() -> task<> { co_await never.wait(); };
  auto main = [&]() -> task<> {
    auto child = spawn(waits);
    child.set_name("child");
    auto joins = [&]() -> task<> { co_await child.join(); };
    auto other = spawn(joins);
    other.set_background();
    co_await sleep_for(1500ms);
    json = loop::current().dump_tasks(dump_format::json);
    never.set();
    co_await other;
  };
  loop.run(main());
  EXPECT_NE(json.find(R"({"id":1,"name":"main","parent":0,"background":false,"state":"running"})"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find(R"({"id":2,"name":"child","parent":1,"background":false,"state":"waiting",)"
                      R"("waits_for":"event 'a \"quoted\"\u000aname'","where":")"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("seconds":1.500,"blocked_by":[2]})"), std::string::npos) << json;
  EXPECT_EQ(json.front(), '[');
  EXPECT_EQ(json.back(), ']');
}

TEST(dump_tasks, has_the_line_of_a_handle_that_is_awaited) {
  virtual_loop loop;
  std::string text;
  auto sleeper = []() -> task<> { co_await sleep_for(1s); };
  auto main = [&]() -> task<> {
    auto handle = spawn(sleeper);
    auto waits = [&]() -> task<> { co_await handle; };
    auto waiting = spawn(waits);
    co_await yield();
    text = loop.dump_tasks();
    co_await waiting;
  };
  loop.run(main());
  const std::size_t line = text.find("end of task");
  ASSERT_NE(line, std::string::npos) << text;
  EXPECT_NE(text.find("diagnose_test.cpp:", line), std::string::npos) << text;
}

TEST(dump_tasks, of_a_chain_of_ten_thousand_children_does_not_recurse) {
  virtual_loop loop;
  std::size_t lines = 0;
  struct chain {
    static task<> link(int depth, event& end) {
      if (depth > 0) spawn(link, depth - 1, std::ref(end));
      co_await end.wait();
    }
  };
  auto main = [&]() -> task<> {
    event end;
    spawn(chain::link, 10'000, std::ref(end));
    co_await sleep_for(1s);
    const std::string text = loop::current().dump_tasks();
    lines = static_cast<std::size_t>(std::ranges::count(text, '\n'));
    end.set();
    co_await sleep_for(1s);
  };
  loop.run(main());
  EXPECT_EQ(lines, 10'002U);
}

TEST(circle, of_tasks_that_join_each_other_is_named_while_other_work_goes_on) {
  virtual_loop loop;
  std::vector<std::string> warnings;
  loop.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  std::vector<task_handle<>> tasks;
  auto joins = [&](std::size_t other) -> task<> {
    co_await yield();
    co_await tasks[other].join();
  };
  auto main = [&]() -> task<> {
    for (std::size_t i = 0; i < 3; ++i) {
      tasks.push_back(spawn(joins, (i + 1) % 3));
      tasks.back().set_name("t" + std::to_string(i));
    }
    co_await sleep_for(1s);
    EXPECT_EQ(warnings.size(), 1U);
    for (auto& one : tasks) one.cancel();
  };
  loop.run(main());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("tasks wait for each other: 't2' waits: end of task 't0', at "),
            std::string::npos)
      << warnings[0];
  EXPECT_NE(warnings[0].find("'t1' waits: end of task 't2'"), std::string::npos) << warnings[0];
}

TEST(circle, of_a_child_that_joins_its_groups_owner_is_named) {
  virtual_loop loop;
  std::vector<std::string> warnings;
  loop.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto child = [](task_ref owner) -> task<> {
    co_await yield();
    task_handle<> handle(static_cast<detail::spawned<void>&>(owner.record()));
    co_await handle.join();
  };
  auto owner = [&]() -> task<> {
    co_await with_group([&](task_group& group) { group.spawn(child, current_task()); });
  };
  auto main = [&]() -> task<> {
    auto running = spawn(owner);
    running.set_name("owner");
    co_await sleep_for(1s);
    running.cancel();
  };
  loop.run(main());
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("'owner' waits: end of 1 tasks of task group"), std::string::npos)
      << warnings[0];
}

// A world in which work takes time: whoever says so moves the clock.
class busy_world final : public detail::driver {
 public:
  [[nodiscard]] detail::time_point now() override { return now_; }
  void poll() override {}
  void wait_until(detail::time_point deadline) override { now_ = std::max(now_, deadline); }
  void wake() noexcept override {}
  void work(std::chrono::nanoseconds duration) { now_ += duration; }

 private:
  detail::time_point now_{1h};
};

TEST(slow_step, is_noticed_first_and_named_from_then_on) {
  auto owned = std::make_unique<busy_world>();
  busy_world& world = *owned;
  loop loop(std::move(owned));
  std::vector<std::string> warnings;
  loop.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto main = [&]() -> task<> {
    for (int i = 0; i < 2; ++i) {
      co_await sleep_for(1s);
      world.work(700ms);
    }
    co_await sleep_for(1s);
    world.work(400ms);
    co_await sleep_for(1s);
  };
  loop.run(main());
  ASSERT_EQ(warnings.size(), 2U);
  EXPECT_EQ(warnings[0],
            "1 steps in a row held the loop for 0.700 s; steps are timed now, and the next slow "
            "one is named");
  EXPECT_NE(warnings[1].find("task 'main' held the loop for 0.700 s, after its wait at "),
            std::string::npos)
      << warnings[1];
}

TEST(slow_step, has_a_limit_that_can_be_set_and_taken_away) {
  auto owned = std::make_unique<busy_world>();
  busy_world& world = *owned;
  loop loop(std::move(owned));
  std::vector<std::string> warnings;
  loop.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  auto main = [&]() -> task<> {
    loop::current().set_slow_step_limit(10ms);
    co_await yield();
    world.work(11ms);
    co_await sleep_for(1s);
    loop::current().set_slow_step_limit(0ns);
    co_await yield();
    world.work(10s);
    co_await sleep_for(1s);
  };
  loop.run(main());
  EXPECT_EQ(warnings.size(), 1U);
}

TEST(deadlock, whose_tasks_swallow_the_cancellation_ends_all_the_same) {
  virtual_loop loop;
  loop.on_warning = [](const std::string&) {};
  event never("never");
  auto main = [&]() -> task<> {
    for (;;) {
      try {
        co_await never.wait();
      } catch (const cancelled&) {
        continue;
      }
    }
  };
  EXPECT_THROW(loop.run(main()), deadlock);
}

}  // namespace
}  // namespace brigade
