// A coroutine can be awaited in place, started beside others, or gathered with them.
//
//   price(bread) ──┐
//   price(wine)  ──┼──> gather ──> bill
//   price(olives) ─┘
#include <brigade/async.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace brigade;
using namespace std::chrono_literals;

task<int> price(std::string article) {
  co_await sleep_for(10ms);  // asks a server, say
  co_return 3 * static_cast<int>(article.size());
}

task<> shopping() {
  const int bread = co_await price("bread");  // a call: one after the other
  std::printf("bread %d\n", bread);

  const task_handle<int> wine = spawn(price, "wine");  // runs on its own, from its first turn on
  const int olives = co_await price("olives");
  std::printf("olives %d, wine %d\n", olives, co_await wine);

  auto [first, second] = co_await gather(price("salt"), price("pepper"));  // both at a time
  std::printf("salt %d, pepper %d\n", first, second);

  std::vector<task<int>> rest;
  for (const char* article : {"oil", "rice", "lemons"}) rest.push_back(price(article));
  int bill = 0;
  for (const int one : co_await gather(std::move(rest))) bill += one;
  std::printf("the rest %d\n", bill);
}

int main() { run(shopping()); }
