#include <brigade/async/as_completed.hpp>
#include <brigade/async/assert.hpp>
#include <brigade/async/detail/wait_core.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>

#include <utility>

namespace brigade::detail {

void completion_member::target_ended() noexcept { core->member_ended(index); }

as_completed_core::as_completed_core(std::optional<std::chrono::nanoseconds> timeout)
    : timeout_(timeout), loop_(&loop::current()) {}

as_completed_core::~as_completed_core() {
  BRIGADE_ASSERT(waiters_.empty(), "as_completed was destroyed while a task awaits its next");
  BRIGADE_ASSERT(granted_ == 0, "as_completed was destroyed while a task is about to get its next");
  if (armed()) loop_->timers().disarm(*this);
}

void as_completed_core::watch(std::span<completion* const> targets) {
  for (const completion* target : targets) target->require_awaitable();
  count_ = targets.size();
  members_ = std::make_unique<completion_member[]>(count_);
  ended_.reserve(count_);
  for (std::size_t i = 0; i < count_; ++i) {
    members_[i].core = this;
    members_[i].target = targets[i];
    members_[i].index = i;
    if (targets[i]->done()) {
      member_ended(i);
    } else {
      targets[i]->watch(members_[i]);
    }
  }
  if (!timeout_ || ended_.size() == count_) return;
  const task_state* task = loop_->running();
  loop_->timers().arm(*this, deadline_in(*loop_, *timeout_), task != nullptr && task->background());
}

void as_completed_core::member_ended(std::size_t index) {
  ended_.push_back(index);
  if (ended_.size() == count_ && armed()) loop_->timers().disarm(*this);
  grant_one();
}

void as_completed_core::grant_one() noexcept {
  if (available() == 0 || waiters_.empty()) return;
  ++granted_;
  static_cast<waiter*>(waiters_.front())->wake(wait_state::granted);
}

bool as_completed_core::ready_for_one_more() const noexcept {
  return available() > 0 || left() == 0 || expired_;
}

std::size_t as_completed_core::take() noexcept {
  const std::size_t index = ended_[taken_++];
  if (left() == 0) end_waiters();
  return index;
}

void as_completed_core::end_waiters() noexcept {
  while (!waiters_.empty()) static_cast<waiter*>(waiters_.front())->wake(wait_state::ended);
}

void as_completed_core::fire() noexcept {
  expired_ = true;
  end_waiters();
}

void as_completed_core::next_wait::await_suspend(std::coroutine_handle<> handle,
                                                 std::source_location where) noexcept {
  where_ = where;
  if (begin_wait(handle)) return;
  wait_in(core_.waiters_);
  task_->owner().look_for_circle(*this);
}

void as_completed_core::next_wait::revoke() noexcept {
  --core_.granted_;
  core_.grant_one();
}

std::optional<std::size_t> as_completed_core::next_wait::take_index() {
  const wait_state how = end_wait();
  if (how == wait_state::granted) {
    --core_.granted_;
    return core_.take();
  }
  if (core_.available() > 0) return core_.take();
  if (core_.left() == 0) return std::nullopt;
  throw timed_out(*core_.timeout_);
}

std::string as_completed_core::next_wait::describe() const {
  return "next of " + std::to_string(core_.count_) + " to end: " + std::to_string(core_.left()) +
         " to go";
}

void as_completed_core::next_wait::add_blockers(std::vector<const task_state*>& blockers) const {
  // Any one of several would do, and so would the deadline.
  if (core_.timeout_ || core_.count_ - core_.ended_.size() != 1) return;
  for (std::size_t i = 0; i < core_.count_; ++i) {
    const completion& target = *core_.members_[i].target;
    if (!target.done() && target.as_task() != nullptr) blockers.push_back(target.as_task());
  }
}

}  // namespace brigade::detail
