#include <brigade/async/assert.hpp>
#include <brigade/async/mutex.hpp>

namespace brigade {

mutex::~mutex() {
  BRIGADE_ASSERT(!turns_.awaited(), "a mutex was destroyed while a task waits for it");
  BRIGADE_ASSERT(!locked(), "a mutex was destroyed while it was locked");
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
  const loop* here = loop::current_if_any();
  if (here != nullptr && here->running() != nullptr) owner_->turns_.set_taker(here->running());
}

mutex::guard mutex::try_lock(std::source_location where) {
  if (!turns_.open_to(1)) return guard();
  const loop* here = loop::current_if_any();
  turns_.take(1, here == nullptr ? nullptr : here->running(), where);
  guard_moved_ = false;
  return guard(*this);
}

void mutex::refuse_the_holder() const noexcept {
  if (!locked() || guard_moved_ || turns_.handing_over()) return;
  if (loop::current().running()->id() != turns_.last_taker().task) return;
  const std::string message = "a task locks mutex '" + name_ + "' again, which it locked at " +
                              detail::place_text(turns_.last_taker().where);
  detail::assertion_failed("not held by this task", message.c_str(), __FILE__, __LINE__);
}

void mutex::add_holder(std::vector<const detail::task_state*>& blockers) const {
  const detail::task_state* holder = turns_.find_taker();
  if (locked() && holder != nullptr) blockers.push_back(holder);
}

std::string mutex::describe() const {
  std::string text = "mutex '" + name_ + "'";
  return locked() ? text + " " + turns_.taken_text() : text;
}

}  // namespace brigade
