#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

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

void sleep_operation::await_resume() const {
  auto& self = const_cast<sleep_operation&>(*this);
  if (std::exchange(self.state_, wait_state::idle) == wait_state::cancelled) {
    task_->throw_cancelled();
  }
}

bool sleep_operation::cancel() noexcept {
  if (armed()) task_->owner().timers().disarm(*this);
  return waiter::cancel();
}

void sleep_operation::fire() noexcept { wake(wait_state::granted); }

void yield_operation::await_resume() const {
  auto& self = const_cast<yield_operation&>(*this);
  if (std::exchange(self.state_, wait_state::idle) == wait_state::cancelled) {
    task_->throw_cancelled();
  }
}

sleep_operation sleep_for(std::chrono::nanoseconds duration, std::source_location where) {
  loop& owner = loop::current();
  owner.refresh_now();
  return sleep_operation(owner.now() + duration, where);
}

sleep_operation sleep_until(detail::time_point when, std::source_location where) {
  return sleep_operation(when, where);
}

}  // namespace brigade
