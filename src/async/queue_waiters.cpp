#include <brigade/async/detail/queue_core.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/error.hpp>

#include <utility>

namespace brigade::detail {

// --- those who take ---

bool getter::ready_after_all() noexcept {
  if (core_.offer_ != nullptr && core_.take_up_offer()) return loop::spend();
  return core_.closed_and_drained() && end_now();
}

gatherer::gatherer(queue_core& from, std::size_t items_max, std::chrono::nanoseconds within,
                   on_cancel mode, std::source_location where)
    : getter(from, where, mode, true), items_max_(items_max), within_(within) {
  BRIGADE_ASSERT(items_max > 0, "take_batch of no items");
}

bool gatherer::need_not_linger(std::size_t items) const {
  return items >= items_max_ || within_ <= std::chrono::nanoseconds::zero() || core_.closed_ ||
         core_.full() || !core_.putters_.empty();
}

bool gatherer::await_ready() noexcept {
  const std::size_t there = core_.items_to_spare();
  if (there == 0) return core_.closed_and_drained() && end_now();
  return need_not_linger(there) && loop::spend();
}

void gatherer::await_suspend(std::coroutine_handle<> handle) noexcept {
  if (begin_wait(handle)) return;
  if (core_.aborted_) {
    wait_granted();
    return;
  }
  claims_ = std::min(core_.items_to_spare(), items_max_);
  core_.granted_ += claims_;
  if (claims_ != 0 && need_not_linger(claims_)) {
    wait_granted();
    return;
  }
  // With a claim it is the first in line: had another been waiting, there were no items to spare.
  wait_in(core_.getters_);
  if (claims_ != 0) start_lingering();
}

void gatherer::start_lingering() noexcept {
  loop& owner = task_->owner();
  owner.timers().arm(*this, deadline_in(owner, within_), task_->background());
}

void gatherer::stop_lingering() noexcept {
  if (armed()) task_->owner().timers().disarm(*this);
}

void gatherer::gain() noexcept {
  ++claims_;
  if (need_not_linger(claims_)) {
    hurry();
  } else if (claims_ == 1) {
    start_lingering();
  }
}

void gatherer::hurry() noexcept {
  if (state_ != wait_state::waiting || claims_ == 0) return;
  stop_lingering();
  wake(wait_state::granted);
}

take_end gatherer::finish_wait() noexcept {
  stop_lingering();
  const wait_state how = std::exchange(state_, wait_state::idle);
  const std::size_t claims = std::exchange(claims_, 0);
  if (how == wait_state::granted && !core_.aborted_) {
    core_.granted_ -= claims;
    return take_end::item;
  }
  if (how == wait_state::cancelled) return take_end::cancelled;
  if (how == wait_state::ended) --core_.leaving_;
  return core_.item_to_spare() ? take_end::item : take_end::closed;
}

void gatherer::revoke() noexcept { core_.take_back_item_grants(std::exchange(claims_, 0)); }

bool gatherer::cancel() noexcept {
  stop_lingering();
  waiter::cancel();
  revoke();  // what it had gathered while it lingered
  return true;
}

void gatherer::abandon() noexcept {
  stop_lingering();
  if (state_ == wait_state::idle) return;
  const bool lingered = state_ == wait_state::waiting;
  leave();
  if (lingered) revoke();
}

std::string gatherer::describe() const {
  std::string text = core_.describe("take");
  if (claims_ != 0) {
    text += ", has " + std::to_string(claims_) + " of a batch of " + std::to_string(items_max_);
  }
  return text;
}

// --- those who put ---

bool putter::ready_oddly() noexcept {
  const bool now = !core_.waits_when_full() || (core_.putters_.empty() && core_.fits(weight()));
  return now && loop::spend() && end_now();
}

void putter::suspend_oddly() noexcept {
  if (!core_.waits_when_full()) {
    wait_granted();  // a forced turn; the policy has its say when it has resumed
  } else if (core_.putters_.empty() && core_.fits(weight())) {
    core_.reserve(weight());
    wait_granted();
  } else {
    wait_for_room();
  }
}

void putter::finish_wait() {
  const wait_state how = std::exchange(state_, wait_state::idle);
  if (how == wait_state::ended) --core_.leaving_;
  if (how == wait_state::granted && core_.waits_when_full()) core_.use_reserved(weight());
  if (how == wait_state::cancelled) task_->throw_cancelled();
  if (core_.closed_) throw queue_closed(core_.name_);
}

bool queue_core::take_up_offer() noexcept {
  putter& next = *std::exchange(offer_, nullptr);
  return next.complete() && item_to_spare();
}

void putter::revoke() noexcept {
  if (core_.waits_when_full()) core_.take_back_room_grant(weight());
}

bool putter::cancel() noexcept {
  waiter::cancel();
  if (core_.odd()) core_.grant_putters();
  return true;
}

void putter::abandon() noexcept {
  if (state_ == wait_state::idle) return;
  leave();
  if (core_.odd()) core_.grant_putters();
}

}  // namespace brigade::detail
