// Boost.Fiber: buffered_channel and stackful fibers. fiber WORKLOAD int|heap [ITEMS]
//
// A buffered_channel of c keeps c - 1 items, so W1 takes one of 2. Stacks are 16 KiB.
#include "measure.hpp"

#include <boost/fiber/all.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace {

namespace fibers = boost::fibers;
using bench::arguments;
using fibers::channel_op_status;
template <class T>
using channel = fibers::buffered_channel<T>;

std::uint64_t sum = 0;
fibers::fixedsize_stack stacks(16 * 1024);

template <class F>
fibers::fiber spawn(F function) {
  return fibers::fiber(fibers::launch::post, std::allocator_arg, stacks, std::move(function));
}

template <class T>
void consume(channel<T>& in) {
  T item;
  while (in.pop(item) == channel_op_status::success) sum += bench::value(item);
}
template <class T>
void produce(channel<T>& out, std::uint64_t items) {
  for (std::uint64_t i = 0; i < items; ++i) out.push(bench::make<T>(i));
  out.close();
}
template <class T>
void pass_on(channel<T>& in, channel<T>& out, int& alive) {
  T item;
  while (in.pop(item) == channel_op_status::success) out.push(std::move(item));
  if (--alive == 0) out.close();
}

template <class T>
void stream(std::uint64_t items, std::size_t capacity) {
  channel<T> between(capacity);
  fibers::fiber producer = spawn([&] { produce(between, items); });
  fibers::fiber consumer = spawn([&] { consume(between); });
  producer.join();
  consumer.join();
}

template <class T>
void fan_out(std::uint64_t items) {
  channel<T> between(64);
  std::uint64_t unfinished = 1;
  fibers::mutex guard;
  fibers::condition_variable finished;
  auto settle = [&] {
    const std::lock_guard lock(guard);
    if (--unfinished == 0) finished.notify_all();
  };
  std::vector<fibers::fiber> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(spawn([&] {
      T item;
      while (between.pop(item) == channel_op_status::success) {
        sum += bench::value(item);
        settle();
      }
    }));
  }
  all.push_back(spawn([&] {
    for (std::uint64_t i = 0; i < items; ++i) {
      {
        const std::lock_guard lock(guard);
        ++unfinished;
      }
      between.push(bench::make<T>(i));
    }
    settle();
    std::unique_lock lock(guard);
    finished.wait(lock, [&] { return unfinished == 0; });
    between.close();
  }));
  for (fibers::fiber& one : all) one.join();
}

template <class T>
void pipeline(std::uint64_t items) {
  channel<T> first(64);
  channel<T> second(64);
  channel<T> third(64);
  int first_stage = 4;
  int second_stage = 4;
  std::vector<fibers::fiber> all;
  all.push_back(spawn([&] { produce(first, items); }));
  for (int i = 0; i < 4; ++i) {
    all.push_back(spawn([&] { pass_on(first, second, first_stage); }));
    all.push_back(spawn([&] { pass_on(second, third, second_stage); }));
    all.push_back(spawn([&] { consume(third); }));
  }
  for (fibers::fiber& one : all) one.join();
}

template <class F>
void spawn_and_join(std::uint64_t tasks, F function) {
  std::vector<fibers::fiber> all;
  all.reserve(tasks);
  for (std::uint64_t i = 0; i < tasks; ++i) all.push_back(spawn(function));
  for (fibers::fiber& one : all) one.join();
}

void sleep_all(std::uint64_t tasks) {
  bench::random_numbers random;
  std::vector<fibers::fiber> all;
  for (std::uint64_t i = 0; i < tasks; ++i) {
    const std::chrono::microseconds duration(random.next() % 100'000);
    all.push_back(spawn([duration] {
      boost::this_fiber::sleep_for(duration);
      ++sum;
    }));
  }
  for (fibers::fiber& one : all) one.join();
}

void weigh(std::uint64_t tasks) {
  channel<int> nothing_comes(2);
  const double before = bench::resident();
  for (std::uint64_t i = 0; i < tasks; ++i) {
    spawn([&] {
      int item = 0;
      nothing_comes.pop(item);
    }).detach();
  }
  boost::this_fiber::yield();
  boost::this_fiber::yield();
  bench::print_bytes_and_exit((bench::resident() - before) / static_cast<double>(tasks));
}

template <class T>
void run(const arguments& given) {
  const bool stream_wanted = given.workload == "W1" || given.workload == "W2";
  const bool items_wanted = stream_wanted || given.workload == "W3" || given.workload == "W5";
  const std::uint64_t items = given.items(items_wanted ? 1'000'000 : 50'000);
  bench::stopwatch watch;
  if (stream_wanted) {
    stream<T>(items, given.workload == "W1" ? 2 : 1024);
  } else if (given.workload == "W3") {
    fan_out<T>(items);
  } else if (given.workload == "W5") {
    pipeline<T>(items);
  } else if (given.workload == "W6a" || given.workload == "W6aj") {
    spawn_and_join(items, [] { ++sum; });
  } else if (given.workload == "W6b" || given.workload == "W6bj") {
    spawn_and_join(items, [] {
      boost::this_fiber::yield();
      ++sum;
    });
  } else if (given.workload == "W6m") {
    weigh(items);
  } else if (given.workload == "W7") {
    sleep_all(items);
  } else {
    bench::unsupported();
  }
  watch.stop();
  bench::expect(sum, items_wanted ? bench::sum_below(items) : items);
  watch.print(items);
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  given.heap ? run<bench::heap_item>(given) : run<std::uint64_t>(given);
}
