// Blocking calls go to a thread; more processors are more loops, joined by a shared queue.
//
//   loop 0: produce, work ──┬── [ shared queue: 16 ] ──┬── loop 1: work
//                           └──────────────────────────┘
#include <brigade/async.hpp>

#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

using namespace brigade;
using namespace std::chrono_literals;

long checksum(long of) {  // keeps a processor busy; no coroutine
  long sum = 0;
  for (long i = 1; i <= 1000; ++i) sum += of * i % 7;
  return sum;
}

task<> off_the_loop() {
  auto blocks = [](int wait_for_ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(wait_for_ms));
    return wait_for_ms;
  };
  auto [a, b] = co_await gather(to_thread(blocks, 20), to_thread(blocks, 30));
  std::printf("%d and %d ms, side by side\n", a, b);
}

task<> produce(shared_queue<long>& jobs) {
  for (long job = 1; job <= 1000; ++job) co_await jobs.put(job);
  jobs.close();
}

task<long> work(shared_queue<long>& jobs) {
  long sum = 0;
  while (auto job = co_await jobs.take()) sum += checksum(*job);
  co_return sum;
}

int main() {
  run(off_the_loop());

  shared_queue<long> jobs(16, "jobs");
  auto each_loop = [&](std::size_t index) -> task<long> {
    if (index == 0) spawn(produce, std::ref(jobs));
    co_return co_await work(jobs);
  };
  long sum = 0;
  for (const long part : run_threads(2, each_loop)) sum += part;
  std::printf("checksum %ld, %d done\n", sum, static_cast<int>(jobs.statistics().done));
}
