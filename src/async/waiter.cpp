#include <brigade/async/assert.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/loop.hpp>

namespace brigade::detail {

void waiter::enter_wait(std::coroutine_handle<> handle) noexcept {
  loop& owner = loop::current();
  BRIGADE_ASSERT(owner.running() != nullptr, "a wait outside any task");
  handle_ = handle;
  task_ = owner.running();
  task_->wait_ = this;
  task_->waiting_since_ = owner.now();
  task_->cancellation_in_flight_ = false;
}

bool waiter::begin_wait(std::coroutine_handle<> handle) noexcept {
  enter_wait(handle);
  if (!task_->interrupted()) return false;
  task_->note_interrupted_wait();
  state_ = wait_state::cancelled;
  task_->owner().make_ready(*this);
  return true;
}

void waiter::wait_granted() noexcept {
  state_ = wait_state::granted;
  task_->owner().make_ready(*this);
}

void waiter::wake(wait_state with) noexcept {
  BRIGADE_ASSERT(state_ == wait_state::waiting, "woke a waiter that does not wait");
  if (linked()) unlink();
  state_ = with;
  task_->owner().make_ready(*this);
}

void waiter::add_blockers(std::vector<const task_state*>& blockers) const {
  static_cast<void>(blockers);
}

bool waiter::cancel() noexcept {
  if (state_ == wait_state::granted) {
    unlink();
    task_->owner().forget_ready();
    revoke();
  } else if (linked()) {
    unlink();
  }
  state_ = wait_state::cancelled;
  task_->owner().make_ready(*this);
  return true;
}

void waiter::leave() noexcept {
  if (state_ == wait_state::idle) return;
  if (task_->wait_ == this) task_->wait_ = nullptr;
  const bool was_ready = state_ != wait_state::waiting;
  if (linked()) {
    unlink();
    if (was_ready) task_->owner().forget_ready();
  }
  // Resumed waiters have given up their state; what is left here dies in the middle of its wait.
  if (state_ == wait_state::granted) revoke();
  state_ = wait_state::idle;
}

}  // namespace brigade::detail
