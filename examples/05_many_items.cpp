// A thousand items, eight at a time. One that fails takes nothing with it.
//
//   1 ... 1000 ──> map, 8 at a time ──> a result or an error for each, in order
#include <brigade/async.hpp>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <stdexcept>
#include <vector>

using namespace brigade;

int running = 0;
int running_most = 0;

task<int> charge(int order) {
  running_most = std::max(running_most, ++running);
  co_await yield();
  --running;
  if (order == 11) throw std::runtime_error("card declined");
  co_return order * 3;
}

task<> all_orders() {
  std::vector<int> orders(1000);
  std::iota(orders.begin(), orders.end(), 1);

  const auto charged = co_await map(collect_errors, orders, 8, charge);
  int good = 0;
  for (std::size_t at = 0; at < orders.size(); ++at) {
    if (charged[at].has_value()) {
      ++good;
    } else {
      std::printf("order %d: %s\n", orders[at], error_text(charged[at].error()).c_str());
    }
  }
  std::printf("%d charged, at most %d at a time\n", good, running_most);
}

int main() { run(all_orders()); }
