// A queue has a bound; that it has none has to be said.
// g++:   use of deleted function 'brigade::queue<int>::queue\(\)'
// clang: call to implicitly-deleted default constructor of 'brigade::queue<int>'
#include <brigade/async/queue.hpp>

void open() {
#ifdef BAD
  brigade::queue<int> rail;
#else
  brigade::queue<int> rail{8};
#endif
}
