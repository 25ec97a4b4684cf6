// Items that wait 0 to 5 ms, in the order of their keys: how near the engine comes to what any
// schedule could reach.
//
//   10,000 items ──by key──> [ wait 0..5 ms ] x workers ──> order checked
//
// The bound: no schedule is faster than the longest key, nor than all work divided by the workers.
// Loss, duplication and the order within each key are checked. Usage: key_order_bench [items]
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <vector>

namespace {

using namespace brigade;
using clock_type = std::chrono::steady_clock;

struct job {
  int number;
  int key;
  std::chrono::microseconds takes;
};

std::vector<job> jobs_of(int count, int keys) {
  std::mt19937 random(42);
  std::uniform_int_distribution<int> microseconds(0, 5000);
  std::uniform_int_distribution<int> key(0, keys - 1);
  std::vector<job> jobs;
  for (int n = 0; n < count; ++n) {
    jobs.push_back({n, key(random), std::chrono::microseconds(microseconds(random))});
  }
  return jobs;
}

double seconds(std::chrono::microseconds time) { return static_cast<double>(time.count()) * 1e-6; }

double bound_of(const std::vector<job>& jobs, int keys, int workers, bool ordered) {
  std::vector<std::chrono::microseconds> of_key(static_cast<std::size_t>(keys));
  std::chrono::microseconds all{};
  for (const job& each : jobs) {
    of_key[static_cast<std::size_t>(each.key)] += each.takes;
    all += each.takes;
  }
  const double divided = seconds(all) / workers;
  return ordered ? std::max(divided, seconds(*std::ranges::max_element(of_key))) : divided;
}

task<> work(const job& one) { co_await sleep_for(one.takes); }

bool run_one(int items, int keys, int workers, bool ordered) {
  const std::vector<job> jobs = jobs_of(items, keys);
  std::vector<int> last(static_cast<std::size_t>(keys), -1);
  int out_of_order = 0;
  auto deliver = [&](const job& one) {
    int& before = last[static_cast<std::size_t>(one.key)];
    if (one.number < before) ++out_of_order;
    before = std::max(before, one.number);
  };
  stage_policy rules;
  rules.workers = workers;
  auto from = pipeline("jobs").from(jobs);
  const auto began = clock_type::now();
  report account;
  if (ordered) {
    account = std::move(from)
                  .order_by([](const job& one) { return one.key; })
                  .stage("wait", work, rules)
                  .to("check", deliver)
                  .run();
  } else {
    account = std::move(from).stage("wait", work, rules).to("check", deliver).run();
  }
  const double took = std::chrono::duration<double>(clock_type::now() - began).count();
  const double bound = bound_of(jobs, keys, workers, ordered);
  const bool right = account.count(outcome::delivered) == jobs.size() && account.exit_code == 0 &&
                     (!ordered || out_of_order == 0);
  std::printf("%4d workers, %s%4d keys: %6.2f s, bound %6.2f s, %.3fx%s\n", workers,
              ordered ? "ordered by " : "unordered, ", keys, took, bound, took / bound,
              right ? "" : "  WRONG");
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  const int items = argc > 1 ? std::atoi(argv[1]) : 10'000;
  bool right = run_one(items, 1000, 10, false);
  right = run_one(items, 20, 20, true) && right;
  right = run_one(items, 200, 20, true) && right;
  right = run_one(items, 1000, 100, true) && right;
  return right ? 0 : 1;
}
