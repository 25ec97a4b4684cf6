#include <brigade/async/assert.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/event.hpp>

#include <utility>

namespace brigade {

event::~event() {
  BRIGADE_ASSERT(waiters_.empty(), "an event was destroyed while a task waits for it");
}

event_statistics event::statistics() const {
  event_statistics result;
  result.set = set_;
  result.waiting = waiters_.size();
  result.times_set = times_set_;
  result.woken = woken_;
  return result;
}

void event::set() noexcept {
  times_set_ += set_ ? 0 : 1;
  set_ = true;
  while (!waiters_.empty()) {
    ++woken_;
    static_cast<detail::waiter*>(waiters_.front())->wake(detail::wait_state::granted);
  }
}

void event::wait_operation::await_resume() { end_wait(); }

std::string event::wait_operation::describe() const { return "event '" + event_.name_ + "'"; }

}  // namespace brigade
