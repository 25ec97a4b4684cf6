#include <brigade/async/assert.hpp>
#include <brigade/async/submit.hpp>

#include <utility>

namespace brigade::detail {

bool submission_state::settle(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  if (settled_) return true;
  settled_ = true;
  error_ = std::move(error);
  changed_.notify_all();
  return !forgotten_;
}

void submission_state::ended() {
  task_.reset();
  settle(std::make_exception_ptr(cancelled("its loop ended, or its frame was destroyed")));
}

bool submission_state::wait(const std::optional<std::chrono::steady_clock::time_point>& deadline) {
  BRIGADE_ASSERT(loop::current_if_any() == nullptr,
                 "a thread that runs a loop would block it: await the task instead");
  std::unique_lock lock(mutex_);
  const auto done = [this] { return settled_; };
  if (deadline) return changed_.wait_until(lock, *deadline, done);
  changed_.wait(lock, done);
  return true;
}

void submission_state::cancel(const std::shared_ptr<submission_state>& self) {
  box_->post([self] {
    if (self->task_) self->task_->cancel("cancelled by the thread that submitted it");
  });
}

void submission_state::forget() {
  const std::lock_guard lock(mutex_);
  forgotten_ = true;
  if (!settled_ || !error_ || error_seen_) return;
  box_->post([error = error_] {
    try {
      std::rethrow_exception(error);
    } catch (const cancelled&) {
      return;  // that is no error
    }
  });
}

bool submission_state::settled() {
  const std::lock_guard lock(mutex_);
  return settled_;
}

bool submission_state::ended_cancelled() {
  const std::lock_guard lock(mutex_);
  if (!error_) return false;
  try {
    std::rethrow_exception(error_);
  } catch (const cancelled&) {
    return true;
  } catch (...) {
    return false;
  }
}

void submission_state::throw_error() {
  const std::lock_guard lock(mutex_);
  error_seen_ = true;
  if (error_) std::rethrow_exception(error_);
}

}  // namespace brigade::detail
