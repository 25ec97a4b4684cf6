// The captures of a coroutine lambda are in the lambda, not in the coroutine's frame: it must live
// as long. `spawn` keeps the callable; parameters are in the frame.
// lint: a task that dangles: temporary whose address is used as value of local variable 'dish'
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <utility>

void put_on_the_fire(int portions);

brigade::task<> serve(int portions) {
#ifdef BAD
  auto dish = [portions]() -> brigade::task<> {
    put_on_the_fire(portions);
    co_return;
  }();
#else
  brigade::spawn([portions]() -> brigade::task<> {
    put_on_the_fire(portions);
    co_return;
  });
  auto dish = [](int count) -> brigade::task<> {
    put_on_the_fire(count);
    co_return;
  }(portions);
#endif
  co_await std::move(dish);
}
