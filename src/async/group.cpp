#include <brigade/async/assert.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>

#include <utility>

namespace brigade {

namespace {
// A larger group costs more to search than to wait for.
constexpr std::size_t members_searched_max = 256;
}  // namespace

task_group::task_group(std::source_location where)
    : where_(where), owner_(loop::current().running()) {
  BRIGADE_ASSERT(owner_ != nullptr, "a task group outside any task");
}

task_group::~task_group() {
  // Only a destroyed frame gets here with children alive; they are no use without what they share.
  if (alive_ == 0) return;
  while (!scope_.members_.empty()) {
    auto* member = static_cast<detail::scope_member*>(scope_.members_.front());
    auto& child = static_cast<detail::task_state&>(*member);
    child.group_ = nullptr;
    child.destroy_frame();
    child.loop_->retire(child);
  }
}

loop& task_group::loop_of_owner() const { return owner_->owner(); }

void task_group::take_in(detail::task_state& child) {
  child.group_ = this;
  ++alive_;
}

void task_group::child_ended(detail::task_state& child) noexcept {
  if (child.error_) {
    errors_.push_back(child.error_);
    scope_.cancel("a sibling failed: " + error_text(child.error_));
  }
  --alive_;
  if (alive_ == 0 && waiter_ != nullptr) {
    std::exchange(waiter_, nullptr)->wake(detail::wait_state::granted);
  }
}

void task_group::body_ended(std::exception_ptr error) {
  if (!error) return;
  try {
    std::rethrow_exception(error);
  } catch (const cancelled&) {
    body_cancelled_ = error;
    cancelled_alone_ = !scope_.cancel_called();
  } catch (...) {
    errors_.push_back(error);
  }
  scope_.cancel("the group's body ended early: " + error_text(error));
}

void task_group::all_ended::await_suspend(std::coroutine_handle<> handle) noexcept {
  enter_wait(handle);
  state_ = detail::wait_state::waiting;
  group_.waiter_ = this;
  if (group_.alive_ <= members_searched_max) task_->owner().look_for_circle(*this);
  if (task_->interrupted()) cancel();
}

bool task_group::all_ended::cancel() noexcept {
  if (state_ != detail::wait_state::waiting) return false;
  if (task_->use_up_request()) {
    group_.outer_request_ = true;
    group_.scope_.cancel(task_->cancel_reason());
  }
  return false;
}

void task_group::all_ended::add_blockers(std::vector<const detail::task_state*>& blockers) const {
  for (auto* node = group_.scope_.members_.front(); node != group_.scope_.members_.end();
       node = node->next) {
    auto* member = static_cast<detail::scope_member*>(node);
    blockers.push_back(static_cast<detail::task_state*>(member));
  }
}

std::string task_group::all_ended::describe() const {
  return "end of " + std::to_string(group_.alive_) + " tasks of its group";
}

void task_group::finish() {
  const bool body_was_asked = body_cancelled_ && owner_->requests_ != scope_.requests_at_entry_;
  if (!errors_.empty()) {
    // Errors win; a request from outside that was used up on the way strikes at the next wait.
    if (outer_request_ || body_was_asked) owner_->request_pending_ = true;
    owner_->cancellation_in_flight_ = false;
    throw exception_group(std::move(errors_));
  }
  const bool outside = scope_.parent_->effective() != nullptr || outer_request_ || body_was_asked;
  if (body_cancelled_ && (outside || cancelled_alone_)) std::rethrow_exception(body_cancelled_);
  if (outer_request_) owner_->throw_cancelled();
}

}  // namespace brigade
