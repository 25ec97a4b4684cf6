// Who waits for whom: CPython's test_graph.py. A stack of awaits in place is one task here, so the
// edges are those between tasks.

#include <brigade/async/event.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/gather.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/shield.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/async/wait.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using names = std::vector<std::string>;

names awaiting(const task_ref& task) {
  names found;
  for (const task_ref& one : task.awaited_by()) found.push_back(one.name());
  std::ranges::sort(found);
  return found;
}

task<> waits(event& end) { co_await end.wait(); }
task<> joins(task_handle<> other) { co_await other.join(); }

// Runs `owner`, which waits for the task that it hands out, and looks at that one's edges.
names edges(std::function<task<>(event&, task_handle<>&)> owner) {
  virtual_loop loop;
  names found;
  auto main = [&]() -> task<> {
    event end;
    task_handle<> seen = spawn(waits, std::ref(end));
    auto running = spawn(owner, std::ref(end), std::ref(seen));
    running.set_name("owner");
    co_await sleep_for(1ms);
    found = awaiting(seen);
    end.set();
    co_await running.join();
  };
  loop.run(main());
  return found;
}

TEST(GraphTests, stack_task) {
  auto owner = [](event&, task_handle<>& seen) -> task<> { co_await seen; };
  EXPECT_EQ(edges(owner), names{"owner"});
}

TEST(GraphTests, stack_future) {
  virtual_loop loop;
  auto main = []() -> task<> {
    promise<int> inner;
    auto body = [](future<int> awaited) -> task<> { co_await awaited.wait(); };
    auto one = spawn(body, inner.get_future());
    auto two = spawn(body, inner.get_future());
    co_await yield();
    const std::string dump = loop::current().dump_tasks(dump_format::json);
    std::size_t edges_found = 0;
    for (std::size_t at = dump.find("\"future"); at != std::string::npos;
         at = dump.find("\"future", at + 1)) {
      ++edges_found;
    }
    EXPECT_EQ(edges_found, 2U) << dump;
    inner.set_value(1);
    co_await one;
    co_await two;
  };
  loop.run(main());
}

TEST(GraphTests, stack_tgroup) {
  auto owner = [](event& end, task_handle<>& seen) -> task<> {
    co_await with_group([&](task_group& group) {
      seen = group.spawn(waits, std::ref(end));
      group.spawn(joins, seen).set_name("sibling 1");
      group.spawn(joins, seen).set_name("sibling 2");
    });
  };
  EXPECT_EQ(edges(owner), (names{"owner", "sibling 1", "sibling 2"}));
}

TEST(GraphTests, stack_gather) {
  auto owner = [](event&, task_handle<>& seen) -> task<> {
    std::vector<task_handle<>> all = {seen};
    co_await gather(all);
  };
  EXPECT_EQ(edges(owner), names{"owner"});
}

TEST(GraphTests, stack_shield) {
  auto owner = [](event&, task_handle<>& seen) -> task<> { co_await shield(seen); };
  EXPECT_EQ(edges(owner), names{"owner"});
}

TEST(GraphTests, stack_wait) {
  auto owner = [](event&, task_handle<>& seen) -> task<> {
    std::vector<task_handle<>> all = {seen};
    const auto result = co_await wait(all);
    static_cast<void>(result);
  };
  EXPECT_EQ(edges(owner), names{"owner"});
}

TEST(GraphTests, stack_timeout) {
  auto owner = [](event&, task_handle<>& seen) -> task<> {
    auto inside = [](task_handle<> awaited) -> task<> { co_await awaited.join(); };
    co_await timeout(1h, inside(seen));
  };
  EXPECT_EQ(edges(owner), names{"owner"});
}

}  // namespace
}  // namespace brigade
