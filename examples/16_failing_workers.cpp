// Requests, a small queue, and workers that begin to fail: the run ends at once and says why.
//
//   producer ──> [ requests: 5 ] ──> call (3 workers, fail_fast) ──> results ──then──> publish
//
// The producer does not wait for ever, and the results are published only when all went well.
#include <brigade/async.hpp>
#include <brigade/pipeline.hpp>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

task<> produce(sender<int> requests, int count) {
  int sent = 0;
  try {
    for (; sent < count; ++sent) co_await requests.send(sent + 1);
    std::printf("producer: all %d sent\n", sent);
  } catch (const channel_broken&) {
    std::printf("producer: stopped early, nobody takes requests any more\n");
  }
}

// The service is gone from request `last_good` on.
auto service(int last_good) {
  return [last_good](int request) -> task<std::string> {
    co_await sleep_for(1ms);
    if (request > last_good) throw permanent_error("503 for request " + std::to_string(request));
    co_return "answer " + std::to_string(request);
  };
}

task<> work_through(int count, int last_good) {
  std::vector<std::string> results;
  auto body = [&](task_group& group) -> task<report> {
    auto [requests, to_call] = channel<int>(5, "requests");
    group.spawn(produce, std::move(requests), count);
    stage_policy rules;
    rules.workers = 3;
    rules.queue_items_max = 2;
    rules.failure = on_error::fail_fast;
    const pipeline_run calls =
        pipeline("requests")
            .from(std::move(to_call))
            .stage("call", service(last_good), rules)
            .to("results", [&](const std::string& answer) { results.push_back(answer); })
            .start(group);
    report account = co_await calls.finished();
    co_return account;
  };
  const report account = co_await with_group(body);
  if (account.exit_code == 0) {
    std::printf("published: %zu results\n", results.size());
  } else {
    std::printf("not published, exit %d: %s\n", account.exit_code, account.error.c_str());
    const bool whole = account.adds_up() && account.in_flight == 0;
    std::printf("every request taken is accounted for: %s\n", whole ? "yes" : "no");
  }
}

task<> good_and_bad() {
  co_await work_through(20, 20);
  co_await work_through(1'000'000, 6);
}

int main() { run(good_and_bad()); }
