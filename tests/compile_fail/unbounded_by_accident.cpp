// A queue has a bound; that it has none has to be said.
// g++:   no matching function for call to 'brigade::queue<int>::queue\(\)'
// clang: no matching constructor for initialization of 'brigade::queue<int>'
#include <brigade/async/queue.hpp>

void open() {
#ifdef BAD
  brigade::queue<int> rail;
#else
  brigade::queue<int> rail{8};
#endif
}
