// The co_await expressions that g++ 12 does not compile at all, one for each value of CASE.
// hazards_test.py compiles each with each compiler and compares with its table.
#include "hazard_task.hpp"

#include <string>
#include <vector>

namespace hazards {

task<int> sum(std::vector<int> values) { co_return static_cast<int>(values.size()); }

#if CASE == 1
task<int> list_of_awaits() {
  std::vector<int> values{co_await number(1), co_await number(2)};
  co_return values[0];
}
#elif CASE == 2
task<int> list_as_argument() { co_return co_await sum({1, 2, 3}); }
#elif CASE == 3
task<int> vector_from_a_list_as_argument() { co_return co_await sum(std::vector<int>{1, 2, 3}); }
#elif CASE == 4
task<bool> temporary_before_and_then_await() {
  bool both = owner().value() == 1 && co_await number(1) == 1;
  co_return both;
}
#elif CASE == 5
task<int> named_list_as_argument() {
  std::vector<int> values{1, 2, 3};
  co_return co_await sum(std::move(values));
}
#else
#error "CASE is 1 to 5"
#endif

}  // namespace hazards
