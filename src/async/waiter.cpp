#include <brigade/async/assert.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/loop.hpp>

namespace brigade::detail {

// A loop that is looked at between its steps, or has ended.
void waiter::make_ready_from_outside() noexcept { task_->owner().make_ready(*this); }

bool waiter::fail_wait() noexcept {
  task_->note_interrupted_wait();
  state_ = wait_state::cancelled;
  make_ready();
  return true;
}

void waiter::add_blockers(std::vector<const task_state*>& blockers) const {
  static_cast<void>(blockers);
}

void waiter::throw_cancelled() const { task_->throw_cancelled(); }

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

void waiter::leave_wait() noexcept {
  waiter*& wait = task_->resumption_.wait;
  if (wait == this) wait = nullptr;
  const bool was_ready = state_ != wait_state::waiting;
  if (linked()) {
    unlink();
    if (was_ready) task_->owner().forget_ready();
  }
  // Resumed waiters have given up their state; what is left here dies in the middle of its wait.
  if (state_ == wait_state::granted) revoke();
  if (state_ == wait_state::ended) end_unheard();
  state_ = wait_state::idle;
}

}  // namespace brigade::detail
