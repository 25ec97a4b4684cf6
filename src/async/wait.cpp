#include <brigade/async/detail/wait_core.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>

#include <stdexcept>
#include <utility>

namespace brigade::detail {

namespace {

void add_unfinished(const completion& target, std::vector<const task_state*>& blockers) {
  const task_state* task = target.as_task();
  if (task != nullptr && !task->done()) blockers.push_back(task);
}

}  // namespace

void wait_member::target_ended() noexcept { core->member_ended(*target); }

wait_core::wait_core(return_when mode, std::optional<std::chrono::nanoseconds> timeout)
    : waiter(std::source_location{}), timeout_(timeout), mode_(mode) {
  if (mode > return_when::first_exception) {
    throw std::invalid_argument("wait: not a value of return_when");
  }
}

wait_core::~wait_core() {
  if (armed()) task_->owner().timers().disarm(*this);
  leave();
}

void wait_core::watch(std::span<completion* const> targets) {
  if (targets.empty()) throw std::invalid_argument("wait: nothing to wait for");
  for (const completion* target : targets) target->require_awaitable();
  count_ = to_go_ = targets.size();
  members_ = std::make_unique<wait_member[]>(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    members_[i].core = this;
    members_[i].target = targets[i];
    if (targets[i]->done()) {
      member_ended(*targets[i]);
    } else {
      targets[i]->watch(members_[i]);
    }
  }
}

bool wait_core::enough() const noexcept { return met_ || to_go_ == 0; }

void wait_core::member_ended(const completion& target) noexcept {
  --to_go_;
  met_ = met_ || mode_ == return_when::first_completed ||
         (mode_ == return_when::first_exception && target.failed());
  if (state_ == wait_state::waiting && enough()) wake(wait_state::granted);
}

void wait_core::await_suspend(std::coroutine_handle<> handle, std::source_location where) {
  where_ = where;
  if (begin_wait(handle)) return;
  state_ = wait_state::waiting;
  loop& owner = task_->owner();
  if (timeout_) owner.timers().arm(*this, deadline_in(owner, *timeout_), task_->background());
  owner.look_for_circle(*this);
}

bool wait_core::cancel() noexcept {
  if (armed()) task_->owner().timers().disarm(*this);
  return waiter::cancel();
}

void wait_core::fire() noexcept {
  if (state_ == wait_state::waiting) wake(wait_state::granted);
}

void wait_core::finish() {
  if (armed()) task_->owner().timers().disarm(*this);
  end_wait();
}

std::string wait_core::describe() const {
  const char* enough_is = mode_ == return_when::all_completed     ? "all"
                          : mode_ == return_when::first_completed ? "the first"
                                                                  : "the first error";
  return std::string("wait for ") + enough_is + " of " + std::to_string(count_) + ": " +
         std::to_string(to_go_) + " to go";
}

void wait_core::add_blockers(std::vector<const task_state*>& blockers) const {
  // A deadline ends the wait by itself, and so does any one of several.
  if (timeout_ || (mode_ != return_when::all_completed && to_go_ > 1)) return;
  for (std::size_t i = 0; i < count_; ++i) add_unfinished(*members_[i].target, blockers);
}

}  // namespace brigade::detail
