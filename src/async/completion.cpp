#include <brigade/async/detail/completion.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>

namespace brigade::detail {

void completion::tell_end() noexcept {
  while (!joiners_.empty()) static_cast<waiter*>(joiners_.front())->wake(wait_state::granted);
  while (!watchers_.empty()) {
    auto* watcher = static_cast<end_watcher*>(watchers_.front());
    watcher->unlink();
    watcher->target_ended();
  }
}

void completion::require_awaitable() const {
  if (done_) return;
  const loop& here = loop::current();
  if (!belongs_to(here)) throw invalid_state(describe() + " belongs to another loop");
  const task_state* self = as_task();
  if (self != nullptr && self == here.running()) throw invalid_state("a task awaits itself");
}

std::exception_ptr completion::see_outcome() noexcept {
  if (ended_cancelled_) return std::make_exception_ptr(cancelled(cancel_reason()));
  return see_error();
}

}  // namespace brigade::detail
