/// thread_pool: threads for blocking or busy calls, as many at once as its size says; the size may
/// change while it works.
///
/// Threads are started when there is work for them and kept for more. A call whose waiter has gone
/// before it began never runs; one that runs is asked to stop (its `std::stop_token`), goes on
/// unseen, and keeps its thread until it returns: it is abandoned, and `abandoned_calls` names it.
///
/// Thread safety: all of it from any thread, but for `run` and `shutdown`, which are awaited on a
/// loop. Lifetime: calls may outlive the pool, abandoned.
#pragma once
#include <brigade/async/detail/thread_call.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade {

/// A call whose waiter has gone and that has not returned.
struct abandoned_call {
  std::string name;  ///< the task that made it
  std::string pool;
  std::source_location where;
};

/// "call of task 'import' at orders.cpp:41 (pool 'threads')"
[[nodiscard]] std::string to_string(const abandoned_call& call);

/// All of this process.
[[nodiscard]] std::vector<abandoned_call> abandoned_calls();
/// How many these are.
[[nodiscard]] std::size_t abandoned_threads() noexcept;

/// The pool takes no more calls.
class pool_closed : public std::runtime_error {
 public:
  explicit pool_closed(std::string_view pool_name);
};

/// The pool was shut down before the call had returned.
class call_abandoned : public std::runtime_error {
 public:
  explicit call_abandoned(const abandoned_call& call);
};

struct thread_pool_statistics {
  std::size_t size = 0;     ///< at most so many threads
  std::size_t threads = 0;  ///< there are now
  std::size_t running = 0;  ///< calls, abandoned ones included
  std::size_t queued = 0;
  std::uint64_t returned = 0;
  std::uint64_t withdrawn = 0;  ///< cancelled before they began
};

class thread_pool {
 public:
  /// `size` is at least 1 (asserted).
  explicit thread_pool(std::size_t size, std::string name = "threads");
  /// Does not wait: what runs is asked to stop and abandoned.
  ~thread_pool();
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  /// The one that `to_thread` uses: 64 threads.
  static thread_pool& standard();

  /// Completes:  with what the call returns; throws what it throws.
  /// Cancelled:  asks the call to stop and throws `cancelled` at once. Once the result has come it
  ///             is given; the cancellation strikes at the next wait.
  /// Throws:     `pool_closed`, `call_abandoned`; std::system_error when not even one thread can be
  ///             started.
  template <class F>
  auto run(F function, std::source_location where = std::source_location::current()) {
    return detail::call_on_thread(team_, where, std::move(function));
  }
  template <class F, class A>
  auto run(F function, A first, std::source_location where = std::source_location::current()) {
    return detail::call_on_thread(team_, where, std::move(function), std::move(first));
  }
  template <class F, class A, class B>
  auto run(F function, A first, B second,
           std::source_location where = std::source_location::current()) {
    return detail::call_on_thread(team_, where, std::move(function), std::move(first),
                                  std::move(second));
  }
  template <class F, class A, class B, class C>
  auto run(F function, A first, B second, C third,
           std::source_location where = std::source_location::current()) {
    return detail::call_on_thread(team_, where, std::move(function), std::move(first),
                                  std::move(second), std::move(third));
  }

  /// At least 1 (asserted). More threads start when there is work; surplus ones end after the call
  /// they are in.
  void set_size(std::size_t size);
  [[nodiscard]] std::size_t size() const { return statistics().size; }
  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] thread_pool_statistics statistics() const;

  /// Takes no more calls; waits for those it has, at most so long. What still runs is asked to
  /// stop and abandoned: its waiters get `call_abandoned`, and the loop a warning that names it.
  /// What has not begun never runs.
  /// Completes:  with the calls that were abandoned.
  /// Cancelled:  abandons them at once; throws `cancelled`.
  task<std::vector<abandoned_call>> shutdown(std::chrono::nanoseconds within);

  [[nodiscard]] const std::shared_ptr<detail::thread_team>& team() const { return team_; }

 private:
  std::shared_ptr<detail::thread_team> team_;
};

}  // namespace brigade
