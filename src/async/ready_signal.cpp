#include <brigade/async/ready_signal.hpp>

#include <string>

namespace brigade {

never_ready::never_ready(std::string_view task_name)
    : std::runtime_error("task '" + std::string(task_name) + "' ended before it was ready") {}

namespace detail {

void ready_core::announce() {
  BRIGADE_ASSERT(!ready_, "a task said twice that it is ready");
  ready_ = true;
  wake_if_settled();
}

bool ready_core::take_over(std::exception_ptr error) noexcept {
  const bool handed_over = ready_ && !child_needed_;
  if (!starter_present_ || handed_over) return false;
  error_ = std::move(error);
  return true;
}

void ready_core::child_began(cancel_scope& scope) {
  child_scope_ = &scope;
  if (child_needed_) scope.cancel(cancel_reason_);
}

void ready_core::cancel_child(std::string_view reason) {
  child_needed_ = true;
  cancel_reason_ = reason;
  if (child_scope_ != nullptr) child_scope_->cancel(reason);
}

void ready_core::child_gone() noexcept {
  gone_ = true;
  child_scope_ = nullptr;
  wake_if_settled();
}

void ready_core::wake_if_settled() noexcept {
  const bool waits = starter_ != nullptr && starter_->state() == wait_state::waiting;
  if (waits && settled()) starter_->wake(wait_state::granted);
}

}  // namespace detail

}  // namespace brigade
