// A parameter by reference outlives the task: a temporary lives to the end of the `co_await`, or of
// the task that `spawn` copied it into, and no longer.
// lint: a task that dangles: temporary whose address is used as value of local variable 'dish'
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <string>
#include <utility>

brigade::task<> cook(const std::string& dish);

brigade::task<> serve() {
#ifdef BAD
  auto dish = cook("soup");
  co_await std::move(dish);
#else
  co_await cook("soup");
  const std::string name = "salad";
  auto dish = cook(name);
  co_await std::move(dish);
  brigade::spawn(cook, "bread");
#endif
}
