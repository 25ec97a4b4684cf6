#include <brigade/async/assert.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>

#include <cstdio>
#include <utility>

namespace brigade::detail {

namespace {
// A task that swallows this many cancellations is named: it will not end by itself.
constexpr std::uint32_t swallowed_max = 1000;
}  // namespace

task_state::task_state(loop& owner, cancel_scope* outer, std::string name)
    : loop_(&owner),
      scope_(&root_scope_),
      root_scope_(cancel_scope::root_tag{}, this, outer != nullptr ? outer : &owner.scope_),
      id_(owner.next_task_id_++) {
  if (!name.empty()) set_name(std::move(name));
  if (root_scope_.effective() != nullptr) interrupted_ = true;
  if (owner.running() != nullptr) background_ = owner.running()->background();
}

task_state::~task_state() {
  if (linked()) unlink();
  report_unseen_error();
}

void task_state::report_unseen_error() noexcept {
  // An error the group has is the group's to throw.
  if (!error_ || error_seen_ || group_ != nullptr || loop_ == nullptr) return;
  if (loop_->on_unhandled) loop_->on_unhandled(name(), error_);
}

std::string task_state::name() const { return name_ ? *name_ : "task-" + std::to_string(id_); }

void task_state::start(std::coroutine_handle<> frame) noexcept {
  start_.handle_ = frame;
  start_.task_ = this;
  wait_ = &start_;
  loop_->adopt(*this);
  start_.wait_granted();
}

bool task_state::cancel(std::string_view reason) {
  if (done_) return false;
  ++requests_;
  request_pending_ = true;
  request_reason_ = std::make_unique<std::string>(reason);
  // A wait that is failing already serves this request too.
  if (wait_ != nullptr && wait_->state() == wait_state::cancelled) request_pending_ = false;
  interrupt();
  return true;
}

void task_state::interrupt() noexcept {
  refresh_interrupted();
  if (!interrupted_ || wait_ == nullptr) return;
  const bool cancellable =
      wait_->state() == wait_state::waiting || wait_->state() == wait_state::granted;
  if (cancellable && wait_->cancel()) note_interrupted_wait();
}

void task_state::refresh_interrupted() noexcept {
  interrupted_ = scope_->effective() != nullptr || (request_pending_ && shields_ == 0);
  if (!interrupted_) failed_waits_ = 0;  // a deadline that passed is over: nothing was swallowed
  if (interrupted_ && loop_->running() == this) loop_->exhaust_budget();
}

void task_state::note_interrupted_wait() noexcept {
  if (request_pending_ && shields_ == 0) {
    request_pending_ = false;
    refresh_interrupted();
  }
  if (++failed_waits_ == swallowed_max) {
    std::fprintf(stderr, "brigade: task '%s' has swallowed %u cancellations and goes on\n",
                 name().c_str(), failed_waits_);
  }
}

std::string task_state::cancel_reason() const {
  const cancel_scope* scope = scope_->effective();
  if (scope != nullptr) return scope->reason();
  return request_reason_ ? *request_reason_ : "cancelled";
}

void task_state::throw_cancelled() {
  cancellation_in_flight_ = true;
  throw cancelled(cancel_reason());
}

void root_finished(task_state& record) noexcept { record.loop_->retire(record); }

void task_state::finish(std::exception_ptr error) noexcept {
  done_ = true;
  if (error) {
    try {
      std::rethrow_exception(error);
    } catch (const cancelled&) {
      ended_cancelled_ = true;
    } catch (...) {
      error_ = std::move(error);
    }
  }
  while (!joiners_.empty()) static_cast<waiter*>(joiners_.front())->wake(wait_state::granted);
  if (group_ != nullptr) group_->child_ended(*this);
}

void join_waiter::await_resume() {
  const wait_state how = std::exchange(state_, wait_state::idle);
  if (how == wait_state::cancelled) task_->throw_cancelled();
  target_->error_seen_ = true;
  if (target_->error_) std::rethrow_exception(target_->error_);
  if (target_->ended_cancelled_) throw cancelled("the awaited task was cancelled");
}

std::string join_waiter::describe() const { return "end of task '" + target_->name() + "'"; }

}  // namespace brigade::detail
