/// What a wait touches of its loop and its task: together, and inline, for it is touched at every
/// wait of every task.
#pragma once
#include <brigade/async/detail/link.hpp>
#include <brigade/async/detail/timer.hpp>

#include <coroutine>
#include <cstddef>

namespace brigade::detail {

class task_state;
class waiter;

/// What is in the ready list: the way back into a task.
struct runnable : link {
  runnable() = default;
  /// For waiters: of one that never had to wait, the task is not even set.
  explicit runnable(unset) : link(unset{}) {}  // NOLINT(cppcoreguidelines-pro-type-member-init)
  task_state* task_;
};

/// Of a task.
struct waiting_task {
  waiter* wait_ = nullptr;
  std::coroutine_handle<> resumes_at_;
  time_point waiting_since_{};
  bool interrupted_ = false;
  bool cancellation_in_flight_ = false;
};

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
