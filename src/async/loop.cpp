#include <brigade/async/assert.hpp>
#include <brigade/async/detail/future_state.hpp>
#include <brigade/async/loop.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace brigade {

namespace detail {

bool mailbox::post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (driver_ == nullptr) return false;
  posted_.push_back(std::move(work));
  if (!pending_.exchange(true) && asleep_.load()) driver_->wake();
  return true;
}

void mailbox::ring() noexcept {
  if (!pending_.exchange(true) && asleep_.load()) wake_sleeper();
}

void mailbox::wake_sleeper() noexcept {
  const std::lock_guard lock(mutex_);
  if (driver_ != nullptr) driver_->wake();
}

void mailbox::close() {
  // What is dropped may own something that posts when it goes.
  std::vector<std::function<void()>> dropped;
  const std::lock_guard lock(mutex_);
  driver_ = nullptr;
  dropped.swap(posted_);
}

std::vector<std::function<void()>> mailbox::take() {
  const std::lock_guard lock(mutex_);
  pending_.exchange(false);  // reads what `ring` wrote: who rang is seen by who looks from here on
  return std::exchange(posted_, {});
}

}  // namespace detail

namespace {

// Tasks that swallow the cancellation of a deadlock get this many steps to come to an end.
constexpr std::uint64_t steps_after_deadlock_max = 1'000'000;

void report_unhandled(const std::string& task_name, const std::exception_ptr& error) {
  std::fprintf(stderr, "brigade: task '%s' failed and nobody awaited it: %s\n", task_name.c_str(),
               error_text(error).c_str());
}

void print_warning(const std::string& warning) {
  std::fprintf(stderr, "brigade: %s\n", warning.c_str());
}

detail::task_state* record_of(detail::link* member) {
  return static_cast<detail::task_state*>(static_cast<detail::scope_member*>(member));
}

}  // namespace

loop::loop() : loop(detail::make_reactor()) {
  takes_the_first_ = true;
  plain_steps_ = true;
}

loop::loop(std::unique_ptr<detail::driver> world)
    : on_unhandled(report_unhandled),
      on_warning(print_warning),
      driver_(std::move(world)),
      mailbox_(std::make_shared<detail::mailbox>(*driver_)),
      scope_(cancel_scope::root_tag{}) {
  refresh_now();
}

loop::~loop() {
  BRIGADE_ASSERT(task_count_ == 0, "a loop was destroyed with tasks in it");
  mailbox_->close();
  // Their handles outlive the loop, so it is said now.
  while (!failed_.empty()) {
    detail::task_state* const record = record_of(failed_.front());
    record->unlink();
    record->report_unseen_error();
    record->loop_ = nullptr;
  }
  while (!futures_.empty()) static_cast<detail::future_state*>(futures_.front())->loop_ends();
}

loop& current_loop() { return loop::current(); }

void loop::adopt(detail::future_state& future) noexcept { futures_.push_back(&future); }

void loop::adopt(detail::task_state& record) {
  record.retain();
  record.scope_->members_.push_back(&record);
  ++task_count_;
}

void loop::retire(detail::task_state& record) noexcept {
  record.unlink();
  --task_count_;
  if (record.waits_to_start_) {
    record.start_.unlink();
    record.end_wait_to_start();
    --ready_count_;
  }
  if (!record.done()) record.finish(record.collect());
  if (record.failed() && record.group_ == nullptr) failed_.push_back(&record);
  // The frame is still on the stack of its last step; it goes once that step has returned.
  finished_.push_back(&record);
}

void loop::bury() noexcept {
  while (!finished_.empty()) {
    detail::task_state* record = finished_.back();
    finished_.pop_back();
    record->destroy_frame();
    record->release();
  }
}

void loop::kill(detail::task_state& record) noexcept {
  BRIGADE_ASSERT(running_ != &record, "a task cannot be killed while it runs");
  if (record.done()) return;
  record.destroy_frame();
  retire(record);
  if (running_ == nullptr) bury();
}

void loop::kill_others() noexcept {
  // A task takes those of its groups along, so its record may be done before its turn comes.
  for (const task_ref& task : tasks()) {
    detail::task_state& record = task.record();
    if (&record != running_ && record.group_ == nullptr) kill(record);
  }
}

std::vector<detail::task_state*> loop::unfinished() const {
  std::vector<detail::task_state*> found;
  std::vector<const cancel_scope*> scopes = {&scope_};
  while (!scopes.empty()) {
    const cancel_scope& scope = *scopes.back();
    scopes.pop_back();
    for (auto* node = scope.inner_.front(); node != scope.inner_.end(); node = node->next) {
      scopes.push_back(static_cast<const cancel_scope*>(node));
    }
    for (auto* node = scope.members_.front(); node != scope.members_.end(); node = node->next) {
      found.push_back(record_of(node));
    }
  }
  std::ranges::sort(found, {}, [](const auto* record) { return record->id(); });
  return found;
}

std::vector<task_ref> loop::tasks() const {
  std::vector<task_ref> found;
  for (detail::task_state* record : unfinished()) found.emplace_back(*record);
  return found;
}

detail::runnable& loop::pick() {
  std::size_t passed = takes_the_first_ ? 0 : driver_->choose(ready_count_);
  // Whoever looks on before a step may have changed who is ready.
  BRIGADE_ASSERT(ready_count_ != 0, "loop: nobody is ready any more");
  passed = std::min(passed, ready_count_ - 1);
  detail::link* node = ready_.front();
  for (; passed > 0; --passed) node = node->next;
  return *static_cast<detail::runnable*>(node);
}

void loop::enter(detail::task_state* record) noexcept {
  running_ = record;
  if (record == nullptr) return;
  running_part_ = record;
  detail::turn_budget_left = turn_budget;
  if (record->interrupted()) [[unlikely]]
    exhaust_budget();
}

bool loop::step() {
  const bool ran = step_inline();
  running_ = nullptr;
  return ran;
}

[[gnu::always_inline]] inline bool loop::step_inline() {
  if (ready_.empty()) return false;
  const bool plainly = plain_steps_;
  detail::runnable& next = plainly ? static_cast<detail::runnable&>(*ready_.front()) : pick();
  next.unlink();
  --ready_count_;
  ++steps_;
  detail::task_state& record = next.is_start() ? detail::task_state::begin(next) : *next.task_;
  const detail::waiter* wait = std::exchange(record.resumption_.wait, nullptr);
  enter(&record);
  if (plainly || steps_to_time_ == 0) [[likely]] {
    record.resumption_.at.resume();
  } else {
    run_timed(record, *wait);
  }
  if (plainly && finished_.empty()) [[likely]]
    return true;
  running_ = nullptr;
  bury();
  return true;
}

void loop::run_now(detail::task_state& record, std::coroutine_handle<> frame) {
  detail::task_state* const outer = running_;
  const int budget = detail::turn_budget_left;
  enter(&record);
  frame.resume();
  enter(outer);
  // The new task may have cancelled the one that started it.
  if (outer != nullptr && !outer->interrupted()) detail::turn_budget_left = budget;
  if (outer == nullptr) bury();
}

void loop::turn() {
  turn_began_ = steps_;
  turn_began_at_ = now_;
  for (int i = 0; i < steps_between_polls; ++i) {
    if (!step_inline()) break;
  }
  running_ = nullptr;
}

void loop::run_all_posted() {
  if (!mailbox_->pending()) return;
  for (auto& work : mailbox_->take()) run_posted(work);
}

void loop::look_outside(bool may_wait) {
  if (!deadlock_.empty() && steps_ - deadlock_step_ > steps_after_deadlock_max) kill_others();
  run_all_posted();
  if (junction_) junction_->look(ready_.empty());
  if (may_wait && ready_.empty() && !mailbox_->pending()) {
    const bool nothing_here = outside_ == 0 && !timers_.any_foreground();
    if (nothing_here && !(junction_ && junction_->others_may_act())) {
      found_deadlock();
    } else {
      rest_until(timers_.empty() ? detail::time_point::max() : timers_.next());
    }
    refresh_now();
  } else {
    driver_->poll();
  }
  timers_.fire_due(now_);
}

void loop::rest_until(detail::time_point deadline) {
  if (!(junction_ && junction_->linger())) {
    if (mailbox_->fall_asleep()) driver_->wait_until(deadline);
    mailbox_->wake_up();
  }
  if (junction_) junction_->woke_up();
}

void loop::run_posted(const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    if (on_unhandled) on_unhandled("posted work", std::current_exception());
  }
}

void loop::found_deadlock() {
  const bool again = !deadlock_.empty();
  if (!again) {
    deadlock_ = "deadlock: no task can run, no timer is armed, nothing from outside is awaited\n";
    deadlock_ += dump_tasks();
    deadlock_step_ = steps_;
    scope_.cancel("deadlock");
    return;
  }
  // Cancelled, and still nobody moves: the frames go as they are.
  for (const task_ref& task : tasks()) {
    if (task.record().group_ != nullptr) continue;
    kill(task.record());
    return;
  }
}

void loop::refuse_nested_run() {
  if (detail::this_scheduler != nullptr) {
    throw invalid_state("run: a loop runs on this thread already; await the task instead");
  }
}

void loop::drive(detail::task_state& main) {
  detail::find_uncaught_count();
  enter_thread();
  scope_.cancelled_ = false;
  refresh_now();
  main.refresh_interrupted();
  while (!main.done()) {
    turn();
    refresh_now();
    look_at_turn();
    if (!main.done()) look_outside(true);
  }
  main.error_seen_ = true;
  bury();
  leave_thread();
}

void loop::rethrow_deadlock() {
  if (!deadlock_.empty()) throw deadlock(std::exchange(deadlock_, {}));
}

std::vector<std::string> loop::end_leftovers() {
  std::vector<std::string> left_behind;
  enter_thread();
  run_all_posted();  // what came before the main task's end, and was not looked at any more
  scope_.cancel("the loop ends");
  refresh_now();
  const detail::time_point deadline = detail::later(now_, leftover_timeout_);
  while (task_count_ != 0 && now_ < deadline) {
    turn();
    refresh_now();
    if (task_count_ == 0) break;
    const bool stuck = ready_.empty() && !mailbox_->pending() && outside_ == 0 && timers_.empty();
    if (stuck && !(junction_ && junction_->others_may_act())) break;
    if (ready_.empty() && !mailbox_->pending()) {
      rest_until(timers_.empty() ? deadline : std::min(deadline, timers_.next()));
      refresh_now();
    }
    look_outside(false);
  }
  // Again, for a frame that goes may start another task.
  while (task_count_ != 0) {
    for (const task_ref& left : tasks()) {
      if (left.done()) continue;
      const detail::waiter* wait = left.record().waiting_on();
      warn("task '" + left.name() +
           "' did not end when the loop did: " + (wait != nullptr ? wait->describe() : "ready"));
      left_behind.push_back(left.name());
      kill(left.record());
    }
  }
  bury();
  leave_thread();
  return left_behind;
}

void loop::warn(const std::string& text) const {
  if (on_warning) on_warning(text);
}

}  // namespace brigade
