// When a stage may start its next item: at its rate, and not while it pauses.
//
// Workers take turns, and who has the turn takes an item and waits with it in hand. So all others
// stay in the queue, where what is urgent can still come first, until there is leave to start them.
#include "pipeline/engine_state.hpp"

#include <brigade/async/timeout.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace brigade {

using namespace std::chrono_literals;
using detail::stage_guard;
using detail::work_slot;

namespace {
constexpr auto probe_every = 30s;
constexpr std::chrono::nanoseconds burst_span = 50ms;

std::string percent(double share) { return fmt::format("{:g}%", share * 100); }

}  // namespace

namespace detail {

void set_rate(std::optional<limiter>& rate, const rate_limit& how, const std::string& of) {
  if (how.items == 0) return;
  const auto span = static_cast<double>(burst_span.count()) / static_cast<double>(how.per.count());
  const auto burst = static_cast<std::int64_t>(static_cast<double>(how.items) * span);
  rate.emplace(how.items, how.per, std::max<std::int64_t>(burst, 1), "the rate of '" + of + "'");
}

std::uint64_t stage_run::results() const {
  std::uint64_t count = settled[static_cast<std::size_t>(outcome::dead_lettered)];
  for (const worker_report& each : workers) count += each.items - each.failed;
  return count;
}

}  // namespace detail

void engine::implementation::set_guard(stage_run& stage) {
  const stage_policy& policy = stage.policy;
  if (policy.rate.items == 0 && policy.failure != on_error::tolerate) return;
  stage.guard = std::make_unique<stage_guard>();
  detail::set_rate(stage.guard->rate, policy.rate, stage.name);
}

// The next item is in the slot, or none: the queue is closed and empty.
task<> engine::implementation::take_guarded(stage_run& stage, work_slot& own) {
  if (!stage.guard) {
    co_await take_into(stage, own);
    co_return;
  }
  stage_guard& guard = *stage.guard;
  if (std::exchange(own.probing, false)) reopen(stage);
  check_budget(stage, {});
  auto turn = co_await guard.turn.lock();
  co_await take_into(stage, own);
  if (own.current == nullptr) co_return;
  while (guard.paused && !own.probing) co_await wait_out_pause(stage, own);
  if (guard.rate) co_await guard.rate->acquire();
}

task<> engine::implementation::take_into(stage_run& stage, work_slot& own) {
  auto ticket = co_await stage.input.take();
  if (!ticket) co_return;
  own.current = *ticket;
  ticket.done();
}

task<> engine::implementation::wait_out_pause(stage_run& stage, work_slot& own) {
  stage_guard& guard = *stage.guard;
  loop_->refresh_now();
  if (loop_->now() >= guard.next_probe) {
    guard.next_probe = loop_->now() + probe_every;
    own.probing = true;
    co_return;
  }
  deadline_scope until(guard.next_probe - loop_->now());
  try {
    co_await guard.goes_on.wait();
  } catch (const cancelled&) {
    if (!until.caused_cancellation()) throw;
    until.cancellation_ended();
  }
}

// An item has failed for good.
void engine::implementation::charge_budget(stage_run& stage, const std::string& why) {
  stage_guard& guard = *stage.guard;
  guard.failures.push_back(stage.results());
  check_budget(stage, why);
}

// Also with no new failure: when there are enough results at last to judge by.
void engine::implementation::check_budget(stage_run& stage, const std::string& why) {
  stage_guard& guard = *stage.guard;
  if (guard.failures.empty() || guard.paused) return;
  const error_budget& budget = stage.policy.budget;
  const std::uint64_t results = stage.results() - guard.forgiven;
  std::string spent;
  if (budget.count != 0) {
    if (guard.failures.size() <= budget.count) return;
    spent =
        fmt::format("{} items failed, and {} are tolerated", guard.failures.size(), budget.count);
  } else {
    while (!guard.failures.empty() &&
           guard.failures.front() + error_budget::results_max <= stage.results()) {
      guard.failures.pop_front();
    }
    const std::uint64_t window = std::min(results, error_budget::results_max);
    const auto failed = static_cast<double>(guard.failures.size());
    if (window < error_budget::results_min) return;
    if (failed <= budget.share * static_cast<double>(window)) return;
    spent = fmt::format("{} of the last {} items failed, and {} are tolerated",
                        guard.failures.size(), window, percent(budget.share));
  }
  budget_is_spent(stage, spent, why);
}

void engine::implementation::budget_is_spent(stage_run& stage, const std::string& spent,
                                             const std::string& why) {
  const std::string last = why.empty() ? "" : "; " + why;
  if (stage.policy.budget.then == error_budget::spent::stop) {
    stop_now(4, "stage '" + stage.name + "': " + spent + last);
    return;
  }
  stage_guard& guard = *stage.guard;
  guard.paused = true;
  guard.goes_on.clear();
  loop_->refresh_now();
  guard.paused_since = loop_->now();
  guard.paused_by = spent + last;
  guard.next_probe = loop_->now() + probe_every;
  notice("stage '" + stage.name + "' pauses, and tries one item every 30 s: " + spent + last);
}

void engine::implementation::reopen(stage_run& stage) {
  stage_guard& guard = *stage.guard;
  if (!std::exchange(guard.paused, false)) return;
  guard.failures.clear();
  guard.forgiven = stage.results();
  guard.goes_on.set();
  notice("stage '" + stage.name + "' goes on: an item got through");
}

}  // namespace brigade
