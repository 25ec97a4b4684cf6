#include <brigade/async/assert.hpp>
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/loop.hpp>

namespace brigade {

cancel_scope::cancel_scope() : owner_(loop::current().running()) {
  BRIGADE_ASSERT(owner_ != nullptr, "a cancel scope outside any task");
  attach(owner_->scope_);
  owner_->scope_ = this;
  requests_at_entry_ = owner_->cancelling();
}

cancel_scope::cancel_scope(apart_tag) {
  const detail::task_state* running = loop::current().running();
  BRIGADE_ASSERT(running != nullptr, "tasks of one's own are started outside any task");
  attach(running->scope_);
}

cancel_scope::~cancel_scope() {
  if (linked()) unlink();
  if (owner_ == nullptr) return;
  if (owner_->scope_ == this) {
    owner_->scope_ = parent_;
  } else {
    // A destroyed frame ends its locals before the tasks it was given, and these have scopes too.
    BRIGADE_ASSERT(detail::frames_being_destroyed > 0, "cancel scopes ended out of order");
    leave_the_middle();
  }
  owner_->refresh_interrupted();
}

void cancel_scope::leave_the_middle() {
  while (!inner_.empty()) {
    auto* inner = static_cast<cancel_scope*>(inner_.front());
    inner->unlink();
    inner->attach(parent_);
  }
}

void cancel_scope::attach(cancel_scope* parent) {
  parent_ = parent;
  parent->inner_.push_back(this);
}

const cancel_scope* cancel_scope::effective() const {
  const cancel_scope* outermost = nullptr;
  for (const cancel_scope* scope = this; scope != nullptr; scope = scope->parent_) {
    if (scope->cancelled_) outermost = scope;
    if (scope->shielded_) break;
  }
  return outermost;
}

bool cancel_scope::shields(const detail::task_state& task) const {
  for (const cancel_scope* scope = this; scope->owner_ == &task; scope = scope->parent_) {
    if (scope->shielded_) return true;
  }
  return false;
}

void cancel_scope::cancel(std::string_view reason) {
  if (cancelled_) return;
  cancelled_ = true;
  reason_ = reason;
  reach_in(reason_);
}

void cancel_scope::reach_in(std::string_view reason) {
  for (detail::link* node = inner_.front(); node != inner_.end(); node = node->next) {
    auto* inner = static_cast<cancel_scope*>(node);
    if (!inner->shielded_) inner->reach_in(reason);
  }
  for (detail::link* node = members_.front(); node != members_.end(); node = node->next) {
    static_cast<detail::task_state*>(static_cast<detail::scope_member*>(node))->interrupt();
  }
  if (owner_ != nullptr && owner_->scope_ == this) owner_->interrupt();
}

void cancel_scope::shield() {
  BRIGADE_ASSERT(owner_ != nullptr, "only a scope inside a task can be shielded");
  if (shielded_) return;
  shielded_ = true;
  owner_->refresh_interrupted();
}

bool cancel_scope::caused_cancellation() const {
  if (!cancelled_) return false;
  if (owner_->cancelling() > requests_at_entry_) return false;
  return shielded_ || parent_ == nullptr || parent_->effective() == nullptr;
}

loop& cancel_scope::owner() const { return owner_->owner(); }

void cancel_scope::cancellation_ended() const noexcept { owner_->cancellation_in_flight_ = false; }

deadline_scope::deadline_scope(std::chrono::nanoseconds after) : after_(after) {
  loop& owner = loop::current();
  owner.timers().arm(*this, detail::deadline_in(owner, after), owner.running()->background());
}

deadline_scope::~deadline_scope() {
  if (armed()) owner().timers().disarm(*this);
}

void deadline_scope::fire() noexcept { cancel("deadline passed"); }

}  // namespace brigade
