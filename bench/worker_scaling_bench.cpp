// A range of workers against the best fixed number of them, in real time, on three loads:
//
//   processor        0.2 ms of one loop's processor time: more workers bring nothing
//   5 ms             waits of 5 ms: as many as there may be
//   1 or 100 ms      waits, half of them long: as many as there may be, and an uneven rate
//
// Prints items a second of the best fixed number, and what the range reaches of that in the second
// half of its run, and in all of it, the climb included. Then the load is cut to two items a
// second, and the range has to come back down. Loss is checked.
//
// Usage: worker_scaling_bench [seconds of the range's run; a fixed number has half of that]
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
using brigade::task;

constexpr int most_workers = 32;
constexpr double reach_min = 0.85;

enum class load : std::uint8_t { processor, even_wait, uneven_wait };

task<std::uint64_t> work(load what, std::uint64_t item) {
  if (what == load::processor) {
    const auto until = steady::now() + 200us;
    while (steady::now() < until) continue;
    co_await brigade::yield();
  } else {
    // A hash of the item's number says which are long.
    const bool is_long = what == load::uneven_wait && (item * 0x9E3779B97F4A7C15ULL) >> 63 != 0;
    const auto span = what == load::even_wait ? 5ms : is_long ? 100ms : 1ms;
    co_await brigade::sleep_for(span);
  }
  co_return item;
}

struct result {
  double all = 0;          ///< items a second
  double after_climb = 0;  ///< in the second half
  int most = 0;            ///< workers that were wanted
  int at_end = 0;
  bool whole = false;
};

/// As many items as it can take, for `loaded`; then a few, for `idle`.
result run(load what, const brigade::stage_policy& policy, std::chrono::milliseconds loaded,
           std::chrono::milliseconds idle) {
  std::uint64_t taken = 0;
  std::uint64_t delivered = 0;
  std::uint64_t sum = 0;
  std::uint64_t at_half = 0;
  std::uint64_t at_end = 0;
  result found;
  const auto began = steady::now();
  auto generate = [&]() -> task<std::optional<std::uint64_t>> {
    const auto now = steady::now() - began;
    if (now > loaded + idle) co_return std::nullopt;
    if (now > loaded) co_await brigade::sleep_for(std::chrono::milliseconds(500));
    co_return ++taken;
  };
  auto deliver = [&](const std::uint64_t& item) {
    sum += item;
    ++delivered;
    const auto now = steady::now() - began;
    if (now <= loaded / 2) at_half = delivered;
    if (now <= loaded) at_end = delivered;
  };
  brigade::engine own(
      brigade::pipeline("scaling")
          .from(generate)
          .stage(
              "work", [what](std::uint64_t item) { return work(what, item); }, policy)
          .to("sum", deliver)
          .take_plan(),
      nullptr);
  own.plan().observer.progress_every = std::chrono::milliseconds(10);
  own.plan().observer.on_progress = [&](const brigade::progress&) {
    found.at_end = own.account().stages[0].workers_wanted;
    found.most = std::max(found.most, found.at_end);
  };
  brigade::loop where;
  const brigade::report account = where.run(own.execute({}));
  const double seconds = std::chrono::duration<double>(loaded).count();
  found.all = static_cast<double>(at_end) / seconds;
  found.after_climb = static_cast<double>(at_end - at_half) / (seconds / 2);
  found.whole = account.exit_code == 0 && account.adds_up() && delivered == taken &&
                sum == taken * (taken + 1) / 2;
  return found;
}

bool measure(const char* name, load what, std::chrono::milliseconds span) {
  double best = 0;
  int best_workers = 0;
  bool whole = true;
  for (int workers = 1; workers <= most_workers; workers *= 2) {
    const result fixed = run(what, {.workers = workers}, span / 2, 0ms);
    whole = whole && fixed.whole;
    if (fixed.all <= best) continue;
    best = fixed.all;
    best_workers = workers;
  }
  const brigade::stage_policy range{.workers = 1, .workers_max = most_workers};
  const result scaled = run(what, range, span, std::chrono::milliseconds(12'000));
  whole = whole && scaled.whole;
  const double reached = scaled.after_climb / best;
  const bool enough = reached >= reach_min && scaled.at_end <= 2;
  std::printf(
      "%-12s best fixed %2d workers: %7.0f/s;  1..%d: %7.0f/s, %3.0f%% of it (%3.0f%% with the "
      "climb), at most %2d workers, back to %d%s%s\n",
      name, best_workers, best, most_workers, scaled.after_climb, 100 * reached,
      100 * scaled.all / best, scaled.most, scaled.at_end, enough ? "" : "  TOO LITTLE",
      whole ? "" : "  ITEMS LOST");
  std::fflush(stdout);
  return whole && enough;
}

}  // namespace

int main(int argc, char** argv) {
  const int seconds = argc > 1 ? std::max(std::atoi(argv[1]), 1) : 10;
  const std::chrono::milliseconds span(seconds * 1000);
  bool good = measure("processor", load::processor, span);
  good = measure("5 ms", load::even_wait, span) && good;
  good = measure("1 or 100 ms", load::uneven_wait, span) && good;
  return good ? 0 : 1;
}
