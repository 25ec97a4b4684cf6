// A library takes books back: three shelves give them at once, and some are damaged.
//
//   history ─┐
//   poetry  ─┼──> clean (3 workers) ──> check, fails 1 in 5 ──> label ──> shelves
//   travel  ─┘
//
// With the queue kinds, what a full queue does to who fills it, and who did how much.
#include <brigade/async.hpp>
#include <brigade/pipeline.hpp>

#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

struct book {
  std::string title;
  int urgency;
};

std::string title_of(const book& one) { return one.title; }

std::vector<book> shelf(const std::string& name, int books) {
  std::vector<book> all;
  for (int n = 1; n <= books; ++n) all.push_back(book{name + " " + std::to_string(n), n % 3});
  return all;
}

task<book> clean(book one) {
  co_await sleep_for(1ms);
  co_return one;
}

// Every fifth of a shelf has lost a page.
book check(const book& one) {
  const int number = std::stoi(one.title.substr(one.title.find(' ')));
  if (number % 5 == 0) throw permanent_error("a page is missing");
  return one;
}

std::string label(const book& one) { return one.title + ", checked"; }

// Three producers, three stages in a row, and the list of what failed.
void take_back() {
  std::vector<std::string> shelves;
  const report account =
      pipeline("library")
          .from(producer("history", shelf("history", 20)), producer("poetry", shelf("poetry", 15)),
                producer("travel", shelf("travel", 10)))
          .id(title_of)
          .stage("clean", clean, {.workers = 3})
          .stage("check", check)
          .stage("label", label)
          .to("shelves", [&](const std::string& labelled) { shelves.push_back(labelled); })
          .run();
  for (const source_report& from : account.sources) {
    std::printf("%s: taken %d, damaged %d\n", from.name.c_str(), static_cast<int>(from.taken),
                static_cast<int>(from.settled[static_cast<std::size_t>(outcome::dead_lettered)]));
  }
  int cleaned = 0;
  for (const worker_report& worker : account.stages.front().workers) {
    cleaned += static_cast<int>(worker.items);
    if (worker.items == 0) std::printf("worker %d had nothing to do\n", worker.id);
  }
  std::printf("3 workers cleaned %d; %zu are back on the shelves\n", cleaned, shelves.size());
  for (const dead_letter_report& damaged : account.dead_letters) {
    std::printf("  %s, at '%s': %s\n", damaged.id.c_str(), damaged.stage.c_str(),
                damaged.error.c_str());
  }
}

// A queue of five, and a reader who has not come yet: who fills it stands there and waits.
task<> fill(queue<std::string>& returns) {
  for (int n = 1; n <= 8; ++n) {
    std::string title = "book " + std::to_string(n);
    if (returns.full()) std::printf("book %d waits: 5 are in the queue\n", n);
    co_await returns.put(std::move(title));
  }
  returns.close();
}
task<> empty(queue<std::string>& returns) {
  co_await sleep_for(20ms);
  int taken = 0;
  while (auto one = co_await returns.take()) ++taken;
  std::printf("the reader has taken %d\n", taken);
}
task<> backpressure() {
  queue<std::string> returns(5, "returns");
  co_await gather(fill(returns), empty(returns));
}

// The same five books, by three kinds of queue. The gate opens when all have arrived.
std::string order_of(queue_kind kind) {
  std::string order;
  event all_there("all there");
  auto read = [&](const book& one) -> task<> {
    if (one.title == "first") co_await all_there.wait();
    order += " " + one.title;
  };
  int given = 0;
  auto give = [&]() -> task<std::optional<book>> {
    static const char* const titles[] = {"first", "a", "b", "c", "d"};
    static const int urgencies[] = {9, 1, 3, 1, 2};
    if (given == 1) co_await sleep_for(1ms);  // the first one is being read when the others come
    if (given < 5) {
      book next{titles[given], urgencies[given]};
      ++given;
      co_return next;
    }
    co_await sleep_for(20ms);
    all_there.set();
    co_return std::nullopt;
  };
  stage_policy rules;
  rules.queue_order = kind;
  auto urgency = [](const book& one) { return one.urgency; };
  auto begin = pipeline("order").from(give);
  if (kind == queue_kind::priority) {
    static_cast<void>(
        std::move(begin).stage("read", read, rules, urgency).to("done", [](const book&) {}).run());
  } else {
    static_cast<void>(
        std::move(begin).stage("read", read, rules).to("done", [](const book&) {}).run());
  }
  return order;
}

int main() {
  take_back();
  run(backpressure());
  std::printf("first come:  %s\n", order_of(queue_kind::fifo).c_str());
  std::printf("last come:   %s\n", order_of(queue_kind::lifo).c_str());
  std::printf("most urgent: %s\n", order_of(queue_kind::priority).c_str());
}
