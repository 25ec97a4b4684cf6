#include <brigade/async/assert.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <string>

namespace brigade {

using detail::wait_state;

sleep_operation::~sleep_operation() {
  if (armed()) task_->owner().timers().disarm(*this);
  leave();
}

void sleep_operation::await_suspend(std::coroutine_handle<> handle) {
  if (begin_wait(handle)) return;
  if (until_ <= task_->owner().now()) {
    wait_granted();
    return;
  }
  state_ = wait_state::waiting;
  task_->owner().timers().arm(*this, until_, task_->background());
}

void sleep_operation::await_resume() { end_wait(); }

bool sleep_operation::cancel() noexcept {
  if (armed()) task_->owner().timers().disarm(*this);
  return waiter::cancel();
}

void sleep_operation::fire() noexcept { wake(wait_state::granted); }

void yield_operation::await_resume() { end_wait(); }

sleep_operation sleep_for(std::chrono::nanoseconds duration, std::source_location where) {
  return sleep_operation(detail::deadline_in(loop::current(), duration), where);
}

sleep_operation sleep_until(detail::time_point when, std::source_location where) {
  return sleep_operation(when, where);
}

namespace {

const char* name_of(timeout_scope::state which) {
  switch (which) {
    case timeout_scope::state::created:
      return "created, its body has not begun";
    case timeout_scope::state::active:
      return "active";
    case timeout_scope::state::expiring:
      return "expiring";
    case timeout_scope::state::expired:
      return "expired";
    case timeout_scope::state::finished:
      return "finished";
  }
  return "unknown";
}

}  // namespace

timeout_scope::timeout_scope(std::optional<std::chrono::nanoseconds> after) {
  if (after) when_ = detail::deadline_in(loop::current(), *after);
}

timeout_scope::~timeout_scope() {
  BRIGADE_ASSERT(entry_ == nullptr, "a timeout scope was destroyed while its body runs");
}

void timeout_scope::reschedule(std::optional<detail::time_point> when) {
  if (state_ != state::active) {
    throw invalid_state(std::string("a timeout cannot be rescheduled that is ") + name_of(state_));
  }
  when_ = when;
  entry_->aim();
}

timeout_scope::entry::entry(timeout_scope& of)
    : of_(of), began_(owner().now()), background_(owner().running()->background()) {
  if (of.state_ != state::created) {
    throw invalid_state(std::string("a timeout cannot be entered that is ") + name_of(of.state_));
  }
  of.entry_ = this;
  of.state_ = state::active;
  aim();
}

timeout_scope::entry::~entry() {
  if (armed()) owner().timers().disarm(*this);
  of_.state_ = of_.expired() ? state::expired : state::finished;
  of_.entry_ = nullptr;
}

void timeout_scope::entry::aim() {
  if (armed()) owner().timers().disarm(*this);
  if (!of_.when_) return;
  if (*of_.when_ <= owner().now()) {
    fire();  // not through the timers: a task that is always ready would not let them come
  } else {
    owner().timers().arm(*this, *of_.when_, background_);
  }
}

void timeout_scope::entry::fire() noexcept {
  of_.state_ = state::expiring;
  cancel("deadline passed");
}

void timeout_scope::entry::convert() const {
  cancellation_ended();
  throw timed_out(std::max(*of_.when_, began_) - began_);
}

}  // namespace brigade
