// An item that goes along with its put would be lost when another arm of the select wins.
// g++:   would lose the item when another arm wins
// clang: would lose the item when another arm wins
#include <brigade/async/event.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/select.hpp>
#include <brigade/async/shared_queue.hpp>

brigade::task<> offer(brigade::queue<int>& rail, brigade::shared_queue<int>& all, int item,
                      brigade::event& stop) {
  co_await rail.put(item);
#ifdef BAD
  const auto which = co_await brigade::select(all.put(item), stop.wait());
#else
  const auto which = co_await brigade::select(rail.put_from(item), stop.wait());
#endif
  if (which.index() == 1) co_await all.put(item);
}
