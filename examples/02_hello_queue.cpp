// Nine jobs, three workers, and a queue between them.
//
//   produce ──> [ jobs: 4 ] ──> worker 1, worker 2, worker 3
#include <brigade/async.hpp>

#include <cstdio>
#include <functional>

using namespace brigade;
using namespace std::chrono_literals;

task<> produce(queue<int>& jobs) {
  for (int job = 1; job <= 9; ++job) co_await jobs.put(job);  // waits while four are queued
  jobs.close();                                               // what is queued is still delivered
}

task<> work(int id, queue<int>& jobs) {
  while (auto job = co_await jobs.take()) {  // ends when the queue is closed and empty
    co_await sleep_for(10ms);
    std::printf("worker %d did job %d\n", id, *job);
  }
}

task<> hello() {
  queue<int> jobs(4, "jobs");
  co_await with_group([&](task_group& group) {
    group.spawn(produce, std::ref(jobs));
    for (int id = 1; id <= 3; ++id) group.spawn(work, id, std::ref(jobs));
  });
  std::printf("everybody has gone home\n");
}

int main() { run(hello()); }
