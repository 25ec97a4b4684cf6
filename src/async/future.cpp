#include <brigade/async/assert.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/loop.hpp>

#include <algorithm>
#include <utility>

namespace brigade {

namespace detail {

future_state::future_state(loop& owner, std::string name) : loop_(&owner), name_(std::move(name)) {
  owner.adopt(*this);
}

future_state::~future_state() {
  BRIGADE_ASSERT(joiners() == 0, "a future was destroyed while a task awaits it");
  give_back_from_thread();
  report_unseen_error();
  if (linked()) unlink();
}

void future_state::report_unseen_error() noexcept {
  if (!failed() || std::exchange(error_seen_, true) || loop_ == nullptr) return;
  if (loop_->on_unhandled) loop_->on_unhandled(name_, error_);
}

void future_state::loop_ends() noexcept {
  report_unseen_error();
  give_back_from_thread();
  unlink();
  loop_ = nullptr;
}

void future_state::require_pending() const {
  if (done_) throw invalid_state(describe() + " has its outcome already");
}

void future_state::require_done() const {
  if (!done_) throw invalid_state(describe() + " has no outcome yet");
}

bool future_state::cancel(std::string_view reason) {
  if (done_) return false;
  cancel_reason_ = reason;
  ended_cancelled_ = true;
  end(nullptr);
  return true;
}

void future_state::fail(std::exception_ptr error) {
  require_pending();
  BRIGADE_ASSERT(error, "a future cannot fail with no error");
  std::exception_ptr kept;
  try {
    std::rethrow_exception(error);
  } catch (const cancelled& why) {
    cancel(why.reason());
    return;
  } catch (...) {
    kept = std::current_exception();
  }
  end(std::move(kept));
}

void future_state::promise_dropped() noexcept {
  if (!done_) fail(std::make_exception_ptr(broken_promise(name_)));
}

void future_state::end(std::exception_ptr error) noexcept {
  link_list listeners;
  settle(std::move(error), listeners);
  if (thread_ && ended_cancelled_) thread_->stop.request_stop();
  give_back_from_thread();
  for (callback& work : std::exchange(callbacks_, {})) add_callback(std::move(work));
  tell_end(listeners);
}

void future_state::add_callback(callback work) {
  if (!done_) {
    callbacks_.push_back(std::move(work));
  } else if (loop_ != nullptr) {
    loop_->post([work = std::move(work)] { (*work)(); });
  }
}

std::size_t future_state::remove_callback(const callback& work) {
  return std::erase(callbacks_, work);
}

std::size_t future_state::waiting() const { return joiners(); }

std::shared_ptr<thread_link> future_state::lend_to_thread() {
  thread_ = std::make_shared<thread_link>();
  thread_->target = this;
  loop_->outside_wait_begins(false);
  return thread_;
}

void future_state::give_back_from_thread() noexcept {
  if (!thread_) return;
  thread_->target = nullptr;
  thread_.reset();
  loop_->outside_wait_ends(false);
}

bool future_waiter::await_ready() const noexcept {
  return target_->done() || !target_->belongs_to(loop::current());
}

void future_waiter::await_suspend(std::coroutine_handle<> handle,
                                  std::source_location where) noexcept {
  where_ = where;
  if (!begin_wait(handle)) {
    wait_in(target_->listeners_);
  } else if (mode_ == on_waiter_cancel::pass_on) {
    target_->cancel(task_->cancel_reason());
  }
}

bool future_waiter::cancel() noexcept {
  const bool pending = state_ == wait_state::waiting;
  waiter::cancel();
  if (pending && mode_ == on_waiter_cancel::pass_on) target_->cancel(task_->cancel_reason());
  return true;
}

void future_waiter::await_resume() {
  end_wait();
  target_->require_awaitable();
  if (const std::exception_ptr outcome = target_->see_outcome()) std::rethrow_exception(outcome);
}

}  // namespace detail

broken_promise::broken_promise(std::string_view future_name)
    : std::runtime_error("the promise of future '" + std::string(future_name) +
                         "' was dropped without a value") {}

}  // namespace brigade
