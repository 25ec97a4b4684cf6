#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/event.hpp>

#include <utility>

namespace brigade {

void event::set() noexcept {
  set_ = true;
  while (!waiters_.empty()) {
    static_cast<detail::waiter*>(waiters_.front())->wake(detail::wait_state::granted);
  }
}

void event::wait_operation::await_resume() const {
  auto& self = const_cast<wait_operation&>(*this);
  if (std::exchange(self.state_, detail::wait_state::idle) == detail::wait_state::cancelled) {
    task_->throw_cancelled();
  }
}

std::string event::wait_operation::describe() const { return "event '" + event_.name_ + "'"; }

}  // namespace brigade
