// 1,000 orders, and one card is declined: the end of all with `gather`, of one in a pipeline.
//
//   customers ──> [ counter: 64 ] ──> charge (8 workers) ──> receipts
//                                       └── each outcome, as it is recorded ──> the board
//
// Orders keep arriving while it works, and each tells what became of it.
#include <brigade/async.hpp>
#include <brigade/pipeline.hpp>

#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

struct order {
  int number;
};

std::string name_of(const order& one) { return "#" + std::to_string(one.number); }

task<int> charge(order given) {
  co_await sleep_for(1ms);
  if (given.number == 847) throw permanent_error("card declined");
  co_return given.number * 10;
}

task<> with_gather() {
  std::vector<task<int>> all;
  for (int number = 1; number <= 1000; ++number) all.push_back(charge(order{number}));
  try {
    const std::vector<int> charged = co_await gather(std::move(all));
    std::printf("gather: %zu charged\n", charged.size());
  } catch (const std::exception& error) {
    std::printf("gather: %s, and no receipt for anybody\n", error.what());
  }
}

task<> customers(sender<order> counter) {
  for (int number = 1; number <= 1000; ++number) {
    if (number % 100 == 0) co_await sleep_for(1ms);  // some come later
    co_await counter.send(order{number});
  }
}

pipeline_run open_shop(task_group& group, std::vector<int>& receipts) {
  auto [counter, orders] = channel<order>(64, "counter");
  group.spawn(customers, std::move(counter));
  return pipeline("orders")
      .from(std::move(orders))
      .id(name_of)
      .stage("charge", charge, {.workers = 8})
      .to("receipts", [&receipts](int charged) { receipts.push_back(charged); })
      .start(group);
}

task<> a_whole_day(task_group& group) {
  std::vector<int> receipts;
  const pipeline_run day = open_shop(group, receipts);
  outcome_stream outcomes = pipeline_run(day).outcomes();
  std::map<std::string, outcome> board;
  while (auto told = co_await outcomes.next()) {
    board[told->business_id] = told->result;
    if (told->result == outcome::delivered) continue;
    std::printf("order %s: %s, %s\n", told->business_id.c_str(),
                std::string(to_string(told->result)).c_str(), told->error.c_str());
  }
  const report account = co_await day.finished();
  std::printf("%s\n%zu receipts; order #846: %s\n", account.line().c_str(), receipts.size(),
              std::string(to_string(board.at("#846"))).c_str());
}

task<> a_day_cut_short() {
  std::vector<int> receipts;
  std::vector<pipeline_run> days;
  auto until_the_fire_alarm = [&](task_group& group) -> task<> {
    days.push_back(open_shop(group, receipts));
    co_await sleep_for(30ms);
    group.cancel("fire alarm");  // what asyncio would lose is finished here
  };
  task_group shop("shop");
  co_await shop.run(until_the_fire_alarm);

  const report account = co_await days.front().finished();
  const bool all_paid = account.taken == account.count(outcome::delivered);
  std::printf("cut short: exit %d, some orders taken: %s, each of them charged: %s, receipts: %s\n",
              account.exit_code, account.taken > 0 ? "yes" : "no", all_paid ? "yes" : "no",
              receipts.size() == account.taken ? "as many" : "not as many");
}

task<> days() {
  co_await with_gather();
  co_await with_group(a_whole_day);
  co_await a_day_cut_short();
}

int main() { run(days()); }
