#include <brigade/async/assert.hpp>
#include <brigade/async/detail/probe.hpp>
#include <brigade/async/detail/turnstile.hpp>

namespace brigade::detail {

void turnstile::stand_in_line(turn_waiter& entry) noexcept {
  entry.wait_in(waiters_);
  entry.in_line_ = true;
  entry.in_foreground_ = !entry.task_->background();
  in_foreground_ += entry.in_foreground_ ? 1 : 0;
  ++waiting_;
  ++waited_;
  hand_on();
}

void turnstile::left_the_line(turn_waiter& entry) noexcept {
  entry.in_line_ = false;
  in_foreground_ -= entry.in_foreground_ ? 1 : 0;
  --waiting_;
}

std::int64_t turnstile::wanted_by_oldest() const {
  return static_cast<const turn_waiter*>(waiters_.front())->units_;
}

void turnstile::hand_on() noexcept {
  while (!waiters_.empty()) {
    auto& next = *static_cast<turn_waiter*>(waiters_.front());
    if (free_ < next.units_) return;
    left_the_line(next);
    ++handed_;
    take(next.units_, next.where_);
    next.wake(wait_state::granted);
  }
}

line_statistics turnstile::statistics() const { return {waiting_, acquired_, waited_, given_up_}; }

bool turn_waiter::cancel() noexcept {
  ++at_.given_up_;
  const bool was_in_line = in_line_;
  waiter::cancel();
  if (was_in_line) {
    at_.left_the_line(*this);
    at_.hand_on();  // it may have wanted more than the one behind it
  }
  return true;
}

void turn_waiter::step_out() noexcept {
  const bool was_in_line = in_line_;
  leave();
  if (was_in_line) {
    at_.left_the_line(*this);
    at_.hand_on();
  }
}

void turn_waiter::revoke() noexcept {
  probe::passed(probe::coverage::turn_given_back);
  BRIGADE_ASSERT(at_.handed_ > 0, "a turn was given back twice");
  --at_.handed_;
  --at_.acquired_;
  at_.free_ += units_;
  if (probe::stands(probe::guard::turn_pass_on)) at_.hand_on();
}

std::string place_text(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

}  // namespace brigade::detail
