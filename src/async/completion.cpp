#include <brigade/async/detail/completion.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>

namespace brigade::detail {

namespace {

bool is_watcher(const link* listener) {
  return static_cast<const runnable*>(listener)->task_ == nullptr;
}

}  // namespace

completion::~completion() {
  if (done_) std::destroy_at(&error_);
}

void completion::tell_all(link_list& listeners) noexcept {
  link_list watchers;
  while (!listeners.empty()) {
    link* const first = listeners.front();
    if (is_watcher(first)) {
      first->unlink();
      watchers.push_back(first);
    } else {
      static_cast<waiter*>(first)->wake(wait_state::granted);
    }
  }
  while (!watchers.empty()) {
    auto* watcher = static_cast<end_watcher*>(watchers.front());
    watcher->unlink();
    watcher->target_ended();
  }
}

std::size_t completion::joiners() const {
  if (done_) return 0;
  std::size_t count = 0;
  for (const link* node = listeners_.front(); node != listeners_.end(); node = node->next) {
    count += is_watcher(node) ? 0 : 1;
  }
  return count;
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
