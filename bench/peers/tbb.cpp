// oneTBB: parallel_pipeline (W5), task_group (W6a). tbb WORKLOAD int|heap [ITEMS [THREADS]]
//
// On one thread unless told otherwise. A pipeline carries one item through all its stages in one
// task, without queues between them. concurrent_bounded_queue blocks threads, so W1 to W4 would
// measure the kernel.
#include "measure.hpp"

#include <oneapi/tbb.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace {

using bench::arguments;

std::atomic<std::uint64_t> sum = 0;

/// TBB copies items between stages, so the heap item travels as a plain pointer.
template <class T>
T make(std::uint64_t number) {
  if constexpr (std::is_pointer_v<T>) {
    return bench::make<bench::heap_item>(number).release();
  } else {
    return number;
  }
}
std::uint64_t consume(std::uint64_t item) { return item; }
std::uint64_t consume(bench::blob* item) { return bench::heap_item(item)->value; }

template <class T>
void pipeline(std::uint64_t items) {
  std::uint64_t next = 0;
  const auto source = [&](tbb::flow_control& control) -> T {
    if (next != items) return make<T>(next++);
    control.stop();
    return T{};
  };
  const auto pass = [](T item) { return item; };
  const auto sink = [](T item) { sum.fetch_add(consume(item), std::memory_order_relaxed); };
  tbb::parallel_pipeline(64, tbb::make_filter<void, T>(tbb::filter_mode::serial_in_order, source) &
                                 tbb::make_filter<T, T>(tbb::filter_mode::parallel, pass) &
                                 tbb::make_filter<T, T>(tbb::filter_mode::parallel, pass) &
                                 tbb::make_filter<T, void>(tbb::filter_mode::parallel, sink));
}

void spawn_and_wait(std::uint64_t tasks) {
  tbb::task_group group;
  for (std::uint64_t i = 0; i < tasks; ++i) group.run([] { ++sum; });
  group.wait();
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  const std::uint64_t items = given.items(1'000'000);
  const std::size_t threads = given.mode.empty() ? 1 : std::stoul(given.mode);
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
  bench::stopwatch watch;
  if (given.workload == "W5") {
    given.heap ? pipeline<bench::blob*>(items) : pipeline<std::uint64_t>(items);
  } else if (given.workload == "W6a" && !given.heap) {
    spawn_and_wait(items);
  } else {
    bench::unsupported();
  }
  watch.stop();
  bench::expect(sum, given.workload == "W5" ? bench::sum_below(items) : items);
  watch.print(items);
}
