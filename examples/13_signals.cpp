// SIGTERM ends a program tidily: no new work, what is begun is finished, within a deadline.
//
//   SIGTERM ──> main is cancelled ──> close() ──> the worker drains the queue ──> exit
#include <brigade/async.hpp>

#include <csignal>
#include <cstdio>
#include <functional>

using namespace brigade;
using namespace std::chrono_literals;

task<> work(queue<int>& jobs) {
  while (auto job = co_await jobs.take()) {
    co_await sleep_for(5ms);
    std::printf("job %d is done\n", *job);
  }
}

task<> take_in(queue<int>& jobs) {
  for (int job = 1; job <= 3; ++job) co_await jobs.put(job);
  std::raise(SIGTERM);      // somebody stops the program
  co_await sleep_for(24h);  // waits for more: this wait is what the signal ends
}

task<> serve() {
  queue<int> jobs(8, "jobs");
  task_handle<> worker = spawn(work, std::ref(jobs));
  auto intake = [&]() -> task<> { co_await take_in(jobs); };
  auto drain = [&]() -> task<> {
    jobs.close();
    co_await worker.join();
    std::printf("all that was taken in is done\n");
  };
  co_await with_cleanup(intake, drain, 5s);  // out of reach of the signal, for 5 s at most
}

int main() {
  runner program;
  try {
    program.run(serve());
  } catch (const interrupted& by) {
    std::printf("%s\n", by.what());
  }
}
