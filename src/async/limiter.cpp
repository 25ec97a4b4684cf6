#include <brigade/async/assert.hpp>
#include <brigade/async/limiter.hpp>

#include <algorithm>
#include <limits>
#include <numeric>

namespace brigade {

limiter::bucket::bucket(std::int64_t tokens, std::int64_t nanoseconds, std::int64_t burst)
    : turnstile(0), flow(tokens), cost(nanoseconds), full(0) {
  BRIGADE_ASSERT(tokens > 0, "a limiter that lets nothing through");
  BRIGADE_ASSERT(nanoseconds > 0, "a limiter's rate is for no time");
  BRIGADE_ASSERT(burst > 0, "a limiter with no room for a token");
  const std::int64_t common = std::gcd(flow, cost);
  flow /= common;
  cost /= common;
  BRIGADE_ASSERT(burst <= std::numeric_limits<std::int64_t>::max() / 2 / cost,
                 "a limiter's burst and time are too large for its arithmetic");
  BRIGADE_ASSERT(flow <= cost, "a limiter that lets more than one through in a nanosecond");
  full = burst * cost;
  free_ = full;
}

void limiter::bucket::refill(detail::time_point now) noexcept {
  const std::int64_t passed = (now - as_of).count();
  as_of = now;
  if (passed <= 0) return;
  // The nanosecond that fills it may bring more than fits. Who has waited for it is served in that
  // nanosecond, and the rest counts for the next one; only what comes later runs over.
  const std::int64_t until_full = (full - std::min(free_, full) + flow - 1) / flow;
  free_ = passed > until_full ? full : free_ + passed * flow;
}

void limiter::bucket::hand_on() noexcept {
  if (!waiters_.empty()) {
    owner = &static_cast<detail::waiter*>(waiters_.front())->task()->owner();
    refill(owner->now());
  }
  free_ = std::min(free_, full + flow - 1);  // turns given back do not overfill it
  turnstile::hand_on();
  stop_clock();
  if (!waiters_.empty()) set_clock();
}

void limiter::bucket::stop_clock() noexcept {
  if (armed()) owner->timers().disarm(*this);
}

void limiter::bucket::set_clock() noexcept {
  const std::int64_t missing = wanted_by_oldest() - free_;
  const std::chrono::nanoseconds until((missing + flow - 1) / flow);
  owner->timers().arm(*this, as_of + until, in_foreground_ == 0);
}

limiter::limiter(std::int64_t tokens, std::chrono::nanoseconds per, std::int64_t burst,
                 std::string name)
    : bucket_(tokens, per.count(), burst), name_(std::move(name)) {}

limiter::~limiter() {
  BRIGADE_ASSERT(!bucket_.awaited(), "a limiter was destroyed while a task waits for it");
}

std::int64_t limiter::units_of(std::int64_t count) const noexcept {
  BRIGADE_ASSERT(count > 0, "no tokens were asked for");
  BRIGADE_ASSERT(count <= burst(), "more tokens were asked for than a limiter's burst");
  return count * bucket_.cost;
}

void limiter::look_at_clock(std::int64_t wanted) noexcept {
  loop& here = loop::current();
  bucket_.refill(here.now());
  if (bucket_.free() >= wanted || bucket_.awaited()) return;
  here.refresh_now();
  bucket_.refill(here.now());
}

bool limiter::try_acquire(std::int64_t count, std::source_location where) {
  const std::int64_t wanted = units_of(count);
  look_at_clock(wanted);
  if (!bucket_.open_to(wanted)) return false;
  bucket_.take(wanted, where);
  return true;
}

limiter_statistics limiter::statistics() const {
  return {bucket_.free() / bucket_.cost, burst(), bucket_.statistics()};
}

std::string limiter::describe(std::int64_t units) const {
  const std::int64_t count = units / bucket_.cost;
  return std::to_string(count) + (count == 1 ? " token" : " tokens") + " of limiter '" + name_ +
         "'";
}

limiter::acquire_operation::acquire_operation(limiter& from, std::int64_t count,
                                              std::source_location where)
    : turn_waiter(from.bucket_, from.units_of(count), where), limiter_(from) {}

bool limiter::acquire_operation::await_ready() noexcept {
  limiter_.look_at_clock(units_);
  return turn_waiter::await_ready();
}

}  // namespace brigade
