// A task is one run of one coroutine: it moves, and awaiting it uses it up.
// g++:   passing 'brigade::task<void>' as 'this' argument discards qualifiers
// clang: no member named 'await_ready' in 'brigade::task<void>'
#include <brigade/async/task.hpp>

#include <utility>

brigade::task<> cook();

brigade::task<> serve() {
  auto dish = cook();
#ifdef BAD
  co_await dish;
#else
  co_await std::move(dish);
#endif
}
