#include <brigade/async/assert.hpp>
#include <brigade/async/mutex.hpp>

namespace brigade {

mutex::~mutex() {
  BRIGADE_ASSERT(!turns_.awaited(), "a mutex was destroyed while a task waits for it");
  BRIGADE_ASSERT(!locked(), "a mutex was destroyed while it was locked");
}

void mutex::line::hold(detail::task_state* by) noexcept {
  if (by != nullptr) by->retain();
  if (holder != nullptr) holder->release();
  holder = by;
}

void mutex::line::hand_on() noexcept {
  auto* next = waiters_.empty() ? nullptr : static_cast<detail::waiter*>(waiters_.front());
  const bool was_free = free_ == 1;
  turnstile::hand_on();
  if (was_free && free_ == 0) hold(next->task());
}

void mutex::guard::unlock() noexcept {
  BRIGADE_ASSERT(owner_ != nullptr, "an empty guard was unlocked");
  moved_ = false;
  std::exchange(owner_, nullptr)->unlock();
}

void mutex::guard::moved() noexcept {
  if (owner_ == nullptr) return;
  moved_ = true;
  owner_->guard_moved_ = true;
}

mutex::guard mutex::try_lock(std::source_location where) {
  if (!turns_.open_to(1)) return guard();
  const loop* here = loop::current_if_any();
  turns_.take(1, where);
  turns_.hold(here == nullptr ? nullptr : here->running());
  guard_moved_ = false;
  return guard(*this);
}

void mutex::refuse_the_holder() const noexcept {
  const bool its_own = turns_.holder != nullptr && turns_.holder == loop::current().running();
  if (!its_own || guard_moved_ || turns_.handing_over()) return;
  const std::string message = "a task locks mutex '" + name_ + "' again, which it locked at " +
                              detail::place_text(turns_.taken_at());
  detail::assertion_failed("not held by this task", message.c_str(), __FILE__, __LINE__);
}

void mutex::add_holder(std::vector<const detail::task_state*>& blockers) const {
  // A guard that was moved may be with anybody by now.
  const bool known = turns_.holder != nullptr && !guard_moved_;
  if (known && !turns_.holder->done()) blockers.push_back(turns_.holder);
}

std::string mutex::describe() const {
  std::string text = "mutex '" + name_ + "'";
  if (!locked()) return text;
  text += " taken by ";
  if (turns_.holder == nullptr) {
    text += "no task";
  } else {
    text +=
        "task '" + turns_.holder->name() + (turns_.holder->done() ? "', which has ended," : "'");
  }
  text += " at " + detail::place_text(turns_.taken_at());
  return guard_moved_ ? text + " (its guard was moved)" : text;
}

}  // namespace brigade
