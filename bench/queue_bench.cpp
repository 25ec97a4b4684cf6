// What handing an item over costs, with tickets, statistics and cancellation on.
//
//   W1  one producer ──> [ 1 ] ──> one consumer
//   W2  one producer ──> [ 1024 ] ──> one consumer
//   W2b the same, taken in batches
//   W3  one producer ──> [ 64 ] ──> eight consumers; every item settled, and joined
//   W5  a source ──> [ 64 ] ──> four ──> [ 64 ] ──> four ──> [ 64 ] ──> four
#include "measure.hpp"

#include <brigade/async.hpp>

#include <chrono>
#include <cstdint>
#include <functional>

namespace {

using bench::arguments;
using brigade::queue;
using brigade::task;
using brigade::task_group;

std::uint64_t sum = 0;

template <class T>
task<> produce(queue<T>& out, std::uint64_t items) {
  for (std::uint64_t i = 0; i < items; ++i) co_await out.put(bench::make<T>(i));
  out.close();
}

template <class T>
task<> produce_and_join(queue<T>& out, std::uint64_t items) {
  for (std::uint64_t i = 0; i < items; ++i) co_await out.put(bench::make<T>(i));
  co_await out.join();
  out.close();
}

template <class T>
task<> consume(queue<T>& in) {
  while (auto ticket = co_await in.take()) sum += bench::value(*ticket);
}

template <class T>
task<> consume_batches(queue<T>& in) {
  while (auto batch = co_await in.take_batch(1024)) {
    for (T& item : batch) sum += bench::value(item);
  }
}

template <class T>
task<> pass_on(queue<T>& in, queue<T>& out, int& alive) {
  while (auto ticket = co_await in.take()) co_await out.put(std::move(*ticket));
  if (--alive == 0) out.close();
}

template <class T>
task<> stream(std::uint64_t items, std::size_t capacity, task<> (*consumer)(queue<T>&)) {
  queue<T> between(capacity);
  auto body = [&](task_group& group) {
    group.spawn(consumer, std::ref(between));
    group.spawn(produce<T>, std::ref(between), items);
  };
  co_await brigade::with_group(std::ref(body));
}

template <class T>
task<> fan_out(std::uint64_t items) {
  queue<T> between(64);
  auto body = [&](task_group& group) {
    for (int i = 0; i < 8; ++i) group.spawn(consume<T>, std::ref(between));
    group.spawn(produce_and_join<T>, std::ref(between), items);
  };
  co_await brigade::with_group(std::ref(body));
}

template <class T>
task<> pipeline(std::uint64_t items) {
  queue<T> first(64);
  queue<T> second(64);
  queue<T> third(64);
  int first_stage = 4;
  int second_stage = 4;
  auto body = [&](task_group& group) {
    group.spawn(produce<T>, std::ref(first), items);
    for (int i = 0; i < 4; ++i) {
      group.spawn(pass_on<T>, std::ref(first), std::ref(second), std::ref(first_stage));
      group.spawn(pass_on<T>, std::ref(second), std::ref(third), std::ref(second_stage));
      group.spawn(consume<T>, std::ref(third));
    }
  };
  co_await brigade::with_group(std::ref(body));
}

/// Under a tool that slows the program down the loop would find its steps slow, and time them.
bool steps_may_be_slow = false;

void measure(task<> work, std::uint64_t items) {
  bench::stopwatch watch;
  brigade::loop own;
  if (steps_may_be_slow) own.set_slow_step_limit(std::chrono::nanoseconds::zero());
  own.run(std::move(work));
  watch.stop();
  bench::expect(sum, bench::sum_below(items));
  watch.print(items);
}

template <class T>
void run(const arguments& given) {
  if (given.workload == "W1") {
    const std::uint64_t items = given.items(5'000'000);
    measure(stream<T>(items, 1, consume<T>), items);
  } else if (given.workload == "W2") {
    const std::uint64_t items = given.items(10'000'000);
    measure(stream<T>(items, 1024, consume<T>), items);
  } else if (given.workload == "W2b") {
    const std::uint64_t items = given.items(10'000'000);
    measure(stream<T>(items, 1024, consume_batches<T>), items);
  } else if (given.workload == "W3") {
    const std::uint64_t items = given.items(10'000'000);
    measure(fan_out<T>(items), items);
  } else if (given.workload == "W5") {
    const std::uint64_t items = given.items(4'000'000);
    measure(pipeline<T>(items), items);
  } else {
    bench::unsupported();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  steps_may_be_slow = given.mode == "slow";
  given.heap ? run<bench::heap_item>(given) : run<std::uint64_t>(given);
}
