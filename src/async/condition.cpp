#include <brigade/async/assert.hpp>
#include <brigade/async/condition.hpp>
#include <brigade/async/detail/probe.hpp>

#include <utility>

namespace brigade {

using detail::wait_state;

condition::~condition() {
  BRIGADE_ASSERT(waiters_.empty(), "a condition was destroyed while a task waits for it");
}

void condition::notify(std::size_t count) noexcept {
  BRIGADE_ASSERT(mutex_.locked(), "a condition was notified without its mutex locked");
  for (; count > 0 && !waiters_.empty(); --count) wake_oldest();
}

void condition::wake_oldest() noexcept {
  ++notified_;
  static_cast<wait_operation*>(waiters_.front())->relock();
}

void condition::pass_on() noexcept {
  detail::probe::passed(detail::probe::coverage::notify_passed_on);
  ++passed_on_;
  if (!detail::probe::stands(detail::probe::guard::notify_pass_on)) return;
  if (!waiters_.empty()) wake_oldest();
}

condition_statistics condition::statistics() const {
  condition_statistics result;
  result.waiting = waiters_.size();
  result.notified = notified_;
  result.passed_on = passed_on_;
  return result;
}

condition::wait_operation::~wait_operation() {
  const bool under_way = state_ == wait_state::waiting || state_ == wait_state::granted;
  const bool notified = under_way && relocking_ && !failing_;
  step_out();
  if (notified) condition_.pass_on();
}

void condition::wait_operation::await_suspend(std::coroutine_handle<> handle) noexcept {
  BRIGADE_ASSERT(guard_.holds(condition_.mutex_),
                 "a task waits for a condition without a guard that holds its mutex");
  if (begin_wait(handle)) return;
  wait_in(condition_.waiters_);
  std::exchange(guard_.owner_, nullptr)->unlock();
}

void condition::wait_operation::await_resume() {
  go_in();  // throws when the task was being cancelled before: then it never let go
  guard_.owner_ = &condition_.mutex_;
  condition_.mutex_.guard_moved_ = guard_.moved_;
  if (failing_) task_->throw_cancelled();
}

bool condition::wait_operation::cancel() noexcept {
  const bool notified = relocking_ && !failing_;
  failing_ = true;
  if (!relocking_) {
    relock();
  } else if (notified) {
    condition_.pass_on();
  }
  return true;
}

void condition::wait_operation::relock() noexcept {
  unlink();
  relocking_ = true;
  condition_.mutex_.turns_.stand_in_line(*this);
  condition_.mutex_.look_for_circle(*this);
}

std::string condition::wait_operation::describe() const {
  if (!relocking_) return "notification of condition '" + condition_.name_ + "'";
  return condition_.mutex_.describe() + ", to come back from condition '" + condition_.name_ + "'";
}

void condition::wait_operation::add_blockers(
    std::vector<const detail::task_state*>& blockers) const {
  if (relocking_) condition_.mutex_.add_holder(blockers);
}

}  // namespace brigade
