#include <brigade/async/assert.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/testing/sequencer.hpp>

namespace brigade::testing {

using detail::wait_state;

sequence_broken::sequence_broken(std::size_t position)
    : std::runtime_error("position " + std::to_string(position) +
                         " of a sequence never comes: a task before it was cancelled") {}

sequencer::~sequencer() {
  BRIGADE_ASSERT(waiters_.empty(), "a sequencer was destroyed while a task waits for its turn");
}

sequencer::turn_operation* sequencer::find(std::size_t position) noexcept {
  for (detail::link* node = waiters_.front(); node != waiters_.end(); node = node->next) {
    auto* waiting = static_cast<turn_operation*>(node);
    if (waiting->position_ == position) return waiting;
  }
  return nullptr;
}

void sequencer::next_position() noexcept {
  ++next_;
  taken_ = false;
  turn_operation* next = find(next_);
  if (next == nullptr || broken_) return;
  taken_ = true;
  next->wake(wait_state::granted);
}

void sequencer::break_off() noexcept {
  broken_ = true;
  while (!waiters_.empty()) {
    static_cast<detail::waiter*>(waiters_.front())->wake(wait_state::ended);
  }
}

sequencer::turn_operation::~turn_operation() {
  const bool unfinished = state_ == wait_state::waiting || state_ == wait_state::granted;
  leave();
  if (unfinished) owner_.break_off();
}

bool sequencer::turn_operation::await_ready() const noexcept {
  const bool past = position_ < owner_.next_ || (position_ == owner_.next_ && owner_.taken_);
  BRIGADE_ASSERT(!past, "a position of a sequence was used twice");
  BRIGADE_ASSERT(owner_.find(position_) == nullptr, "two tasks wait for one position");
  return owner_.broken_ || position_ == owner_.next_;
}

void sequencer::turn_operation::await_suspend(std::coroutine_handle<> handle) noexcept {
  if (!begin_wait(handle)) {
    wait_in(owner_.waiters_);
  } else {
    owner_.break_off();
  }
}

sequencer::turn sequencer::turn_operation::await_resume() {
  const wait_state how = std::exchange(state_, wait_state::idle);
  if (how == wait_state::cancelled) task_->throw_cancelled();
  if (owner_.broken_) throw sequence_broken(position_);
  owner_.taken_ = true;
  return turn(owner_);
}

bool sequencer::turn_operation::cancel() noexcept {
  waiter::cancel();
  owner_.break_off();
  return true;
}

std::string sequencer::turn_operation::describe() const {
  return "position " + std::to_string(position_) + " of a sequence, which is at " +
         std::to_string(owner_.next_);
}

}  // namespace brigade::testing
