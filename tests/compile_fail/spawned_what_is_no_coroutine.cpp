// What is spawned is a coroutine, with the arguments to call it with.
// g++:   spawn takes a coroutine: a callable that returns task<T>
// clang: spawn takes a coroutine: a callable that returns task<T>
#include <brigade/async/spawn.hpp>

brigade::task<> cook(int dish);
int price(int dish);

void open() {
#ifdef BAD
  brigade::spawn(price, 1);
#else
  brigade::spawn(cook, 1);
#endif
}
