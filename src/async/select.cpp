#include <brigade/async/assert.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/select.hpp>

namespace brigade::detail {

// Both numbers change from one select to the next: the steps with each wait, the budget with each
// operation that needs none. They repeat with the seed of a test.
std::size_t select_waiter::first_in_turn() const noexcept {
  const loop& owner = loop::current();
  const auto turn = owner.steps() + static_cast<std::uint64_t>(loop::turn_budget - owner.budget());
  return static_cast<std::size_t>(turn % arms_.size());
}

bool select_waiter::still_waits(std::size_t arm) const {
  return arms_[arm]->state() == wait_state::waiting;
}

void select_waiter::wait_beside(std::coroutine_handle<> handle) noexcept {
  // Each arm has registered itself as what the task waits on; cancellation has to come here.
  enter_wait(handle);
  state_ = wait_state::waiting;
}

std::size_t select_waiter::finish_wait() {
  end_wait();
  std::size_t winner = arms_.size();
  for (std::size_t i = 0; i < arms_.size(); ++i) {
    waiter& arm = *arms_[i];
    const bool woken = arm.state() != wait_state::idle && arm.state() != wait_state::waiting;
    if (woken && !arm.linked()) {
      winner = i;
    } else {
      withdraw(arm);
    }
  }
  BRIGADE_ASSERT(winner < arms_.size(), "a select was resumed by none of its arms");
  return winner;
}

void select_waiter::withdraw(waiter& arm) noexcept {
  // Gives back what it was promised, and disarms its timer.
  if (arm.state() == wait_state::waiting || arm.state() == wait_state::granted) arm.cancel();
  arm.leave();
}

void select_waiter::withdraw_all() noexcept {
  for (waiter* arm : arms_) withdraw(*arm);
}

bool select_waiter::cancel() noexcept {
  withdraw_all();
  return waiter::cancel();
}

void select_waiter::abandon() noexcept {
  if (state_ == wait_state::idle) return;
  withdraw_all();
  leave();
}

bool select_waiter::outside() const {
  for (const waiter* arm : arms_) {
    if (arm->outside()) return true;
  }
  return false;
}

std::string select_waiter::describe() const {
  std::string text = "the first of";
  const char* before = ": ";
  for (const waiter* arm : arms_) {
    text += before + arm->describe();
    before = "; ";
  }
  return text;
}

}  // namespace brigade::detail
