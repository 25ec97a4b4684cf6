// What a task costs.
//
//   W6a   a million tasks that do nothing, spawned into a group that waits for them
//   W6b   the same, each yields once
//   W6aj  as W6a, with handles kept and results taken
//   W6bj  as W6b, with handles kept and results taken
//   W6m   resident bytes of a task that waits for an item
#include "measure.hpp"

#include <brigade/async.hpp>

#include <cstdint>
#include <functional>
#include <vector>

namespace {

using bench::arguments;
using brigade::task;
using brigade::task_group;

std::uint64_t sum = 0;

task<> nothing() {
  ++sum;
  co_return;
}
task<> one_yield() {
  co_await brigade::yield();
  ++sum;
}
task<std::uint64_t> one() { co_return 1; }
task<std::uint64_t> one_after_a_yield() {
  co_await brigade::yield();
  co_return 1;
}

task<> spawn_detached(std::uint64_t tasks, task<> (*work)()) {
  auto body = [=](task_group& group) {
    for (std::uint64_t i = 0; i < tasks; ++i) group.spawn(work);
  };
  co_await brigade::with_group(std::ref(body));
}

task<> spawn_and_join(std::uint64_t tasks, task<std::uint64_t> (*work)()) {
  std::vector<brigade::task_handle<std::uint64_t>> handles;
  handles.reserve(tasks);
  for (std::uint64_t i = 0; i < tasks; ++i) handles.push_back(brigade::spawn(work));
  for (auto& handle : handles) sum += co_await handle;
}

task<> wait_for_an_item(brigade::queue<std::uint64_t>& from) {
  while (auto ticket = co_await from.take()) sum += *ticket;
}

task<> weigh(std::uint64_t tasks) {
  brigade::queue<std::uint64_t> nothing_comes(1);
  const double before = bench::resident();
  auto body = [&](task_group& group) -> task<> {
    for (std::uint64_t i = 0; i < tasks; ++i) {
      group.spawn(wait_for_an_item, std::ref(nothing_comes));
    }
    co_await brigade::yield();
    bench::print_bytes_and_exit((bench::resident() - before) / static_cast<double>(tasks));
  };
  co_await brigade::with_group(std::ref(body));
}

void measure(task<> work, std::uint64_t tasks) {
  bench::stopwatch watch;
  brigade::run(std::move(work));
  watch.stop();
  bench::expect(sum, tasks);
  watch.print(tasks);
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  const std::uint64_t tasks = given.items(1'000'000);
  if (given.workload == "W6a") {
    measure(spawn_detached(tasks, nothing), tasks);
  } else if (given.workload == "W6b") {
    measure(spawn_detached(tasks, one_yield), tasks);
  } else if (given.workload == "W6aj") {
    measure(spawn_and_join(tasks, one), tasks);
  } else if (given.workload == "W6bj") {
    measure(spawn_and_join(tasks, one_after_a_yield), tasks);
  } else if (given.workload == "W6m") {
    brigade::run(weigh(tasks));
  } else {
    bench::unsupported();
  }
}
