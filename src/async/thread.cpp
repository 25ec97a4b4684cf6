#include "async/thread_team.hpp"

#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/thread.hpp>

#include <utility>

namespace brigade::detail {

thread_wait::~thread_wait() {
  let_go();
  leave();
}

void call_ended(thread_job& job) {
  if (job.waiting == nullptr) return;
  thread_wait& waiting = *std::exchange(job.waiting, nullptr);
  waiting.task()->owner().outside_wait_ends(waiting.background_);
  waiting.wake(wait_state::granted);
}

bool thread_wait::await_ready() const {
  if (team_->closed()) throw pool_closed(team_->name());
  return false;
}

void thread_wait::await_suspend(std::coroutine_handle<> handle) {
  if (begin_wait(handle)) return;
  state_ = wait_state::waiting;
  job_->waiting = this;
  job_->name = task_->name();
  job_->box = task_->owner().mailbox();
  background_ = task_->background();
  task_->owner().outside_wait_begins(background_);
  if (team_->submit(job_)) return;
  job_->given_up = std::make_exception_ptr(pool_closed(team_->name()));
  call_ended(*job_);
}

void thread_wait::await_resume() {
  end_wait();
  if (job_->given_up) std::rethrow_exception(job_->given_up);
}

bool thread_wait::cancel() noexcept {
  if (state_ == wait_state::granted) return false;  // what the call did cannot be taken back
  let_go();
  return waiter::cancel();
}

std::string thread_wait::describe() const {
  return "call on a thread (pool '" + team_->name() + "')";
}

void thread_wait::let_go() noexcept {
  if (job_->waiting != this) return;
  job_->waiting = nullptr;
  team_->let_go(job_);
  task_->owner().outside_wait_ends(background_);
}

}  // namespace brigade::detail
