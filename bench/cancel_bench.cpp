// What cancelling costs: 100,000 tasks wait for an item, each with something to clean up.
//
//   W8   each is cancelled by its handle; `take(on_cancel::end)` gives an empty ticket
//   W8x  the same; `take()` throws
//   W8g  as W8, cancelled together by their group
#include "measure.hpp"

#include <brigade/async.hpp>

#include <cstdint>
#include <functional>
#include <vector>

namespace {

using bench::arguments;
using brigade::on_cancel;
using brigade::queue;
using brigade::task;
using brigade::task_group;

std::uint64_t cleaned = 0;
std::uint64_t received = 0;

struct cleanup {
  ~cleanup() { ++cleaned; }
};

task<> wait_for_an_item(queue<std::uint64_t>& from, on_cancel mode) {
  const cleanup at_the_end;
  while (auto ticket = co_await from.take(mode)) ++received;
}

task<> cancel_all(std::uint64_t tasks, on_cancel mode, bool together) {
  queue<std::uint64_t> nothing_comes(1);
  bench::stopwatch watch;
  auto body = [&](task_group& group) -> task<> {
    std::vector<brigade::task_handle<>> handles;
    for (std::uint64_t i = 0; i < tasks; ++i) {
      handles.push_back(group.spawn(wait_for_an_item, std::ref(nothing_comes), mode));
    }
    co_await brigade::yield();
    watch = bench::stopwatch();
    if (together) group.cancel();
    if (!together) {
      for (auto& handle : handles) handle.cancel();
    }
  };
  co_await brigade::with_group(std::ref(body));
  watch.stop();
  bench::expect(received, 0);
  bench::expect(cleaned, tasks);
  watch.print(tasks);
}

}  // namespace

int main(int argc, char** argv) {
  const arguments given(argc, argv);
  const std::uint64_t tasks = given.items(100'000);
  if (given.workload == "W8") {
    brigade::run(cancel_all(tasks, on_cancel::end, false));
  } else if (given.workload == "W8x") {
    brigade::run(cancel_all(tasks, on_cancel::raise, false));
  } else if (given.workload == "W8g") {
    brigade::run(cancel_all(tasks, on_cancel::end, true));
  } else {
    bench::unsupported();
  }
}
