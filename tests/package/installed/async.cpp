#include <brigade/async.hpp>

#include <cstdio>
#include <functional>

brigade::task<> produce(brigade::queue<int>& jobs) {
  for (int job = 1; job <= 20; ++job) co_await jobs.put(job);
  jobs.close();
}

brigade::task<> work(brigade::queue<int>& jobs, int& sum) {
  while (auto job = co_await jobs.take()) sum += *job;
}

brigade::task<int> add_up() {
  brigade::queue<int> jobs{8};
  int sum = 0;
  co_await brigade::with_group([&](brigade::task_group& group) {
    group.spawn(produce, std::ref(jobs));
    for (int id = 1; id <= 3; ++id) group.spawn(work, std::ref(jobs), std::ref(sum));
  });
  co_return sum;
}

int main() {
  const int sum = brigade::run(add_up());
  std::printf("%d\n", sum);
  return sum == 210 ? 0 : 1;
}
