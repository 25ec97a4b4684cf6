// The workers of a stage: attempts at items, and what their results mean.
#include "pipeline/engine_state.hpp"

#include <brigade/async/detail/probe.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>

namespace brigade {

using detail::item;
using detail::run_phase;
using detail::work_slot;
namespace probe = detail::probe;

namespace detail {

void item::arm_retry(stage_run& where, time_point due) {
  retry_at_ = &where;
  due_ = due;
  where.retrying.push_back(&place);
  loop::current().timers().arm(*this, due, false);
}

void item::disarm_retry() {
  loop::current().timers().disarm(*this);
  place.unlink();
}

void item::fire() noexcept {
  place.unlink();
  retry_at_->due.push_back(&place);
  retry_at_->due_arrived.set();
}

}  // namespace detail

namespace {

// What an attempt and the hand-over behind it take, where somebody wants to know; else nothing, not
// even room in the worker's frame.
template <bool measured>
struct stopwatch {
  static void attempt_begins(const loop&, const detail::stage_run&, const item&) {}
  static void attempt_ended(const loop&, const detail::stage_run&) {}
  static void offers(const loop&, const detail::stage_run&) {}
  static void handed_over(const loop&, const detail::stage_run&, const item&) {}
};

template <>
class stopwatch<true> {
 public:
  void attempt_begins(loop& clock, const detail::stage_run& stage, const item& work) {
    timed_ = stage.meter->is_due(clock.now());
    if (!timed_) return;
    clock.refresh_now();
    since_ = clock.now();
    if (work.tries == 0) stage.meter->queue_wait.add(since_ - work.came_here());
  }
  void attempt_ended(loop& clock, const detail::stage_run& stage) const {
    if (!timed_) return;
    clock.refresh_now();
    stage.meter->work.add(clock.now() - since_);
  }
  void offers(const loop& clock, const detail::stage_run& next) {
    blocked_ = next.input.full();
    if (blocked_) since_ = clock.now();
  }
  void handed_over(const loop& clock, const detail::stage_run& stage, item& work) const {
    work.begun = clock.now();
    if (blocked_) stage.meter->blocked += clock.now() - since_;
  }

 private:
  bool timed_ = false;
  bool blocked_ = false;
  detail::time_point since_{};
};

}  // namespace

// `ruled`: this stage or the next has rules for which item goes when. `measured`: somebody wants to
// know how long things take. It is a template so that pipelines without pay nothing.
template <bool ruled, bool measured>
task<> engine::implementation::worker(stage_run& stage, std::size_t slot) {
  work_slot& own = stage.slots[slot];
  const int worker_id = static_cast<int>(slot) / stage.per_worker;
  for (;;) {
    if (own.heed && !stays(stage, own)) [[unlikely]]
      co_return;
    if constexpr (ruled) {
      co_await take_guarded(stage, own);
      if (own.current == nullptr) co_return;
    } else {
      auto ticket = co_await stage.input.take();
      if (!ticket) co_return;
      own.current = *ticket;
      ticket.done();  // the stage's result decides, not the ticket
    }
    item& work = *own.current;
    stopwatch<measured> watch;
    watch.attempt_begins(*loop_, stage, work);
    if (work.tries++ != 0) {
      stage.count_retry(work);
    } else {
      work.begun = loop_->now();
    }
    std::optional<attempt_result> result;
    if (stage.immediate) {
      result.emplace(attempt_now(stage, work, worker_id));
    } else {
      own.since = loop_->now();
      attempt_result given = co_await attempt(stage, work, worker_id);
      own.since = work_slot::never;
      result.emplace(std::move(given));
    }
    watch.attempt_ended(*loop_, stage);
    switch (judge(stage, own, work, worker_id, *result)) {
      case onward::passes: {
        stage_run* const next = way_of(stage, *result);
        if constexpr (ruled) {
          co_await enter(&stage, *next, own.current);
        } else {
          watch.offers(*loop_, *next);
          co_await next->input.put_from(own.current);
          own.current = nullptr;
          pass(stage, *next, work);
          watch.handed_over(*loop_, stage, work);
        }
        break;
      }
      case onward::splits:
        co_await pass_children(stage, own, std::move(result->values()));
        break;
      case onward::ends:
        break;
    }
  }
}

// What came of an attempt at the item in hand; who ends is settled, or waits for a retry.
engine::implementation::onward engine::implementation::judge(stage_run& stage, work_slot& own,
                                                             item& work, int worker_id,
                                                             attempt_result& result) {
  stage.workers[static_cast<std::size_t>(worker_id)].items += work.weight;
  switch (result.what()) {
    case attempt_result::kind::passed:
      accept(work, std::move(result.value()));
      return onward::passes;
    case attempt_result::kind::unchanged:
    case attempt_result::kind::routed:
      return onward::passes;
    case attempt_result::kind::split:
      return onward::splits;
    case attempt_result::kind::filtered:
      own.current = nullptr;
      settle(work, outcome::filtered, stage.name, {});
      return onward::ends;
    case attempt_result::kind::failed:
      own.current = nullptr;
      own.probing = false;
      attempt_failed(stage, work, worker_id, result.why());
      return onward::ends;
  }
  return onward::ends;
}

task<> engine::implementation::worker_for(stage_run& stage, std::size_t slot) {
  const bool ruled = stage.guard || std::ranges::any_of(stage.feeds, &stage_run::selective);
  const bool bounded = stage.policy.attempt_timeout.count() != 0;
  const bool together = stage.body->together_max() != 0 && !ruled && !bounded && !stage.selective;
  if (together) return worker_of_several(stage, slot);
  if (stage.meter)
    return ruled ? worker<true, true>(stage, slot) : worker<false, true>(stage, slot);
  return ruled ? worker<true, false>(stage, slot) : worker<false, false>(stage, slot);
}

namespace {

attempt_result failed_with(verdict kind, std::string error) {
  return attempt_result::failed(failure(kind, std::move(error)));
}

}  // namespace

attempt_info engine::implementation::info_of(const stage_run& stage, const item& work,
                                             int worker_id) {
  attempt_info info{{}, {}, work.attempts + 1, worker_id};
  if (!stage.wants_names) return info;
  info.key = work.key();
  info.id = work.id();
  return info;
}

attempt_result engine::implementation::attempt_now(stage_run& stage, item& work, int worker_id) {
  const attempt_info info = info_of(stage, work, worker_id);
  try {
    return stage.body->run_now(work.value, info);
  } catch (...) {
    return failed_by(std::current_exception());
  }
}

task<attempt_result> engine::implementation::attempt(stage_run& stage, item& work, int worker_id) {
  const attempt_info info = info_of(stage, work, worker_id);
  try {
    co_return co_await bounded_attempt(stage, work, info);
  } catch (const cancelled& by) {
    // One that the work threw by itself must not take the worker along.
    if (loop_->running()->interrupted() || phase_ >= run_phase::stopping) throw;
    co_return failed_with(verdict::retryable, "cancelled from inside: " + by.reason());
  } catch (...) {
    co_return failed_by(std::current_exception());
  }
}

task<attempt_result> engine::implementation::bounded_attempt(stage_run& stage, item& work,
                                                             const attempt_info& info) {
  auto body = stage.body->run(work.value, info);
  const bool bounded = stage.policy.attempt_timeout.count() != 0 && !stage.body->minds_timeout();
  if (!bounded) co_return co_await std::move(body);
  co_return co_await timeout(stage.policy.attempt_timeout, std::move(body));
}

void engine::implementation::accept(item& work, payload value) {
  if (work.origin.empty() && !work.is_child()) work.origin = std::move(work.value);
  work.value = std::move(value);
}

void engine::implementation::attempt_failed(stage_run& stage, item& work, int worker_id,
                                            const failure& why) {
  stage.workers[static_cast<std::size_t>(worker_id)].failed += work.weight;
  if (why.killed_handler) {
    ++work.kills;
    probe::passed(probe::coverage::child_died);
  } else {
    ++work.attempts;
  }
  work.why_again = why.killed_handler ? retry_reason::handler_died
                   : why.timed_out    ? retry_reason::timeout
                                      : retry_reason::error;
  attempt_record record;
  record.stage = stage.name;
  record.number = why.killed_handler ? 0 : work.attempts;
  record.worker = worker_id;
  record.error = why.error;
  record.at = std::chrono::system_clock::now();
  work.failed_attempts.push_back(std::move(record));
  if (why.kind == verdict::fatal) {
    settle(work, outcome::returned, stage.name, why.error);
    stop_now(1, "stage '" + stage.name + "': " + why.error);
  } else {
    retry_or_bury(stage, work, why);
  }
}

void engine::implementation::retry_or_bury(stage_run& stage, item& work, const failure& why) {
  if (why.kind == verdict::permanent) return bury(stage, work, why.error);
  if (why.killed_handler && work.kills >= plan.rules.handler_kills_max) {
    return bury(
        stage, work,
        "poison: ended its handler " + std::to_string(work.kills) + " times, last: " + why.error);
  }
  random_state_ = random_state_ * 6364136223846793005ULL + 1442695040888963407ULL;
  const double random = static_cast<double>(random_state_ >> 11) * 0x1.0p-53;
  const int charged = why.killed_handler ? work.kills : work.attempts;
  std::optional<milliseconds> delay =
      next_delay(stage.policy.retry, charged, random, why.retry_after);
  if (!delay && why.killed_handler) delay = stage.policy.retry.backoff_max;
  if (!delay) return bury(stage, work, why.error);
  loop_->refresh_now();
  const detail::time_point due = loop_->now() + *delay;
  const bool late =
      stage.policy.item_deadline.count() != 0 && due > work.begun + stage.policy.item_deadline;
  if (late) return bury(stage, work, why.error + " (and its deadline has passed)");
  if (plan.observer.on_failure) {
    plan.observer.on_failure({work.id(), stage.name, why.error, charged, false});
  }
  // While draining a retry that is due in time runs once, and no more.
  if (phase_ >= run_phase::stopping ||
      (phase_ == run_phase::draining && (work.tries > 1 || due > *stop_deadline_))) {
    settle(work, outcome::returned, stage.name, "stopped before its next attempt: " + why.error);
    return;
  }
  if (stage.is_sink() && stage.end->held_back != nullptr) {
    stage.end->held_back->push_back(&work);
    stage.end->pauses_until = std::max(stage.end->pauses_until.value_or(due), due);
    return;
  }
  work.arm_retry(stage, due);
}

void engine::implementation::bury(stage_run& stage, item& work, const std::string& error) {
  if (plan.observer.on_failure) {
    plan.observer.on_failure({work.id(), stage.name, error, work.attempts, true, work.lenient});
  }
  const std::string why =
      "item " + std::string(work.id()) + " failed at stage '" + stage.name + "': " + error;
  settle(work, outcome::dead_lettered, stage.name, error, letter_of(stage, work));
  if (stage.policy.failure == on_error::fail_fast) stop_now(4, why);
  if (stage.policy.failure == on_error::tolerate) charge_budget(stage, why);
}

std::unique_ptr<letter> engine::implementation::letter_of(const stage_run& stage,
                                                          const item& work) {
  auto dead = std::make_unique<letter>();
  dead->payload = work.value.text();
  const item* root = &work;
  while (root->is_child()) root = root->parent;
  dead->source_payload = root->replay != nullptr ? root->replay->source_payload
                         : root->origin.empty()  ? root->value.text()
                                                 : root->origin.text();
  dead->stage_index = stage.index;
  return dead;
}

// Puts items whose time has come back into the stage's queue, in that order.
task<> engine::implementation::requeue_due(stage_run& stage) {
  for (;;) {
    while (!stage.due.empty()) {
      item& work = *static_cast<item::hook*>(stage.due.front())->self;
      work.place.unlink();
      stage.requeued = &work;
      co_await stage.input.put_from(stage.requeued);
      stage.requeued = nullptr;
    }
    if (stage.input.closed()) co_return;
    stage.due_arrived.clear();
    co_await stage.due_arrived.wait();
  }
}

void engine::implementation::upstream_ended(stage_run& stage) {
  if (--stage.feeders_open != 0) return;
  wait_for_no_company(stage);
  close_if_drained(stage);
}

// A stage with nothing inside and nothing to come ends, and so those behind it may.
void engine::implementation::close_if_drained(stage_run& stage) {
  if (!stage.upstream_done() || stage.inside != 0 || stage.input.closed()) return;
  stage.input.close();
  stage.due_arrived.set();
  staff_moved_.set();
  for (stage_run* next : stage.feeds) upstream_ended(*next);
}

}  // namespace brigade
