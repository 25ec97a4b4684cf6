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
  if (free_ == 0) return;
  hold(nullptr);
  if (waiters_.empty()) return;
  detail::task_state* next = static_cast<detail::waiter*>(waiters_.front())->task();
  turnstile::hand_on();
  hold(next);
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

void mutex::look_for_circle(const detail::waiter& begun) const noexcept {
  if (begun.state() != detail::wait_state::waiting || turns_.holder == nullptr) return;
  // Mostly the holder waits for none of the tasks, and then this costs no allocation.
  const detail::waiter* next = turns_.holder->waiting_on();
  if (next == nullptr || next->state() != detail::wait_state::waiting) return;
  std::vector<const detail::task_state*> blockers;
  next->add_blockers(blockers);
  if (!blockers.empty()) begun.task()->owner().look_for_circle(begun);
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
