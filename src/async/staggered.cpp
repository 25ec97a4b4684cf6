#include <brigade/async/detail/wait_core.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/staggered.hpp>

#include <utility>

namespace brigade::detail {

void end_in_place(completion& own_task) noexcept {
  auto& task = static_cast<task_state&>(own_task);
  task.owner().kill(task);
}

void race_member::target_ended() noexcept { race->ended(*this); }

race_core::~race_core() {
  for (const auto& member : members_) {
    if (member->target().done()) continue;
    member->unlink();
    end_in_place(member->target());
  }
}

void race_core::started(const task_ref& attempt) {
  attempt.record().expect_error();
  members_.push_back(std::make_unique<race_member>(*this, attempt, members_.size()));
  attempt.record().watch(*members_.back());
  ++running_;
  newest_failed_ = false;
}

void race_core::ended(const race_member& member) noexcept {
  --running_;
  const bool failed = member.target().failed() || member.target().ended_cancelled();
  if (!failed && !winner_) {
    winner_ = member.index;
    scope_.cancel("another attempt has won");
  }
  if (failed && member.index + 1 == members_.size()) newest_failed_ = true;
  if (waiting_ != nullptr && waiting_->await_ready()) {
    std::exchange(waiting_, nullptr)->wake(wait_state::granted);
  }
}

void race_core::finish() {
  if (cancelled_) loop::current().running()->throw_cancelled();
}

race_wait::~race_wait() {
  if (armed()) task_->owner().timers().disarm(*this);
  leave();
}

bool race_wait::await_ready() const noexcept {
  return race_.running_ == 0 || (!for_all_ && (race_.newest_failed_ || race_.over()));
}

void race_wait::await_suspend(std::coroutine_handle<> handle, std::source_location where) {
  where_ = where;
  enter_wait(handle);
  state_ = wait_state::waiting;
  race_.waiting_ = this;
  loop& owner = task_->owner();
  if (delay_) owner.timers().arm(*this, deadline_in(owner, *delay_), task_->background());
  owner.look_for_circle(*this);
  if (task_->interrupted()) cancel();
}

bool race_wait::cancel() noexcept {
  if (state_ != wait_state::waiting) return false;
  race_.cancelled_ = true;
  const std::string reason = task_->cancel_reason();
  // A cancelled scope has reached the attempts, which are inside it, by itself.
  if (task_->use_up_request()) {
    for (const auto& member : race_.members_) member->target().cancel(reason);
  }
  if (!for_all_ && state_ == wait_state::waiting) {
    race_.waiting_ = nullptr;
    wake(wait_state::granted);
  }
  return false;
}

void race_wait::fire() noexcept {
  if (state_ != wait_state::waiting) return;
  race_.waiting_ = nullptr;
  wake(wait_state::granted);
}

void race_wait::await_resume() noexcept {
  if (armed()) task_->owner().timers().disarm(*this);
  race_.waiting_ = nullptr;
  state_ = wait_state::idle;
}

std::string race_wait::describe() const {
  return "race of " + std::to_string(race_.members_.size()) +
         " attempts: " + std::to_string(race_.running_) + " to go";
}

void race_wait::add_blockers(std::vector<const task_state*>& blockers) const {
  if (delay_) return;  // the next attempt may do it
  for (const auto& member : race_.members_) {
    if (!member->target().done()) blockers.push_back(&member->target());
  }
}

}  // namespace brigade::detail
