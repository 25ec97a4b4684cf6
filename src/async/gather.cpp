#include <brigade/async/assert.hpp>
#include <brigade/async/gather.hpp>
#include <brigade/async/loop.hpp>

#include <utility>

namespace brigade::detail {

void gather_member::target_ended() noexcept { core_->member_ended(*this); }

void gather_core::drop_members() noexcept {
  for (gather_member& member : members_) {
    if (!member.own_ || member.target_->done() || mode_ == gather_mode::keep_running) continue;
    if (member.linked()) member.unlink();
    end_in_place(*member.target_);
  }
}

cancel_scope* gather_core::scope() {
  return mode_ == gather_mode::keep_running ? nullptr : &scope_;
}

void gather_core::add(gather_member& member, completion& target, bool own) {
  member.core_ = this;
  member.target_ = &target;
  member.own_ = own;
}

void gather_core::begin(std::span<gather_member> members) {
  members_ = members;
  try {
    for (const gather_member& member : members) member.target_->require_awaitable();
  } catch (...) {
    drop_members();  // what throws in a constructor has no destructor to do it
    throw;
  }
  to_go_ = members.size();
  for (const gather_member& member : members) own_to_go_ += member.own_ ? 1 : 0;
  for (gather_member& member : members) {
    if (member.target_->done()) {
      member_ended(member);
    } else {
      member.target_->watch(member);
    }
  }
}

bool gather_core::enough() const noexcept {
  if (to_go_ == 0) return true;
  if (in_circle_) return own_to_go_ == 0;
  if (first_failed_ == nullptr || cancelled_ || mode_ == gather_mode::collect) return false;
  return mode_ == gather_mode::keep_running || own_to_go_ == 0;
}

void gather_core::member_ended(gather_member& member) noexcept {
  --to_go_;
  if (member.own_) --own_to_go_;
  const bool failed = member.target_->failed() || member.target_->ended_cancelled();
  if (failed && first_failed_ == nullptr) {
    first_failed_ = &member;
    if (mode_ == gather_mode::cancel_siblings) {
      scope_.cancel(member.target_->describe() + ", gathered with it, failed");
    }
  }
  if (state_ == wait_state::waiting && enough()) wake(wait_state::granted);
}

void gather_core::await_suspend(std::coroutine_handle<> handle,
                                std::source_location where) noexcept {
  where_ = where;
  enter_wait(handle);
  state_ = wait_state::waiting;
  task_->owner().look_for_circle(*this);
  if (task_->interrupted()) pass_on();
}

bool gather_core::cancel() noexcept {
  // Once there is a result it is given: the cancellation strikes at the next wait.
  if (state_ == wait_state::waiting) pass_on();
  return false;
}

void gather_core::pass_on() noexcept {
  cancelled_ = true;
  const std::string reason = task_->cancel_reason();
  // A request strikes each of them once; in a cancelled scope they are from now on.
  const bool by_request = task_->use_up_request();
  if (!by_request) scope_.cancel(reason);
  for (gather_member& member : members_) {
    const bool in_scope = member.own_ && mode_ != gather_mode::keep_running;
    if (!by_request && in_scope) continue;
    // Who waits for this gather, and has passed the cancellation on to it, does not end before it.
    const task_state* task = member.target_->as_task();
    const bool waits_for_this = task != nullptr && !task->done() && task->interrupting();
    if (waits_for_this) {
      in_circle_ = true;
    } else {
      member.target_->cancel(reason);
    }
  }
  if (state_ == wait_state::waiting && in_circle_ && enough()) wake(wait_state::granted);
}

bool gather_core::cancel_all(std::string_view reason) {
  if (to_go_ == 0) return false;
  cancelled_ = true;
  asked_to_cancel_ = reason;
  for (gather_member& member : members_) member.target_->cancel(reason);
  return true;
}

void gather_core::finish() {
  state_ = wait_state::idle;
  // Who gathers takes the first error for all of them.
  for (gather_member& member : members_) member.target_->expect_error();
  const bool by_error = first_failed_ != nullptr && first_failed_->target_->failed();
  if (mode_ != gather_mode::collect && by_error) {
    std::rethrow_exception(first_failed_->target_->see_error());
  }
  if (asked_to_cancel_) throw brigade::cancelled(*asked_to_cancel_);
  if (cancelled_) task_->throw_cancelled();
  if (mode_ == gather_mode::collect || first_failed_ == nullptr) return;
  throw brigade::cancelled(first_failed_->target_->cancel_reason());
}

std::string gather_core::describe() const {
  return "gather of " + std::to_string(members_.size()) + ": " + std::to_string(to_go_) + " to go";
}

void gather_core::add_blockers(std::vector<const task_state*>& blockers) const {
  for (const gather_member& member : members_) {
    const task_state* task = member.target_->as_task();
    if (task != nullptr && !task->done()) blockers.push_back(task);
  }
}

}  // namespace brigade::detail
