/// to_thread: a blocking or busy call on a thread of its own, awaited like any other wait.
///
/// `std::string text = co_await to_thread(read_file, path);`
/// Callable and arguments are moved to the heap; no reference into a frame crosses. A callable that
/// takes a `std::stop_token` first is told when nobody waits for it any more. The threads are those
/// of `thread_pool::standard()`; reports name the task and the line of the call.
///
/// Thread safety: called on a loop's thread. Lifetime: the call may outlive its waiter and its
/// loop.
#pragma once
#include <brigade/async/detail/thread_call.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>
#include <brigade/async/thread_pool.hpp>

#include <source_location>
#include <utility>

namespace brigade {

/// Is a task: to be awaited, or given to whatever takes one. It is a class, and not a function, so
/// that the line of the call can come behind the arguments.
///
/// Completes:  with what the call returns; throws what it throws.
/// Cancelled:  asks the call to stop (its token) and throws `cancelled` at once; the thread goes on
///             unseen until the call returns. Where that must not be, wait inside `shielded`. Once
///             the result has come it is given; the cancellation strikes at the next wait.
template <class F, class... Args>
class [[nodiscard("a call is made when it is awaited")]] to_thread
    : public task<typename detail::thread_call<F, Args...>::result> {
 public:
  explicit to_thread(F function, Args... args,
                     std::source_location where = std::source_location::current())
      : task<typename detail::thread_call<F, Args...>::result>(detail::call_on_thread(
            thread_pool::standard().team(), where, std::move(function), std::move(args)...)) {}
};

template <class F, class... Args>
to_thread(F, Args...) -> to_thread<F, Args...>;

template <class F, class... Args>
inline constexpr bool is_task<to_thread<F, Args...>> = true;

}  // namespace brigade
