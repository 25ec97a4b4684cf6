// The workloads on the bare loop. prototype WORKLOAD int|heap [ITEMS]
#include "prototype.hpp"

#include "measure.hpp"

#include <time.h>

#include <chrono>
#include <cstdint>
#include <vector>

namespace {

using namespace prototype;
using bench::arguments;

std::uint64_t sum = 0;

template <class T>
detached produce(queue<T>& out, std::uint64_t items, bool join) {
  for (std::uint64_t i = 0; i < items; ++i) co_await out.put(bench::make<T>(i));
  if (join) co_await out.join();
  out.close();
}
template <class T>
detached consume(queue<T>& in) {
  while (auto ticket = co_await in.take()) sum += bench::value(ticket.item);
}
template <class T>
detached consume_batches(queue<T>& in) {
  while (auto first = co_await in.take()) {
    sum += bench::value(first.item);
    in.drain([](T item) { sum += bench::value(item); });
  }
}
template <class T>
detached pass_on(queue<T>& in, queue<T>& out, int& alive) {
  while (auto ticket = co_await in.take()) co_await out.put(std::move(ticket.item));
  if (--alive == 0) out.close();
}

template <class T>
void stream(std::uint64_t items, std::size_t capacity, int consumers, bool batches = false) {
  queue<T> between(capacity);
  bench::stopwatch watch;
  for (int i = 0; i < consumers; ++i) {
    spawn(batches ? consume_batches(between) : consume(between));
  }
  spawn(produce<T>(between, items, consumers > 1));
  ready->run();
  watch.stop();
  bench::expect(sum, bench::sum_below(items));
  watch.print(items);
}

template <class T>
void pipeline(std::uint64_t items) {
  queue<T> first(64);
  queue<T> second(64);
  queue<T> third(64);
  int first_stage = 4;
  int second_stage = 4;
  bench::stopwatch watch;
  spawn(produce<T>(first, items, false));
  for (int i = 0; i < 4; ++i) {
    spawn(pass_on(first, second, first_stage));
    spawn(pass_on(second, third, second_stage));
    spawn(consume(third));
  }
  ready->run();
  watch.stop();
  bench::expect(sum, bench::sum_below(items));
  watch.print(items);
}

detached nothing() {
  ++sum;
  co_return;
}
detached one_yield() {
  co_await yield{};
  ++sum;
}
joined one() { co_return 1; }
joined one_after_a_yield() {
  co_await yield{};
  co_return 1;
}
detached spawn_counted(std::uint64_t tasks, detached (*work)()) {
  group all;
  for (std::uint64_t i = 0; i < tasks; ++i) spawn(work(), &all);
  co_await all.join();
}
detached spawn_and_join(std::uint64_t tasks, joined (*work)()) {
  std::vector<joined> handles;
  handles.reserve(tasks);
  for (std::uint64_t i = 0; i < tasks; ++i) handles.push_back(work());
  for (joined& handle : handles) sum += co_await handle;
}
void measure_tasks(std::uint64_t tasks, detached main) {
  bench::stopwatch watch;
  spawn(main);
  ready->run();
  watch.stop();
  bench::expect(sum, tasks);
  watch.print(tasks);
}

struct cleanup {
  ~cleanup() { ++sum; }
};
detached wait_for_an_item(queue<std::uint64_t>& from, bool raise) {
  const cleanup at_the_end;
  if (raise) {
    while (auto ticket = co_await from.take()) sum += 1000;
  } else {
    while (auto ticket = co_await from.take_or_end()) sum += 1000;
  }
}
detached wait_simply(queue<std::uint64_t>& from) {
  while (auto ticket = co_await from.take()) ++sum;
}
void weigh(std::uint64_t tasks) {
  queue<std::uint64_t> nothing_comes(1);
  const double before = bench::resident();
  for (std::uint64_t i = 0; i < tasks; ++i) spawn(wait_simply(nothing_comes));
  ready->run();
  bench::print_bytes_and_exit((bench::resident() - before) / static_cast<double>(tasks));
}
void cancel_all(std::uint64_t tasks, bool raise) {
  queue<std::uint64_t> nothing_comes(1);
  for (std::uint64_t i = 0; i < tasks; ++i) spawn(wait_for_an_item(nothing_comes, raise));
  ready->run();
  bench::stopwatch watch;
  nothing_comes.cancel_getters();
  ready->run();
  watch.stop();
  bench::expect(sum, tasks);
  watch.print(tasks);
}

double now() {
  return std::chrono::duration<double, std::nano>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}
struct sleeping : timer {
  sleeping(timer_heap& in, double until) : timers(in) { when = until; }
  [[nodiscard]] bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> self) {
    frame = self;
    timers.add(this);
  }
  void await_resume() {}
  timer_heap& timers;
};
detached sleep(timer_heap& timers, double until) {
  co_await sleeping(timers, until);
  ++sum;
}
void sleep_all(std::uint64_t tasks) {
  timer_heap timers;
  bench::random_numbers random;
  bench::stopwatch watch;
  double base = 0;
  for (std::uint64_t i = 0; i < tasks; ++i) {
    if ((i & 63) == 0) base = now();
    spawn(sleep(timers, base + static_cast<double>(random.next() % 100'000) * 1000));
  }
  for (ready->run(); !timers.empty(); ready->run()) {
    const double wait = timers.next() - now();
    if (wait > 0) {
      const timespec pause{0, static_cast<long>(wait)};
      ::nanosleep(&pause, nullptr);
    }
    timers.fire(now());
  }
  watch.stop();
  bench::expect(sum, tasks);
  watch.print(tasks);
}
void set_and_lift(std::uint64_t times) {
  timer_heap timers;
  bench::random_numbers random;
  std::vector<timer> set(1000);
  bench::stopwatch watch;
  for (std::uint64_t i = 0; i < times; ++i) {
    timer& entry = set[i % set.size()];
    if (i >= set.size()) timers.remove(&entry);
    entry.when = now() + 1e6 * (1 + random.next() % 1000);
    timers.add(&entry);
  }
  watch.stop();
  watch.print(times);
}

template <class T>
bool run_queues(const arguments& given) {
  const auto items = [&](std::uint64_t usual) { return given.items(usual); };
  if (given.workload == "W1") {
    stream<T>(items(10'000'000), 1, 1);
  } else if (given.workload == "W2") {
    stream<T>(items(20'000'000), 1024, 1);
  } else if (given.workload == "W2b") {
    stream<T>(items(40'000'000), 1024, 1, true);
  } else if (given.workload == "W3") {
    stream<T>(items(20'000'000), 64, 8);
  } else if (given.workload == "W5") {
    pipeline<T>(items(8'000'000));
  } else {
    return false;
  }
  return true;
}

void run_rest(const arguments& given) {
  const std::uint64_t tasks = given.items(1'000'000);
  if (given.workload == "W6a") return measure_tasks(tasks, spawn_counted(tasks, nothing));
  if (given.workload == "W6b") return measure_tasks(tasks, spawn_counted(tasks, one_yield));
  if (given.workload == "W6aj") return measure_tasks(tasks, spawn_and_join(tasks, one));
  if (given.workload == "W6bj") {
    return measure_tasks(tasks, spawn_and_join(tasks, one_after_a_yield));
  }
  if (given.workload == "W6m") return weigh(tasks);
  if (given.workload == "W7") return sleep_all(tasks);
  if (given.workload == "W7b") return set_and_lift(given.items(5'000'000));
  if (given.workload == "W8") return cancel_all(given.items(100'000), false);
  if (given.workload == "W8x") return cancel_all(given.items(100'000), true);
  bench::unsupported();
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  ready_ring own;
  ready = &own;
  const bool done =
      given.heap ? run_queues<bench::heap_item>(given) : run_queues<std::uint64_t>(given);
  if (!done) run_rest(given);
}
