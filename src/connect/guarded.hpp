/// An object that blocks, and calls to it on threads: one at a time, none cut off half-way.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/pipeline/stage.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

namespace brigade {

template <class Object>
struct guarded {
  template <class... Args>
  explicit guarded(Args&&... args) : object(std::forward<Args>(args)...) {}
  Object object;
  std::atomic<bool> busy{false};
};

namespace detail {

// Longer than a locked database is waited for. A process that has to end sooner is ended by its
// watchdog, and recovers like from any other kill.
inline constexpr std::chrono::seconds guarded_deadline{30};

struct busy_no_more {
  std::atomic<bool>& busy;
  ~busy_no_more() { busy.store(false, std::memory_order_release); }
};

template <class Object, class Result, class... Args>
Result run_guarded(const std::shared_ptr<guarded<Object>>& target,
                   Result (*function)(Object&, const Args&...), const Args&... args) {
  const busy_no_more at_end{target->busy};
  return function(target->object, args...);
}

}  // namespace detail

/// Completes:  with what the function returns; throws what it throws.
/// Cancelled:  the call is waited for all the same, and its result returned. Should it take longer
///             than 30 s, `cancelled` leaves; it may then still succeed, so every later call throws
///             fatal_error until it has ended.
template <class Object, class Result, class... Args>
task<Result> call_guarded(std::shared_ptr<guarded<Object>> target,
                          Result (*function)(Object&, const Args&...), Args... args) {
  if (target->busy.exchange(true, std::memory_order_acquire)) {
    throw fatal_error("an earlier write has not come back");
  }
  auto call = to_thread(&detail::run_guarded<Object, Result, Args...>, std::move(target), function,
                        std::move(args)...);
  auto all = shielded(detail::guarded_deadline, std::move(call));
  co_return co_await std::move(all);
}

}  // namespace brigade
