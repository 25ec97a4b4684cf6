#include <brigade/async/assert.hpp>
#include <brigade/async/barrier.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/loop.hpp>

namespace brigade {

using detail::wait_state;

namespace {

void send_away(detail::link_list& waiters) noexcept {
  while (!waiters.empty()) static_cast<detail::waiter*>(waiters.front())->wake(wait_state::ended);
}

}  // namespace

broken_barrier::broken_barrier(std::string_view barrier_name)
    : std::runtime_error("barrier '" + std::string(barrier_name) + "' was reset or aborted") {}

barrier::barrier(std::ptrdiff_t parties, std::string name)
    : parties_(static_cast<std::size_t>(parties)), name_(std::move(name)) {
  BRIGADE_ASSERT(parties > 0, "a barrier for nobody");
}

barrier::~barrier() {
  BRIGADE_ASSERT(present_ == 0, "a barrier was destroyed while a task waits at it");
  BRIGADE_ASSERT(early_.empty(), "a barrier was destroyed while a task waits for its next round");
}

void barrier::arrive(arrive_operation& entry) noexcept {
  entry.counted_ = true;
  entry.early_ = false;
  ++present_;
  entry.wait_in(arrived_);
  if (present_ == parties_) let_all_through();
}

void barrier::let_all_through() noexcept {
  state_ = barrier_state::draining;
  ++rounds_;
  for (std::size_t index = 0; !arrived_.empty(); ++index) {
    auto& next = *static_cast<arrive_operation*>(arrived_.front());
    next.index_ = index;
    next.wake(wait_state::granted);
  }
}

void barrier::one_left() noexcept {
  const bool were_leaving = state_ == barrier_state::draining || state_ == barrier_state::resetting;
  if (--present_ != 0 || !were_leaving) return;
  state_ = barrier_state::filling;
  admit_the_early();
}

void barrier::admit_the_early() noexcept {
  while (state_ == barrier_state::filling && !early_.empty()) {
    auto& next = *static_cast<arrive_operation*>(early_.front());
    next.unlink();
    arrive(next);
  }
}

void barrier::reset() noexcept {
  state_ = present_ == 0 ? barrier_state::filling : barrier_state::resetting;
  send_away(arrived_);
}

void barrier::abort() noexcept {
  state_ = barrier_state::broken;
  send_away(arrived_);
  send_away(early_);
}

barrier_statistics barrier::statistics() const {
  return {state_, parties_, present_, early_.size(), rounds_};
}

std::string barrier::describe(bool early) const {
  std::string text = early ? "next round of barrier '" : "barrier '";
  return text + name_ + "' (" + std::to_string(present_) + " of " + std::to_string(parties_) +
         (state_ == barrier_state::filling ? " arrived)" : " yet to leave)");
}

barrier::arrive_operation::~arrive_operation() {
  const bool was_counted = state_ != wait_state::idle && counted_;
  leave();
  if (was_counted) barrier_.one_left();
}

bool barrier::arrive_operation::await_ready() noexcept {
  if (barrier_.broken()) return true;
  // The last one needs no turn of the loop to go through.
  const bool is_last =
      barrier_.state_ == barrier_state::filling && barrier_.present_ + 1 == barrier_.parties_;
  return is_last && loop::current().spend();
}

void barrier::arrive_operation::await_suspend(std::coroutine_handle<> handle) noexcept {
  if (begin_wait(handle)) return;
  if (barrier_.state_ == barrier_state::filling) {
    barrier_.arrive(*this);
  } else {
    early_ = true;
    wait_in(barrier_.early_);
  }
}

std::size_t barrier::arrive_operation::await_resume() {
  const wait_state how = end_wait();
  const bool refused = how == wait_state::idle && barrier_.broken();
  const bool broken =
      how == wait_state::ended || barrier_.broken() || barrier_.state_ == barrier_state::resetting;
  if (how == wait_state::idle && !refused) {
    index_ = barrier_.present_++;
    counted_ = true;
    barrier_.let_all_through();
  }
  if (std::exchange(counted_, false)) barrier_.one_left();
  if (broken) throw broken_barrier(barrier_.name_);
  return index_;
}

bool barrier::arrive_operation::cancel() noexcept {
  waiter::cancel();
  if (std::exchange(counted_, false)) barrier_.one_left();
  return true;
}

}  // namespace brigade
