// A task that is neither awaited nor spawned never runs.
// g++:   a task does nothing until it is awaited or spawned
// clang: a task does nothing until it is awaited or spawned
#include <brigade/async/task.hpp>

brigade::task<> cook();

brigade::task<> serve() {
#ifdef BAD
  cook();
#else
  co_await cook();
#endif
  co_return;
}
