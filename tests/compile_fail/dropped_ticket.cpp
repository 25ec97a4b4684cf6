// A ticket that nobody keeps would be done at once.
// clang: ignoring return value of function declared with 'nodiscard'
#include <brigade/async/queue.hpp>

void cook(int dish);

brigade::task<> serve(brigade::queue<int>& rail) {
#ifdef BAD
  co_await rail.take();
#else
  while (auto dish = co_await rail.take()) cook(*dish);
#endif
  co_return;
}
