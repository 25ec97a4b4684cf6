#include <brigade/async/assert.hpp>
#include <brigade/async/semaphore.hpp>

namespace brigade {

semaphore::semaphore(std::int64_t limit, std::string name)
    : turns_(limit), limit_(limit), name_(std::move(name)) {
  BRIGADE_ASSERT(limit >= 0, "a semaphore with fewer than no permits");
}

semaphore::~semaphore() {
  BRIGADE_ASSERT(!turns_.awaited(), "a semaphore was destroyed while a task waits for it");
  BRIGADE_ASSERT(permits_out_ == 0, "a semaphore was destroyed while somebody has a permit");
}

semaphore::acquire_base::acquire_base(semaphore& from, std::int64_t count,
                                      std::source_location where)
    : turn_waiter(from.turns_, count, where), semaphore_(from) {
  BRIGADE_ASSERT(count > 0, "no permits were asked for");
}

semaphore::permit semaphore::try_acquire(std::int64_t count, std::source_location where) {
  BRIGADE_ASSERT(count > 0, "no permits were asked for");
  if (!turns_.open_to(count)) return permit();
  turns_.take(count, where);
  return permit(*this, count);
}

void semaphore::permit::release() noexcept {
  BRIGADE_ASSERT(owner_ != nullptr, "an empty permit was released");
  --owner_->permits_out_;
  std::exchange(owner_, nullptr)->release(count_);
}

void semaphore::permit::detach() noexcept {
  BRIGADE_ASSERT(owner_ != nullptr, "an empty permit was detached");
  --owner_->permits_out_;
  owner_ = nullptr;
}

void semaphore::release(std::int64_t count) noexcept {
  BRIGADE_ASSERT(count > 0, "no permits were released");
  const bool fits = !bounded_ || value() + count <= limit_;
  BRIGADE_ASSERT(fits, "more permits of a bounded semaphore were released than acquired");
  turns_.give_back(count);
}

void semaphore::set_limit(std::int64_t limit) noexcept {
  BRIGADE_ASSERT(limit >= 0, "a semaphore with fewer than no permits");
  turns_.give_back(limit - limit_);
  limit_ = limit;
}

std::string semaphore::describe(std::int64_t wanted) const {
  std::string text = std::to_string(wanted) + (wanted == 1 ? " permit" : " permits");
  text += " of semaphore '" + name_ + "' (" + std::to_string(value()) + " of " +
          std::to_string(limit_) + " free";
  if (value() < limit_) text += "; last taken at " + detail::place_text(turns_.taken_at());
  return text + ")";
}

}  // namespace brigade
