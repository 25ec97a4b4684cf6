#include <brigade/async/assert.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <utility>

namespace brigade::testing {

all_blocked_operation wait_all_tasks_blocked(std::source_location where) {
  auto* time = dynamic_cast<virtual_time*>(&loop::current().world());
  BRIGADE_ASSERT(time != nullptr, "only on a virtual loop a task can wait for the others to wait");
  return all_blocked_operation(*time, where);
}

all_blocked_operation::~all_blocked_operation() {
  stop_waiting();
  leave();
}

void all_blocked_operation::await_suspend(std::coroutine_handle<> handle) noexcept {
  if (begin_wait(handle)) return;
  wait_in(time_.wait_for_all_);
  waits_ = true;
  task_->owner().outside_wait_begins(false);  // it ends for certain: no deadlock
}

void all_blocked_operation::stop_waiting() noexcept {
  if (std::exchange(waits_, false)) task_->owner().outside_wait_ends(false);
}

bool all_blocked_operation::cancel() noexcept {
  stop_waiting();
  return waiter::cancel();
}

void all_blocked_operation::await_resume() {
  const auto how = std::exchange(state_, detail::wait_state::idle);
  if (how == detail::wait_state::cancelled) task_->throw_cancelled();
}

bool virtual_time::wake_who_waits_for_all() noexcept {
  if (wait_for_all_.empty()) return false;
  auto& first = *static_cast<all_blocked_operation*>(wait_for_all_.front());
  first.stop_waiting();
  first.wake(detail::wait_state::granted);
  return true;
}

void virtual_time::wait_until(detail::time_point deadline) {
  if (wake_who_waits_for_all()) return;
  BRIGADE_ASSERT(deadline != detail::time_point::max(),
                 "a virtual loop waits for something from outside, which never comes");
  if (deadline > now_) now_ = deadline;
}

std::size_t virtual_time::choose(std::size_t ready) {
  if (before_step) before_step();
  if (steps_to_live_ > 1) {
    --steps_to_live_;
  } else if (steps_to_live_ == 1 && time_to_kill_.awaited()) {
    steps_to_live_ = 0;
    time_to_kill_.set();
    return ready;  // the killer has just become the last of those that are ready
  }
  return random_ ? static_cast<std::size_t>(random_->below(ready)) : 0;
}

/// While it lives, this thread is the loop's.
class virtual_loop::entry {
 public:
  explicit entry(virtual_loop& entered) {
    BRIGADE_ASSERT(current_if_any() == nullptr, "a loop driven by hand while one runs");
    entered.enter_thread();
  }
  ~entry() { leave_thread(); }
  entry(const entry&) = delete;
  entry& operator=(const entry&) = delete;
};

virtual_loop::~virtual_loop() {
  if (task_count() != 0) finish();
}

bool virtual_loop::step() { return run_steps(1) == 1; }

std::uint64_t virtual_loop::run_steps(std::uint64_t count) {
  const entry here(*this);
  std::uint64_t made = 0;
  while (made < count && loop::step()) ++made;
  return made;
}

std::uint64_t virtual_loop::run_ready() {
  const std::uint64_t before = steps();
  do {
    while (loop::step()) {
      BRIGADE_ASSERT(steps() - before < steps_max, "the tasks of a loop driven by hand never wait");
    }
    refresh_now();
    look_outside(false);
  } while (ready_count_ != 0 || time().wake_who_waits_for_all());
  return steps() - before;
}

std::uint64_t virtual_loop::run_until_idle() {
  const entry here(*this);
  return run_ready();
}

void virtual_loop::advance(std::chrono::nanoseconds duration) {
  const entry here(*this);
  run_ready();
  const detail::time_point until = time().now() + duration;
  while (!timers().empty() && timers().next() <= until) {
    time().wait_until(timers().next());
    run_ready();
  }
  time().wait_until(until);
  run_ready();
}

void virtual_loop::finish() {
  const entry here(*this);
  end_leftovers();
  bury();
}

void virtual_loop::kill_after(std::uint64_t steps) {
  BRIGADE_ASSERT(steps > 0, "a loop is killed after one step at the earliest");
  time().steps_to_live_ = steps;
  auto killer = kill_when_told();
  spawn_on(*this, std::move(killer), "killer").set_background();
}

task<> virtual_loop::kill_when_told() {
  co_await time().time_to_kill_.wait();
  killed_ = true;
  kill_others();
}

}  // namespace brigade::testing
