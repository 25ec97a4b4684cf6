// What time costs.
//
//   W7     a million tasks, each sleeps 0 to 100 ms
//   W7b    a million deadlines set and lifted, beside a thousand that stay set
//   W7bto  a million times `timeout` around a coroutine that ends at once
#include "measure.hpp"

#include <brigade/async.hpp>

#include <chrono>
#include <cstdint>
#include <functional>

namespace {

using bench::arguments;
using brigade::task;
using brigade::task_group;
using std::chrono::microseconds;
using std::chrono::milliseconds;

std::uint64_t sum = 0;

task<> sleep(microseconds duration) {
  co_await brigade::sleep_for(duration);
  ++sum;
}

task<> sleep_all(std::uint64_t tasks) {
  auto body = [=](task_group& group) {
    bench::random_numbers random;
    for (std::uint64_t i = 0; i < tasks; ++i) {
      group.spawn(sleep, microseconds(random.next() % 100'000));
    }
  };
  co_await brigade::with_group(std::ref(body));
}

task<> stay(milliseconds deadline) {
  brigade::queue<int> nothing_comes(1);
  brigade::deadline_scope limit(deadline);
  co_await nothing_comes.take();
}

/// Sets a thousand deadlines that stay, runs `work` beside them and lifts them.
task<> beside_a_thousand(task<> work) {
  task<> inside = std::move(work);
  auto body = [&](task_group& group) -> task<> {
    for (int i = 0; i < 1000; ++i) group.spawn(stay, milliseconds(60'000 + i));
    co_await brigade::yield();
    bench::stopwatch watch;
    co_await std::move(inside);
    watch.stop();
    watch.print(sum);
    group.cancel();
  };
  co_await brigade::with_group(std::ref(body));
}

task<> set_and_lift(std::uint64_t times) {
  bench::random_numbers random;
  for (std::uint64_t i = 0; i < times; ++i) {
    const brigade::deadline_scope limit(milliseconds(1000 + random.next() % 1000));
    sum += limit.cancel_called() ? 0 : 1;
  }
  co_return;
}

task<> end_at_once() {
  ++sum;
  co_return;
}

task<> time_out(std::uint64_t times) {
  bench::random_numbers random;
  for (std::uint64_t i = 0; i < times; ++i) {
    co_await brigade::timeout(milliseconds(1000 + random.next() % 1000), end_at_once());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  if (given.workload == "W7") {
    const std::uint64_t tasks = given.items(1'000'000);
    bench::stopwatch watch;
    brigade::run(sleep_all(tasks));
    watch.stop();
    bench::expect(sum, tasks);
    watch.print(tasks);
  } else if (given.workload == "W7b" || given.workload == "W7bto") {
    const std::uint64_t times = given.items(2'000'000);
    const bool scope = given.workload == "W7b";
    brigade::run(beside_a_thousand(scope ? set_and_lift(times) : time_out(times)));
    bench::expect(sum, times);
  } else {
    bench::unsupported();
  }
}
