// Boost.Asio: awaitable and experimental::channel. asio WORKLOAD int|heap [ITEMS]
//
// Everything is typed on io_context::executor_type, which is faster than the any_io_executor of
// the tutorials. In 1.81 `close()` drops what is still in a channel, so streams end by a mark for
// each consumer. W8 takes 10,000 tasks: cancelling searches the list of those who wait.
#include "measure.hpp"

#include <boost/asio.hpp>
#include <boost/asio/experimental/channel.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <limits>

namespace {

namespace asio = boost::asio;
using bench::arguments;
using boost::system::error_code;
using executor = asio::io_context::executor_type;
using timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, executor>;
template <class T = void>
using awaitable = asio::awaitable<T, executor>;
template <class T>
using channel = asio::experimental::basic_channel<executor, asio::experimental::channel_traits<>,
                                                  void(error_code, T)>;
constexpr asio::use_awaitable_t<executor> use{};

std::uint64_t sum = 0;

template <class T>
T end_mark() {
  if constexpr (std::same_as<T, bench::heap_item>) return nullptr;
  if constexpr (!std::same_as<T, bench::heap_item>) return std::numeric_limits<T>::max();
}
template <class T>
bool is_end(const T& item) {
  return item == end_mark<T>();
}

template <class T>
awaitable<> send_ends(channel<T>& out, int consumers) {
  for (int i = 0; i < consumers; ++i) co_await out.async_send(error_code{}, end_mark<T>(), use);
}
template <class T>
awaitable<> produce(channel<T>& out, std::uint64_t items, int consumers) {
  for (std::uint64_t i = 0; i < items; ++i) {
    co_await out.async_send(error_code{}, bench::make<T>(i), use);
  }
  co_await send_ends(out, consumers);
}
template <class T>
awaitable<> consume(channel<T>& in) {
  for (;;) {
    T item = co_await in.async_receive(use);
    if (is_end(item)) break;
    sum += bench::value(item);
  }
}
template <class T>
awaitable<> pass_on(channel<T>& in, channel<T>& out, int& alive) {
  for (;;) {
    T item = co_await in.async_receive(use);
    if (is_end(item)) break;
    co_await out.async_send(error_code{}, std::move(item), use);
  }
  if (--alive == 0) co_await send_ends(out, 4);
}

template <class T>
void stream(asio::io_context& context, std::uint64_t items, std::size_t capacity) {
  channel<T> between(context.get_executor(), capacity);
  asio::co_spawn(context.get_executor(), produce<T>(between, items, 1), asio::detached);
  asio::co_spawn(context.get_executor(), consume<T>(between), asio::detached);
  context.run();
}
template <class T>
void pipeline(asio::io_context& context, std::uint64_t items) {
  const executor on = context.get_executor();
  channel<T> first(on, 64);
  channel<T> second(on, 64);
  channel<T> third(on, 64);
  int first_stage = 4;
  int second_stage = 4;
  asio::co_spawn(on, produce<T>(first, items, 4), asio::detached);
  for (int i = 0; i < 4; ++i) {
    asio::co_spawn(on, pass_on<T>(first, second, first_stage), asio::detached);
    asio::co_spawn(on, pass_on<T>(second, third, second_stage), asio::detached);
    asio::co_spawn(on, consume<T>(third), asio::detached);
  }
  context.run();
}

awaitable<> nothing() {
  ++sum;
  co_return;
}
awaitable<> one_yield() {
  co_await asio::post(use);
  ++sum;
}
awaitable<> spawn_all(executor on, std::uint64_t tasks, awaitable<> (*work)()) {
  for (std::uint64_t i = 0; i < tasks; ++i) asio::co_spawn(on, work(), asio::detached);
  co_return;
}
awaitable<> sleep(std::chrono::microseconds duration) {
  timer wait(co_await asio::this_coro::executor, duration);
  co_await wait.async_wait(use);
  ++sum;
}
awaitable<> set_and_lift(std::uint64_t times) {
  const executor on = co_await asio::this_coro::executor;
  std::deque<timer> timers;
  for (int i = 0; i < 1000; ++i) timers.emplace_back(on);
  for (std::uint64_t i = 0; i < times; ++i) {
    timer& entry = timers[i % 1000];
    entry.expires_after(std::chrono::milliseconds(1000 + i % 1000));
    entry.async_wait([](error_code) { ++sum; });
    if (i % 1000 == 999) co_await asio::post(use);
  }
  for (timer& entry : timers) entry.cancel();
}

struct cleanup {
  ~cleanup() { ++sum; }
};
awaitable<> wait_for_an_item(channel<std::uint64_t>& from) {
  const cleanup at_the_end;
  co_await from.async_receive(use);
}
awaitable<> only_wait(channel<std::uint64_t>& from) { co_await from.async_receive(use); }

void weigh(asio::io_context& context, std::uint64_t tasks) {
  channel<std::uint64_t> nothing_comes(context.get_executor(), 1);
  const double before = bench::resident();
  for (std::uint64_t i = 0; i < tasks; ++i) {
    asio::co_spawn(context.get_executor(), only_wait(nothing_comes), asio::detached);
  }
  context.poll();
  bench::print_bytes_and_exit((bench::resident() - before) / static_cast<double>(tasks));
}
void cancel_all(asio::io_context& context, std::uint64_t tasks) {
  channel<std::uint64_t> nothing_comes(context.get_executor(), 1);
  std::deque<asio::cancellation_signal> signals(tasks);
  for (asio::cancellation_signal& signal : signals) {
    asio::co_spawn(context.get_executor(), wait_for_an_item(nothing_comes),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
  }
  context.poll();
  bench::stopwatch watch;
  for (asio::cancellation_signal& signal : signals) signal.emit(asio::cancellation_type::terminal);
  context.run();
  watch.stop();
  bench::expect(sum, tasks);
  watch.print(tasks);
}

template <class T>
bool run_queues(const arguments& given, asio::io_context& context, std::uint64_t items) {
  if (given.workload == "W1") {
    stream<T>(context, items, 1);
  } else if (given.workload == "W2") {
    stream<T>(context, items, 1024);
  } else if (given.workload == "W5") {
    pipeline<T>(context, items);
  } else {
    return false;
  }
  return true;
}

void run_tasks(const arguments& given, asio::io_context& context, std::uint64_t tasks) {
  const executor on = context.get_executor();
  if (given.workload == "W6a" || given.workload == "W6b") {
    auto* work = given.workload == "W6a" ? nothing : one_yield;
    asio::co_spawn(on, spawn_all(on, tasks, work), asio::detached);
  } else if (given.workload == "W7") {
    bench::random_numbers random;
    for (std::uint64_t i = 0; i < tasks; ++i) {
      const std::chrono::microseconds duration(random.next() % 100'000);
      asio::co_spawn(on, sleep(duration), asio::detached);
    }
  } else if (given.workload == "W7b") {
    asio::co_spawn(on, set_and_lift(tasks), asio::detached);
  } else {
    bench::unsupported();
  }
  context.run();
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  asio::io_context context(1);
  if (given.workload == "W6m") weigh(context, given.items(200'000));
  if (given.workload == "W8" || given.workload == "W8x") {
    cancel_all(context, given.items(10'000));
    return 0;
  }
  const bool queues = given.workload < "W6";
  const std::uint64_t items = given.items(queues ? 1'000'000 : 200'000);
  bench::stopwatch watch;
  if (!queues) {
    run_tasks(given, context, items);
  } else if (!(given.heap ? run_queues<bench::heap_item>(given, context, items)
                          : run_queues<std::uint64_t>(given, context, items))) {
    bench::unsupported();
  }
  watch.stop();
  bench::expect(sum, queues ? bench::sum_below(items) : items);
  watch.print(items);
}
