// A function that hands a coroutine on must not lend it its own locals.
// lint: a task that dangles: address of stack memory associated with local variable 'name' returned
#include <brigade/async/task.hpp>

#include <string>

brigade::task<> cook(const std::string& dish);

brigade::task<> serve() {
  const std::string name = "soup";
#ifdef BAD
  return cook(name);
#else
  co_await cook(name);
#endif
}
