#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/loop.hpp>

#include <utility>

namespace brigade::detail {

namespace {

// What would wait for ever: itself, or a task that another thread runs.
const char* never_ends(const task_state& target) {
  const loop& here = loop::current();
  if (&target == here.running()) return "a task awaits itself";
  if (&target.owner() != &here) return "a task of another loop is awaited; use submit";
  return nullptr;
}

}  // namespace

bool join_waiter::await_ready() const noexcept {
  return target_->done() || never_ends(*target_) != nullptr;
}

void join_waiter::await_suspend(std::coroutine_handle<> handle) noexcept {
  if (mode_ == on_waiter_cancel::leave) {
    if (begin_wait(handle)) return;
  } else {
    enter_wait(handle);
  }
  wait_in(target_->listeners_);
  const waiter* beyond = target_->waiting_on();
  if (beyond != nullptr && beyond->state() == wait_state::waiting) {
    task_->owner().look_for_circle(*this);
  }
  if (mode_ == on_waiter_cancel::pass_on && task_->interrupted()) pass_on();
}

bool join_waiter::cancel() noexcept {
  // Once the task has ended there is nobody to pass it on to: this wait fails. So it does when the
  // cancellation came from that very task: they wait for each other, and one of them has to go.
  const bool passes_on = mode_ == on_waiter_cancel::pass_on && state_ == wait_state::waiting;
  if (!passes_on || target_->interrupting()) return waiter::cancel();
  pass_on();
  return false;
}

void join_waiter::pass_on() noexcept {
  passed_on_ = true;
  const std::string reason = task_->cancel_reason();
  task_->use_up_request();
  target_->cancel(reason);
}

void join_waiter::await_resume() {
  end_wait();
  if (!target_->done()) throw invalid_state(never_ends(*target_));
  target_->error_seen_ = true;
  if (target_->error_) std::rethrow_exception(target_->error_);
  if (!target_->ended_cancelled_) return;
  if (passed_on_) task_->throw_cancelled();
  throw cancelled(target_->cancel_reason());
}

std::string join_waiter::describe() const { return "end of task '" + target_->name() + "'"; }

void join_waiter::add_blockers(std::vector<const task_state*>& blockers) const {
  blockers.push_back(target_);
}

}  // namespace brigade::detail
