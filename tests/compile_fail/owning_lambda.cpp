// g++ 12 destroys what a lambda owns twice, when the lambda is made inside a `co_await`.
// lint: an owning lambda or braced aggregate in an expression with co_await: name it first
#include <brigade/async/thread.hpp>

#include <string>
#include <utility>

void print(const std::string& bill);

brigade::task<> pay(std::string bill) {
#ifdef BAD
  co_await brigade::to_thread([bill] { print(bill); });
#else
  auto printing = [bill] { print(bill); };
  co_await brigade::to_thread(std::move(printing));
#endif
}
