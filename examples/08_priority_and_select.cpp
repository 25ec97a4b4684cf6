// The most urgent first, and equals in the order they came; and one wait for several things.
//
//   urgent before normal ──> [ calls ] ──┐
//                            [ mail ]  ──┼── select ──> one of them; the others are as they were
//                            closing ────┘
#include <brigade/async.hpp>

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

struct call {
  int rank;  // smaller is more urgent
  std::string from;
  bool operator<(const call& other) const { return rank < other.rank; }
};

task<> desk(priority_queue<call>& calls, queue<std::string>& mail, event& closing) {
  for (;;) {
    auto next = co_await select(calls.take(), mail.take(), closing.wait());
    if (next.index() == 0) std::printf("call from %s\n", (*next.get<0>()).from.c_str());
    if (next.index() == 1) std::printf("letter from %s\n", (*next.get<1>()).c_str());
    if (next.index() == 2) co_return;
  }
}

task<> day() {
  priority_queue<call> calls(8, "calls");
  queue<std::string> mail(8, "mail");
  event closing("closing");

  std::vector<call> waiting = {{2, "Ada"}, {2, "Bob"}, {1, "the fire brigade"}};
  for (call& one : waiting) co_await calls.put(std::move(one));

  const auto at_the_desk = spawn(desk, std::ref(calls), std::ref(mail), std::ref(closing));
  co_await sleep_for(10ms);
  co_await mail.put("the bank");
  co_await sleep_for(10ms);
  closing.set();
  co_await at_the_desk;

  co_await mail.put("too late");
  std::printf("letters left: %zu\n", mail.size());
}

int main() { run(day()); }
