/// for_each, map: a coroutine for every item, a few at a time.
///
/// `co_await for_each(urls, 8, fetch);`
/// `std::vector<page> pages = co_await map(urls, 8, fetch);`
/// `co_await for_each(orders, 8, cook);`  where `orders` is a queue
///
/// At most `concurrency` (at least 1, asserted) run at once, in as many tasks; these are started as
/// items come, and each goes on with the next item, in order, when it is done with one. Items come
/// from a range, or from what is waited for: anything with `next()`, `take()` (a queue) or
/// `receive()` (a receiver) whose result is false at the end and else gives the item by `*`. A
/// range or stream given as an lvalue is used where it is and must outlive the call; an rvalue is
/// moved in.
///
/// The callable gets each item as a reference, or moved when the range was moved in or has one pass
/// only; from a stream it may take the ticket itself. It is a coroutine, `task<T> f(item)`.
///
/// `map` gives the results in the order of the items.
///
/// Errors: the first one cancels the others, no item is begun any more, and an `exception_group`
/// leaves, also for one. With `collect_errors` all items are done all the same: `for_each` then
/// throws all errors, in the order they came, `map` gives a `gathered<T>` for each item. What the
/// range or stream itself throws ends everything either way.
/// An item whose callable throws `cancelled` without being cancelled, since what it awaited was,
/// counts as an error when errors are collected, and else lets `cancelled` leave.
///
/// Cancelled: the callables that run are cancelled, their end is waited for, `cancelled` leaves,
/// and the results so far are gone. No item of a stream is: one that was not handed to the callable
/// is still in its queue; one that was has its ticket settled as that decides (`abandoned` when its
/// callable was cancelled), unless the callable took the ticket and gave the item back. What a
/// `receive()` gave is the callable's alone.
///
/// Thread safety: one loop. Resumes: through the loop.
#pragma once
#include <brigade/async/detail/crew.hpp>
#include <brigade/async/gathered.hpp>
#include <brigade/async/task.hpp>

#include <cstddef>
#include <utility>

namespace brigade {

template <class Items, class F>
[[nodiscard]] auto for_each(Items&& items, std::size_t concurrency, F function) {
  return detail::run_crew<false, false, Items, F>(std::forward<Items>(items), concurrency,
                                                  std::move(function));
}
template <class Items, class F>
[[nodiscard]] auto for_each(collect_errors_t, Items&& items, std::size_t concurrency, F function) {
  return detail::run_crew<false, true, Items, F>(std::forward<Items>(items), concurrency,
                                                 std::move(function));
}

template <class Items, class F>
[[nodiscard]] auto map(Items&& items, std::size_t concurrency, F function) {
  return detail::run_crew<true, false, Items, F>(std::forward<Items>(items), concurrency,
                                                 std::move(function));
}
template <class Items, class F>
[[nodiscard]] auto map(collect_errors_t, Items&& items, std::size_t concurrency, F function) {
  return detail::run_crew<true, true, Items, F>(std::forward<Items>(items), concurrency,
                                                std::move(function));
}

}  // namespace brigade
