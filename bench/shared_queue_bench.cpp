// What handing an item over costs between two threads, a loop each, by `shared_queue`: wall time.
//
//   W4  four producers ──> [ 64 ] ──> four consumers, two of each on a thread
//   W5  a source ──> [ 64 ] ──> four ──> [ 64 ] ──> four ──> [ 64 ] ──> four, half of each stage on
//   a
//       thread
#include "measure.hpp"

#include <brigade/async.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

namespace {

using bench::arguments;
using brigade::shared_queue;
using brigade::task;
using brigade::task_group;

constexpr std::uint64_t threads = 2;
constexpr std::uint64_t workers = 4;

std::atomic<std::uint64_t> sum = 0;

/// Every `step`th item from `first` on; the last of the producers closes.
template <class T>
task<> produce(shared_queue<T>& out, std::uint64_t first, std::uint64_t items, std::uint64_t step,
               std::atomic<std::uint64_t>& alive) {
  for (std::uint64_t i = first; i < items; i += step) co_await out.put(bench::make<T>(i));
  if (--alive == 0) out.close();
}

template <class T>
task<> consume(shared_queue<T>& in) {
  std::uint64_t seen = 0;
  while (auto ticket = co_await in.take()) seen += bench::value(*ticket);
  sum += seen;
}

template <class T>
task<> pass_on(shared_queue<T>& in, shared_queue<T>& out, std::atomic<std::uint64_t>& alive) {
  while (auto ticket = co_await in.take()) co_await out.put(std::move(*ticket));
  if (--alive == 0) out.close();
}

template <class T>
void cross(std::uint64_t items) {
  shared_queue<T> between(64);
  std::atomic<std::uint64_t> alive = workers;
  const auto one_thread = [&](std::uint64_t thread) -> task<> {
    auto body = [&](task_group& group) {
      for (std::uint64_t n = thread; n < workers; n += threads) {
        group.spawn(consume<T>, std::ref(between));
        group.spawn(produce<T>, std::ref(between), n, items, workers, std::ref(alive));
      }
    };
    co_await brigade::with_group(std::ref(body));
  };
  brigade::run_threads(threads, std::cref(one_thread));
}

template <class T>
void pipeline(std::uint64_t items) {
  shared_queue<T> first(64);
  shared_queue<T> second(64);
  shared_queue<T> third(64);
  std::atomic<std::uint64_t> source = 1;
  std::atomic<std::uint64_t> first_stage = workers;
  std::atomic<std::uint64_t> second_stage = workers;
  const auto one_thread = [&](std::uint64_t thread) -> task<> {
    auto body = [&](task_group& group) {
      if (thread == 0) {
        group.spawn(produce<T>, std::ref(first), std::uint64_t{0}, items, std::uint64_t{1},
                    std::ref(source));
      }
      for (std::uint64_t n = thread; n < workers; n += threads) {
        group.spawn(pass_on<T>, std::ref(first), std::ref(second), std::ref(first_stage));
        group.spawn(pass_on<T>, std::ref(second), std::ref(third), std::ref(second_stage));
        group.spawn(consume<T>, std::ref(third));
      }
    };
    co_await brigade::with_group(std::ref(body));
  };
  brigade::run_threads(threads, std::cref(one_thread));
}

template <class T>
void run(const arguments& given) {
  const std::uint64_t items = given.items(4'000'000);
  bench::stopwatch watch;
  if (given.workload == "W4") {
    cross<T>(items);
  } else if (given.workload == "W5") {
    pipeline<T>(items);
  } else {
    bench::unsupported();
  }
  watch.stop();
  bench::expect(sum, bench::sum_below(items));
  watch.print(items);
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  given.heap ? run<bench::heap_item>(given) : run<std::uint64_t>(given);
}
