// A group owns its tasks: none outlives it, and the first error ends the others.
//
//   with_group ┬── order 1   delivered
//              ├── order 2   fails ──> the group cancels the others
//              ├── order 3   cancelled ─┐
//              └── order 4   cancelled ─┴──> when all have ended: exception_group
#include <brigade/async.hpp>

#include <cstdio>
#include <stdexcept>

using namespace brigade;
using namespace std::chrono_literals;

struct van {
  int order;
  explicit van(int of) : order(of) {}
  ~van() { std::printf("van %d is back\n", order); }
};

task<> deliver(int order) {
  const van here(order);
  co_await sleep_for(10ms * order);
  if (order == 2) throw std::runtime_error("order 2: no such address");
  std::printf("order %d is delivered\n", order);
}

task<> morning() {
  try {
    co_await with_group([](task_group& vans) {
      for (int order = 1; order <= 4; ++order) vans.spawn(deliver, order);
    });
  } catch (const exception_group& failed) {
    for (const auto& error : failed.errors()) std::printf("%s\n", error_text(error).c_str());
  }
}

int main() { run(morning()); }
