#include <brigade/async/assert.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/testing/virtual_loop.hpp>

namespace brigade::testing {

void virtual_time::wait_until(detail::time_point deadline) {
  BRIGADE_ASSERT(deadline != detail::time_point::max(),
                 "a virtual loop waits for something from outside, which never comes");
  if (deadline > now_) now_ = deadline;
}

std::size_t virtual_time::choose(std::size_t ready) {
  if (before_step) before_step();
  if (steps_to_live_ > 1) {
    --steps_to_live_;
  } else if (steps_to_live_ == 1 && time_to_kill_.awaited()) {
    steps_to_live_ = 0;
    time_to_kill_.set();
    return ready;  // the killer has just become the last of those that are ready
  }
  return random_ ? static_cast<std::size_t>(random_->below(ready)) : 0;
}

void virtual_loop::kill_after(std::uint64_t steps) {
  BRIGADE_ASSERT(steps > 0, "a loop is killed after one step at the earliest");
  time().steps_to_live_ = steps;
  auto killer = kill_when_told();
  spawn_on(*this, std::move(killer), "killer").set_background();
}

task<> virtual_loop::kill_when_told() {
  co_await time().time_to_kill_.wait();
  killed_ = true;
  kill_others();
}

}  // namespace brigade::testing
