#include <brigade/async/assert.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>

#include <utility>

namespace brigade {

namespace {

// A larger group costs more to search than to wait for.
constexpr std::size_t members_searched_max = 256;

detail::task_state& child_at(detail::link* member) {
  return *static_cast<detail::task_state*>(static_cast<detail::scope_member*>(member));
}

}  // namespace

group_full::group_full(std::string_view group_name, std::size_t limit)
    : std::runtime_error(std::string(group_name) + " is at its limit of " + std::to_string(limit) +
                         " tasks: use spawn_when_room") {}

task_group::task_group(std::string name, std::source_location where)
    : name_(std::move(name)), where_(where) {}

task_group::~task_group() {
  BRIGADE_ASSERT(entry_ == nullptr, "a task group was destroyed while it runs");
  BRIGADE_ASSERT(room_waiters_.empty(), "a task group was destroyed while a task waits for room");
}

task_group::entry::entry(task_group& of) : of_(of) {
  BRIGADE_ASSERT(of.phase_ == phase::created, "a task group was run twice");
  of.phase_ = phase::running;
  of.entry_ = this;
  of.owner_ = loop::current().running();
  if (of.cancelled_) scope_.cancel(of.reason_);
}

task_group::entry::~entry() {
  // Only a destroyed frame gets here with children alive; they are no use without what they share.
  if (of_.alive_ != 0) destroy_children();
  of_.phase_ = phase::ended;
  of_.entry_ = nullptr;
}

void task_group::entry::destroy_children() noexcept {
  while (!scope_.members_.empty()) {
    detail::task_state& child = child_at(scope_.members_.front());
    BRIGADE_ASSERT(child.loop_->running() != &child, "a task destroyed the group it runs in");
    child.group_ = nullptr;
    child.destroy_frame();
    child.loop_->retire(child);
  }
  of_.alive_ = 0;
}

void task_group::assert_running() const {
  BRIGADE_ASSERT(phase_ != phase::created, "a task was spawned into a group that does not run");
  BRIGADE_ASSERT(phase_ != phase::ended, "a task was spawned into a group that has ended");
}

void task_group::cancel(std::string_view reason) {
  if (phase_ == phase::ended) return;
  cancel_now(reason);
}

void task_group::cancel_now(std::string_view reason) {
  if (cancelled_) return;
  cancelled_ = true;
  reason_ = reason;
  if (entry_ != nullptr) entry_->scope_.cancel(reason_);
}

void task_group::set_limit(std::size_t running_max) {
  BRIGADE_ASSERT(running_max > 0, "a task group with a limit of 0 would run nothing");
  limit_ = running_max;
  room_changed();
}

task_group_statistics task_group::statistics() const {
  task_group_statistics result;
  result.running = alive_;
  result.waiting_for_room = room_waiters_.size();
  result.limit = limit_;
  result.spawned = spawned_;
  result.failed = failed_;
  result.cancelled = ended_cancelled_;
  return result;
}

void task_group::take_in(detail::task_state& child) {
  child.group_ = this;
  ++alive_;
  ++spawned_;
}

void task_group::child_ended(detail::task_state& child) noexcept {
  if (child.failed()) {
    ++failed_;
    errors_.push_back(child.error_);
    cancel_now("a sibling failed: " + error_text(child.error_));
  }
  if (child.ended_cancelled_) ++ended_cancelled_;
  --alive_;
  room_changed();
}

void task_group::room_changed() noexcept {
  while (!room_waiters_.empty() && alive_ + reserved_ < limit_) {
    ++reserved_;
    static_cast<detail::waiter*>(room_waiters_.front())->wake(detail::wait_state::granted);
  }
  const bool awaited = waiter_ != nullptr && waiter_->state() == detail::wait_state::waiting;
  if (awaited && at_rest()) waiter_->wake(detail::wait_state::granted);
}

void task_group::body_ended(std::exception_ptr error) {
  if (!error) return;
  try {
    std::rethrow_exception(error);
  } catch (const brigade::cancelled&) {
    body_cancelled_ = error;
    cancelled_alone_ = !cancelled_;
  } catch (...) {
    errors_.push_back(error);
  }
  cancel_now("the group's body ended early: " + error_text(error));
}

void task_group::finish() {
  const bool asked = outer_request_ || owner_->cancelling() > entry_->scope_.requests_at_entry_;
  const bool outside = entry_->scope_.parent_->effective() != nullptr;
  owner_->cancellation_in_flight_ = false;
  if (!errors_.empty()) {
    // Errors win; a request from outside that was used up on the way strikes at the next wait.
    if (asked) owner_->request_pending_ = true;
    throw exception_group(std::move(errors_));
  }
  if (body_cancelled_ && (outside || asked || cancelled_alone_)) {
    owner_->cancellation_in_flight_ = outside || asked;
    std::rethrow_exception(body_cancelled_);
  }
  if (outer_request_ || (struck_ && outside)) owner_->throw_cancelled();
}

void task_group::throw_without_value() const {
  throw invalid_state(name_ + " was cancelled before its body gave a value: " + reason_);
}

void task_group::patient_wait::await_suspend(std::coroutine_handle<> handle) noexcept {
  enter_wait(handle);
  state_ = detail::wait_state::waiting;
  if (look_for_circle_) task_->owner().look_for_circle(*this);
  if (task_->interrupted()) cancel();
}

void task_group::all_ended::await_suspend(std::coroutine_handle<> handle) noexcept {
  look_for_circle_ = group_.alive_ <= members_searched_max;
  patient_wait::await_suspend(handle);
}

bool task_group::patient_wait::cancel() noexcept {
  if (state_ != detail::wait_state::waiting) return false;
  asked_ = true;
  if (task_->use_up_request()) request_ = true;
  pass_on(task_->cancel_reason());
  return false;
}

void task_group::all_ended::pass_on(std::string_view reason) noexcept {
  group_.struck_ = true;
  if (!request_) return;  // a scope reaches the children by itself
  group_.outer_request_ = true;
  group_.cancel_now(reason);
}

std::string task_group::all_ended::describe() const {
  return "end of " + std::to_string(group_.alive_) + " tasks of " + group_.name_;
}

void task_group::all_ended::add_blockers(std::vector<const detail::task_state*>& blockers) const {
  const detail::link_list& members = group_.entry_->scope_.members_;
  for (detail::link* node = members.front(); node != members.end(); node = node->next) {
    blockers.push_back(&child_at(node));
  }
}

void task_group::room_wait::await_suspend(std::coroutine_handle<> handle) noexcept {
  BRIGADE_ASSERT(group_.phase_ == phase::running,
                 "a task waits for room in a group that does not run");
  if (begin_wait(handle)) return;
  if (group_.has_room()) {
    ++group_.reserved_;
    wait_granted();
  } else {
    wait_in(group_.room_waiters_);
  }
}

void task_group::room_wait::enter() {
  const detail::wait_state how = end_wait();
  if (how == detail::wait_state::granted) --group_.reserved_;
}

void task_group::room_wait::revoke() noexcept {
  --group_.reserved_;
  group_.room_changed();
}

std::string task_group::room_wait::describe() const {
  return "room in " + group_.name_ + " (" + std::to_string(group_.alive_) + " of " +
         std::to_string(group_.limit_) + " run)";
}

task_group::ready_wait::~ready_wait() {
  core_->starter_ = nullptr;
  core_->starter_present_ = false;
}

void task_group::ready_wait::await_resume() {
  state_ = detail::wait_state::idle;
  core_->starter_ = nullptr;
  if (core_->error_) {
    if (request_) {  // errors win; the request strikes at the next wait
      task_->request_pending_ = true;
      task_->refresh_interrupted();
    }
    std::rethrow_exception(core_->error_);
  }
  if (asked_) task_->throw_cancelled();
  if (!core_->ready_) throw never_ready(child_->name());
}

void task_group::ready_wait::pass_on(std::string_view reason) noexcept {
  core_->cancel_child(reason);
}

std::string task_group::ready_wait::describe() const {
  return "task '" + child_->name() + "' to be ready";
}

void task_group::ready_wait::add_blockers(std::vector<const detail::task_state*>& blockers) const {
  blockers.push_back(&child_->record());
}

}  // namespace brigade
