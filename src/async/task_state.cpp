#include <brigade/async/assert.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/loop.hpp>

#include <memory>
#include <typeinfo>
#include <utility>

namespace brigade::detail {

namespace {
// A task that swallows this many cancellations is named: it will not end by itself.
constexpr std::uint16_t swallowed_max = 1000;

/// What a task waits for that has not started; one for all of them.
class start_waiter final : public waiter {
 public:
  start_waiter() : waiter(std::source_location{}) { state_ = wait_state::granted; }
  bool cancel() noexcept override { return false; }  // a task always runs to its first wait
  [[nodiscard]] std::string describe() const override { return "not started yet"; }
};
start_waiter not_started;

/// The exception itself, when it is that and the library lets one look: to throw it again only to
/// see what it is would double what a cancelled task costs.
const cancelled* as_cancelled(const std::exception_ptr& error) noexcept {
#if defined(__GLIBCXX__)
  if (*error.__cxa_exception_type() != typeid(cancelled)) return nullptr;
  static_assert(sizeof(error) == sizeof(void*), "an exception_ptr is the exception's address");
  return static_cast<const cancelled*>(*reinterpret_cast<void* const*>(&error));
#else
  return nullptr;
#endif
}
}  // namespace

task_state::task_state(loop& owner, cancel_scope* outer, std::string_view name)
    : loop_(&owner), scope_(outer != nullptr ? outer : &owner.scope_), id_(owner.next_task_id_++) {
  if (!name.empty()) set_name(std::string(name));
  interrupted_ = scope_->effective() != nullptr;
  const task_state* parent = owner.running();
  if (parent == nullptr) return;
  const std::uint64_t younger = id_ - parent->id_;
  younger_than_parent_ = younger <= UINT32_MAX ? static_cast<std::uint32_t>(younger) : 0;
  background_ = parent->background_;
  if (parent->extras_ && !parent->extras_->context.empty()) context() = parent->extras_->context;
}

task_state::~task_state() {
  if (linked()) unlink();
  report_unseen_error();
}

task_state::rare& task_state::extras() {
  if (!extras_) extras_ = std::make_unique<rare>();
  return *extras_;
}

void task_state::report_unseen_error() noexcept {
  // An error the group has is the group's to throw.
  if (!failed() || error_seen_ || group_ != nullptr || loop_ == nullptr) return;
  if (loop_->on_unhandled) loop_->on_unhandled(name(), error_);
}

std::string task_state::name() const {
  if (extras_ && !extras_->name.empty()) return extras_->name;
  return "task-" + std::to_string(id_);
}

void task_state::start(std::coroutine_handle<> frame, bool eagerly) {
  frame_ = frame;
  loop_->adopt(*this);
  if (eagerly) {
    loop_->run_now(*this, frame);
  } else {
    std::construct_at(&start_, loop_->now());
    waits_to_start_ = true;
    loop_->make_ready(start_);
  }
}

task_state& task_state::begin(runnable& entry) noexcept {
  // The entry is where the union is, and that is where the base begins.
  auto& record = static_cast<task_state&>(reinterpret_cast<waiting_task&>(entry));
  record.waits_to_start_ = false;
  std::construct_at(&record.resumption_, &not_started, record.frame_);
  return record;
}

void task_state::end_wait_to_start() noexcept {
  waits_to_start_ = false;
  std::construct_at(&resumption_);
}

waiter* task_state::waiting_on() const { return waits_to_start_ ? &not_started : resumption_.wait; }

bool task_state::cancel(std::string_view reason) {
  if (done_) return false;
  rare& noted = extras();
  noted.cancel_reason = reason;
  ++noted.requests;
  // A wait that is failing already serves this request too.
  const waiter* wait = waiting_on();
  request_pending_ = wait == nullptr || wait->state() != wait_state::cancelled;
  interrupt();
  return true;
}

int task_state::uncancel() noexcept {
  if (done_ || cancelling() == 0) return cancelling();
  if (--extras_->requests == 0) {
    request_pending_ = false;
    refresh_interrupted();
  }
  return extras_->requests;
}

bool task_state::shielded() const { return scope_->shields(*this); }

bool task_state::use_up_request() noexcept {
  if (!request_pending_ || shielded()) return false;
  request_pending_ = false;
  refresh_interrupted();
  return true;
}

void task_state::interrupt() noexcept {
  refresh_interrupted();
  waiter* const wait = waiting_on();
  if (!interrupted_ || wait == nullptr) return;
  const bool cancellable =
      wait->state() == wait_state::waiting || wait->state() == wait_state::granted;
  if (!cancellable) return;
  const bool again = interrupting_;
  interrupting_ = true;
  if (wait->cancel()) note_interrupted_wait();
  interrupting_ = again;
}

void task_state::refresh_interrupted() noexcept {
  interrupted_ = scope_->effective() != nullptr || (request_pending_ && !shielded());
  if (!interrupted_) failed_waits_ = 0;  // a deadline that passed is over: nothing was swallowed
  if (interrupted_ && loop_->running() == this) loop_->exhaust_budget();
}

void task_state::note_interrupted_wait() noexcept {
  use_up_request();
  if (failed_waits_ > swallowed_max) return;
  if (++failed_waits_ == swallowed_max) {
    loop_->warn("task '" + name() + "' has swallowed " + std::to_string(failed_waits_) +
                " cancellations and goes on");
  }
}

std::string task_state::cancel_reason() const {
  const cancel_scope* scope = done_ ? nullptr : scope_->effective();
  if (scope != nullptr) return scope->reason();
  return extras_ && !extras_->cancel_reason.empty() ? extras_->cancel_reason : "cancelled";
}

void task_state::throw_cancelled() {
  cancellation_in_flight_ = true;
  throw cancelled(cancel_reason());
}

void root_finished(task_state& record) noexcept { record.loop_->retire(record); }

bool task_state::note_cancelled(const std::exception_ptr& error) noexcept {
  if (const cancelled* why = as_cancelled(error)) {
    ended_cancelled_ = true;
    extras().cancel_reason = why->reason();
    return true;
  }
  try {
    std::rethrow_exception(error);
  } catch (const cancelled& why) {
    ended_cancelled_ = true;
    extras().cancel_reason = why.reason();
    return true;
  } catch (...) {
    return false;
  }
}

void task_state::finish(std::exception_ptr error) noexcept {
  link_list listeners;
  if (error && note_cancelled(error)) error = nullptr;
  settle(std::move(error), listeners);
  tell_end(listeners);
  if (group_ != nullptr) group_->child_ended(*this);
}

}  // namespace brigade::detail
