// The shutdown order, top to bottom:
//
//   drain          intake ends; batches flush now; retries due before the deadline run once
//   every 5 s      one line: what is in flight where, the oldest, what stuck workers wait on
//   the deadline   the work is cancelled; handler processes are ended by their stages
//   + 3 s          what still does not end is destroyed where it waits
//   after that     the rest is returned, outcomes become durable, source and sink are closed
//
// The watchdog of a process that never gets here is the program's (its signal thread).
#include "pipeline/engine_state.hpp"

#include <brigade/async/detail/probe.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>

namespace brigade {

using namespace std::chrono_literals;
using detail::item;
using detail::run_phase;

namespace {
constexpr auto drain_line_every = 5s;
constexpr auto cancel_grace = 3s;
}  // namespace

void engine::implementation::drain() {
  if (phase_ == run_phase::closing && !stop_deadline_) move_deadline(plan.rules.stop_timeout);
  if (phase_ != run_phase::running) return;
  note_waiting_retries();
  phase_ = run_phase::draining;
  move_deadline(plan.rules.stop_timeout);
  if (open_scope_ != nullptr) open_scope_->cancel("stopping");
  if (intake_scope_ != nullptr) intake_scope_->cancel("stopping");
  for (const auto& stage : stages_) wait_for_no_company(*stage);
  return_late_retries();
  if (helpers_ != nullptr) {
    helpers_->spawn_named("drain", [this] { return watch_the_drain(); }).set_background();
  }
}

void engine::implementation::deadline_now() {
  if (phase_ == run_phase::running) drain();
  if (phase_ != run_phase::draining && phase_ != run_phase::closing) return;
  move_deadline({});
  deadline_moved_.set();
}

void engine::implementation::move_deadline(std::chrono::nanoseconds from_now) {
  if (loop_ == nullptr) loop_ = &loop::current();  // stopped before it began
  loop_->refresh_now();
  stop_deadline_ = loop_->now() + from_now;
  if (phase_ == run_phase::closing) journal_idle_.set();
}

void engine::implementation::stop_now(int exit_code, std::string why) {
  if (stop_code_ == 0 || (exit_code != 0 && exit_code < stop_code_)) {
    stop_code_ = exit_code;
    if (!why.empty()) stop_reason_ = why;
  }
  if (phase_ >= run_phase::stopping) return;
  note_waiting_retries();
  phase_ = run_phase::stopping;
  if (open_scope_ != nullptr) open_scope_->cancel("stopped");
  if (work_group_ != nullptr) work_group_->cancel(why.empty() ? "stopped" : why);
  if (helpers_ != nullptr) {
    helpers_->spawn_named("last resort", [this] { return kill_the_stuck(); }).set_background();
  }
}

task<> engine::implementation::watch_the_drain() {
  auto next_line = loop_->now() + drain_line_every;
  while (phase_ == run_phase::draining) {
    loop_->refresh_now();
    if (loop_->now() >= *stop_deadline_) {
      notice("stop deadline: the work is cancelled, the rest is returned");
      stop_now(0, "");
      co_return;
    }
    if (loop_->now() >= next_line) {
      notice(drain_line());
      next_line += drain_line_every;
    }
    deadline_moved_.clear();
    deadline_scope until(std::min(next_line, *stop_deadline_) - loop_->now());
    try {
      co_await deadline_moved_.wait();
    } catch (const cancelled&) {
      if (!until.caused_cancellation()) throw;
    }
  }
}

task<> engine::implementation::kill_the_stuck() {
  co_await sleep_for(cancel_grace);
  for (task_handle<>& work : work_tasks_) {
    if (work.done()) continue;
    notice("task '" + work.name() + "' did not end when cancelled; it is destroyed");
    loop_->kill(work.record());
  }
}

void engine::implementation::note_waiting_retries() const {
  for (const auto& stage : stages_) {
    if (stage->walk_retries() == 0) continue;
    detail::probe::passed(detail::probe::coverage::stop_during_retry);
    return;
  }
}

void engine::implementation::return_late_retries() {
  for (auto& stage : stages_) {
    for (detail::link* node = stage->retrying.front(); node != stage->retrying.end();) {
      item& work = *static_cast<item::hook*>(node)->self;
      node = node->next;
      if (work.retry_due() <= *stop_deadline_) continue;
      work.disarm_retry();
      settle(work, outcome::returned, stage->name, "stopped before its next attempt");
    }
  }
}

std::string engine::implementation::drain_line() const {
  std::string line = "stopping:";
  detail::time_point oldest = loop_->now();
  for (const auto& stage : stages_) {
    line += " " + stage->name + " " + std::to_string(stage->walk());
  }
  for (const detail::link* node = live_.front(); node != live_.end(); node = node->next) {
    oldest = std::min(oldest, static_cast<const item::hook*>(node)->self->taken);
  }
  const auto seconds = [](auto span) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(span).count()) + " s";
  };
  line += " in flight; oldest " + seconds(loop_->now() - oldest);
  line += "; " + seconds(*stop_deadline_ - loop_->now()) + " left";
  return line + what_workers_wait_on();
}

// Of those who have an item in hand; the first few are enough to see what is stuck.
std::string engine::implementation::what_workers_wait_on() const {
  constexpr int named_max = 4;
  std::string line;
  int busy = 0;
  for (const auto& stage : stages_) {
    for (const detail::work_slot& slot : stage->slots) {
      if (slot.current == nullptr || !slot.worker || slot.worker->done()) continue;
      if (++busy > named_max) continue;
      detail::task_state& record = task_handle<>(*slot.worker).record();
      const detail::waiter* wait = record.waiting_on();
      line += "; " + slot.worker->name() + " with " + std::string(slot.current->id()) + " waits: ";
      line += wait == nullptr ? "nothing, it runs" : wait->describe();
    }
  }
  if (busy > named_max) line += "; and " + std::to_string(busy - named_max) + " more";
  return line;
}

}  // namespace brigade
