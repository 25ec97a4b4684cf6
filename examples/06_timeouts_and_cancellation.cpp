// A deadline or a cancellation ends a wait. What was waited for stays where it was.
//
//   take() ────────── 10 ms ──x          the order that comes later is still in the queue
//   roast() ───── cancel ──x cleanup()   which may wait, too
#include <brigade/async.hpp>

#include <cstdio>
#include <functional>
#include <string>

using namespace brigade;
using namespace std::chrono_literals;

task<> serve_one(queue<std::string>& orders) {
  auto order = co_await orders.take();
  std::printf("served: %s\n", order->c_str());
}

task<> roast() {
  auto turn_the_spit = []() -> task<> { co_await sleep_for(1h); };
  auto put_out_the_fire = []() -> task<> {
    co_await sleep_for(1ms);
    std::printf("the fire is out\n");
  };
  co_await with_cleanup(turn_the_spit, put_out_the_fire, 5s);
}

task<> evening() {
  queue<std::string> orders(4, "orders");
  try {
    co_await timeout(10ms, serve_one(orders));
  } catch (const timed_out& late) {
    std::printf("%s\n", late.what());
  }
  co_await orders.put("soup");
  co_await timeout(10ms, serve_one(orders));

  task_handle<> roasting = spawn(roast);
  co_await sleep_for(1ms);
  roasting.cancel("the guest has left");
  try {
    co_await roasting;
  } catch (const cancelled& why) {
    std::printf("no roast: %s\n", why.reason().c_str());
  }
}

int main() { run(evening()); }
