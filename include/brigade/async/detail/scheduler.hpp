/// What a wait touches of its loop and its task: together, and inline, for it is touched at every
/// wait of every task.
#pragma once
#include <brigade/async/detail/link.hpp>
#include <brigade/async/detail/timer.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>

namespace brigade::detail {

class task_state;
class waiter;

/// What is in the ready list: the way back into a task, or into one that has not started.
struct runnable : link {
  runnable() = default;
  /// For waiters: of one that never had to wait, the task is not even set.
  explicit runnable(unset) : link(unset{}) {}  // NOLINT(cppcoreguidelines-pro-type-member-init)
  /// Of a task that has not started. It is part of that task's record, so in the place of the
  /// record's address it has, odd, since when it waits.
  explicit runnable(time_point since) {
    const auto ticks = static_cast<std::uintptr_t>(since.time_since_epoch().count());
    task_ = reinterpret_cast<task_state*>(ticks << 1 | 1);
  }
  [[nodiscard]] bool is_start() const { return (reinterpret_cast<std::uintptr_t>(task_) & 1) != 0; }
  [[nodiscard]] time_point start_waits_since() const {
    return time_point(time_point::duration(reinterpret_cast<std::intptr_t>(task_) >> 1));
  }
  task_state* task_;
};

/// Where a task that has started waits.
struct resumption {
  waiter* wait = nullptr;
  std::coroutine_handle<> at;
  time_point since{};
};

/// Of a task.
struct waiting_task {
  waiting_task() : resumption_() {}
  union {
    runnable start_;  ///< while it waits for its first step
    resumption resumption_;
  };
  bool interrupted_ = false;
  bool cancellation_in_flight_ = false;
};
static_assert(sizeof(runnable) == sizeof(resumption));

/// Of a loop.
struct scheduler {
  link_list ready_;
  std::size_t ready_count_ = 0;
  task_state* running_ = nullptr;
  waiting_task* running_part_ = nullptr;  ///< of the same task
  time_point now_{};
};

/// Of the loop that runs on this thread.
inline constinit thread_local scheduler* this_scheduler = nullptr;
inline constexpr unsigned none_uncaught = 0;
/// Where this thread counts its uncaught exceptions, once it has had a loop or a queue. Each call
/// of std::uncaught_exceptions() would cost as much as the rest of a ticket's end.
inline constinit thread_local const unsigned* uncaught_count = &none_uncaught;
void find_uncaught_count() noexcept;
/// How many operations that need not wait the running task may still do before the others get a
/// turn.
inline constinit thread_local int turn_budget_left = 0;

}  // namespace brigade::detail
