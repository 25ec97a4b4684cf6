// Who takes an item gets a ticket. Each ticket ends once; `join` waits until all have.
//
//   [ rail ] ──take──> ticket ──┬── leaves its scope ─────> done
//                               ├── fail(), an exception ─> failed
//                               ├── a cancellation ───────> abandoned
//                               └── give_back() ──────────> taken again, by the next
#include <brigade/async.hpp>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>

using namespace brigade;
using namespace std::chrono_literals;

task<> prepare(const std::string& dish) {
  if (dish == "soap") throw std::runtime_error("that is no dish");
  if (dish == "stew") co_await sleep_for(10h);
  std::printf("%s is ready\n", dish.c_str());
}

task<> cook(queue<std::string>& rail) {
  while (auto order = co_await rail.take()) {
    try {
      co_await prepare(*order);
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", order->c_str(), error.what());
      order.fail();
    }
  }
}

task<> evening() {
  queue<std::string> rail(queue<std::string>::options(8).name("rail").note_holders());
  for (const char* dish : {"soup", "soap", "stew", "tart"}) co_await rail.put(dish);
  rail.close();

  task_group cooks("cooks");
  auto wait_for_the_dishes = [&](task_group& group) -> task<> {
    group.spawn_named("Anna", cook, std::ref(rail));
    group.spawn_named("Ben", cook, std::ref(rail));
    const join_result all = co_await rail.join(10ms);
    for (const item_holder& one : all.holders) {
      std::printf("%s still holds %zu\n", one.task.c_str(), one.items);
    }
    group.cancel("closing time");
  };
  co_await cooks.run(wait_for_the_dishes);

  const queue_statistics ends = rail.statistics();
  std::printf("put %d = done %d + failed %d + abandoned %d\n", static_cast<int>(ends.put),
              static_cast<int>(ends.done), static_cast<int>(ends.failed),
              static_cast<int>(ends.abandoned));
}

int main() { run(evening()); }
