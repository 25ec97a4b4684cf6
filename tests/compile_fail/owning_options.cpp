// g++ 12 destroys what a braced aggregate owns twice: name it, or give it a constructor.
// lint: an owning lambda or braced aggregate in an expression with co_await: name it first
#include <brigade/async/task.hpp>

#include <string>
#include <utility>

struct options {
  std::string dish;
  int portions;
};
brigade::task<> cook(options how);

brigade::task<> serve() {
#ifdef BAD
  co_await cook({.dish = "soup", .portions = 2});
#else
  options how{.dish = "soup", .portions = 2};
  co_await cook(std::move(how));
#endif
}
