// What can wait waits in `co_await` only.
// g++:   ignoring returned value of type 'brigade::.*put
// clang: ignoring return value of function declared with 'nodiscard' attribute
#include <brigade/async/queue.hpp>

brigade::task<> order(brigade::queue<int>& rail) {
#ifdef BAD
  rail.put(1);
#else
  co_await rail.put(1);
#endif
  co_return;
}
