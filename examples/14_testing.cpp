// Time that jumps and an order that is drawn: tests that never sleep, and find what luck hides.
//
//   virtual_loop loop(seed)      an hour takes no time; each seed is another order of the tasks
#include <brigade/async.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <cstdio>
#include <functional>

using namespace brigade;
using namespace std::chrono_literals;
using testing::virtual_loop;

struct account {
  int cents = 0;
  mutex lock{"account"};
};

task<> pay_in(account& into, bool locked) {
  mutex::guard guard;
  if (locked) guard = co_await into.lock.lock();
  const int before = into.cents;
  co_await yield();  // asks a server; others run meanwhile
  into.cents = before + 100;
}

task<> two_payments(account& into, bool locked) {
  co_await with_group([&](task_group& group) {
    group.spawn(pay_in, std::ref(into), locked);
    group.spawn(pay_in, std::ref(into), locked);
  });
}

bool loses_money(bool locked) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    account one;
    virtual_loop loop(seed);
    loop.run(two_payments(one, locked));
    if (one.cents != 200) return true;
  }
  return false;
}

int main() {
  virtual_loop loop;
  auto wait_long = []() -> task<> { co_await sleep_for(24h); };
  loop.run(wait_long());
  std::printf("a day has passed\n");

  std::printf("without a lock %s\n", loses_money(false) ? "money is lost" : "all is well");
  std::printf("with a lock %s\n", loses_money(true) ? "money is lost" : "all is well");
}
