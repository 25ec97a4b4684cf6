// Batches of items into the sink, and what the sink says of each.
#include "pipeline/engine_state.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <iterator>

namespace brigade {

using namespace std::chrono_literals;
using detail::item;
using detail::run_phase;

namespace {
constexpr auto write_shield = 24h;
constexpr auto outage_retry_min = 200ms;
constexpr auto outage_retry_max = 10s;
}  // namespace

task<> engine::implementation::deliver() {
  stage_run& stage = *stages_.back();
  std::vector<item*>& batch = stage.slots.front().children;
  for (;;) {
    co_await gather_batch(batch);
    if (batch.empty()) co_return;
    while (!batch.empty()) {
      if (sink_pauses_until_) {
        co_await sleep_until(*std::exchange(sink_pauses_until_, std::nullopt));
      }
      co_await write_batch(batch);
    }
  }
}

// In order, behind an item that was returned or holds its key, it has its outcome already.
[[gnu::always_inline]] inline void engine::implementation::add_to_batch(std::vector<item*>& batch,
                                                                        item& work) {
  if (work.order != nullptr) [[unlikely]] {
    if (settled_by_cut(*stages_.back(), work)) return;
  }
  batch.push_back(&work);
}

// At least one item, at most a batch; waits for more only while more may come.
task<> engine::implementation::gather_batch(std::vector<item*>& batch) {
  stage_run& stage = *stages_.back();
  {
    while (batch.empty()) {
      auto first = co_await stage.input.take();
      if (!first) co_return;
      add_to_batch(batch, **first);
    }
  }
  if (sink_rate_) co_await sink_rate_->acquire();
  loop_->refresh_now();
  const detail::time_point flush_at = loop_->now() + plan.sink_rules.batch_age_max;
  const std::size_t full = plan.sink_rules.batch_items_max;
  while (batch.size() < full) {
    if (!stage.input.empty()) {
      if (sink_rate_ && !sink_rate_->try_acquire()) co_return;
      auto next = stage.input.try_take();
      add_to_batch(batch, ***next);
      continue;
    }
    if (!company_may_come()) co_return;
    loop_->refresh_now();
    if (loop_->now() >= flush_at) co_return;
    const bool came = co_await wait_for_company(batch, flush_at - loop_->now());
    if (!came) co_return;
    if (sink_rate_) co_await sink_rate_->acquire();
  }
}

task<bool> engine::implementation::wait_for_company(std::vector<item*>& batch,
                                                    std::chrono::nanoseconds within) {
  deadline_scope patience(within);
  const detail::lent_scope lent(company_scope_, patience);
  auto next = co_await stages_.back()->input.take(on_cancel::end);
  if (!next) co_return false;
  add_to_batch(batch, **next);
  co_return true;
}

// Not in a drain, not behind the source's end, and not when all that the window lets in is here.
bool engine::implementation::company_may_come() const {
  if (phase_ != run_phase::running || stages_.back()->upstream_done) return false;
  if (!stages_.back()->parked.empty()) return false;  // their turn comes when this is written
  if (window_open()) return true;
  return std::any_of(stages_.begin(), std::prev(stages_.end()),
                     [](const auto& stage) { return stage->inside != 0; });
}

// With an item there the batch is about to go on by itself, and sees why it should not wait.
void engine::implementation::wait_for_no_company() {
  const bool waits = company_scope_ != nullptr && stages_.back()->input.empty();
  if (waits) company_scope_->cancel("nobody comes any more");
}

task<> engine::implementation::write_batch(std::vector<item*>& batch) {
  if (end_to_end_) measure_batch(*stages_.back(), batch);
  for (item* work : batch) {
    if (work->tries++ != 0) stages_.back()->count_retry(*work);
  }
  std::optional<write_result> result = co_await write_once(batch);
  if (!result) {
    for (item* work : batch) --work->tries;
    co_return;
  }
  if (outage_since_) notice("sink '" + plan.sink_name + "' is back");
  outage_since_.reset();
  if (end_to_end_) measure_delivered(batch, *result);
  sort_out(batch, std::move(*result));
}

// Nothing when the sink was down: the batch is as it was, and some time has passed.
task<std::optional<write_result>> engine::implementation::write_once(
    const std::vector<item*>& batch) {
  std::vector<sink_item> rows;
  rows.reserve(batch.size());
  for (const item* work : batch) rows.push_back(sink_item{work->id(), work->key, &work->value});
  std::vector<partition_mark> marks;
  if (plan.to->transactional()) marks = marks_with(batch);
  std::string down;
  try {
    auto write = plan.to->write(rows, marks);
    if (plan.sink_rules.attempt_timeout.count() != 0) {
      write = timeout(plan.sink_rules.attempt_timeout, std::move(write));
    }
    // Out of reach of the stop, which destroys it when it does not end in its grace.
    auto whole = shielded(write_shield, std::move(write));
    writing_ = true;
    write_begun_ = loop_->now();
    write_result result = co_await std::move(whole);
    writing_ = false;
    fault_point("after_sink_commit");
    co_return result;
  } catch (const sink_down& outage) {
    down = outage.what();
  } catch (const timed_out& late) {
    down = late.what();
  }
  writing_ = false;
  co_await wait_out_outage(down);
  co_return std::nullopt;
}

task<> engine::implementation::wait_out_outage(const std::string& error) {
  loop_->refresh_now();
  outage_ = error;
  if (!outage_since_) {
    outage_since_ = loop_->now();
    notice("sink '" + plan.sink_name + "' is down, intake pauses: " + error);
  }
  const auto down_for = loop_->now() - *outage_since_;
  if (plan.rules.give_up_after.count() != 0 && down_for >= plan.rules.give_up_after) {
    stop_now(1, "sink '" + plan.sink_name + "' was down for too long: " + error);
  }
  const auto pause =
      std::clamp<std::chrono::nanoseconds>(down_for / 2, outage_retry_min, outage_retry_max);
  co_await sleep_for(pause);
}

// Leaves in `batch` what is to be written again at once.
void engine::implementation::sort_out(std::vector<item*>& batch, write_result result) {
  stage_run& stage = *stages_.back();
  BRIGADE_ASSERT(result.failures.size() == batch.size(), "a sink answered for too few items");
  const bool any_failed = std::any_of(result.failures.begin(), result.failures.end(),
                                      [](const auto& entry) { return entry.has_value(); });
  const bool rolled_back = any_failed && plan.to->transactional();
  if (rolled_back && plan.rules.order != item_order::none) {
    sort_out_in_order(batch, result);
    return;
  }
  worker_report& worker = stage.workers.front();
  std::vector<item*> again;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    item& work = *batch[i];
    if (result.failures[i]) continue;
    if (rolled_back) {
      again.push_back(&work);
      --work.tries;
    } else {
      ++worker.items;
      settle(work, outcome::delivered, stage.name, {});
    }
  }
  if (!rolled_back) flush(std::move(result.token));
  std::vector<item*> failed;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (result.failures[i]) failed.push_back(batch[i]);
  }
  batch = std::move(again);
  std::size_t at = 0;
  for (const auto& why : result.failures) {
    if (why) attempt_failed(stage, *failed[at++], 0, *why);
  }
}

// Nothing was written. Who failed and is to be tried again stays in its place, and all behind it
// wait for that.
void engine::implementation::sort_out_in_order(std::vector<item*>& batch,
                                               const write_result& result) {
  stage_run& stage = *stages_.back();
  std::vector<item*> again;
  held_back_ = &again;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    item& work = *batch[i];
    if (settled_by_cut(stage, work)) continue;  // also one that failed, behind one that ended here
    if (result.failures[i]) {
      attempt_failed(stage, work, 0, *result.failures[i]);
    } else {
      again.push_back(&work);
      --work.tries;
    }
  }
  held_back_ = nullptr;
  batch = std::move(again);
}

// What is finished durably, what the sink has though the journal cannot say so yet, and the batch.
std::vector<partition_mark> engine::implementation::marks_with(
    const std::vector<item*>& batch) const {
  std::vector<std::vector<std::uint64_t>> slots(partitions_.size());
  std::vector<std::vector<watermark::slot_part>> parts(partitions_.size());
  const auto add = [&](std::uint32_t partition, std::uint64_t slot, bool child,
                       const std::string& part) {
    if (child) {
      parts[partition].push_back({slot, part});
    } else {
      slots[partition].push_back(slot);
    }
  };
  const auto add_written = [&](const std::vector<detail::journaled::entry>& entries) {
    for (const detail::journaled::entry& entry : entries) {
      if (!entry.in_sink) continue;
      add(entry.partition, entry.slot, entry.child, entry.part);
    }
  };
  for (const detail::journaled& waiting : in_journal_) add_written(waiting.entries);
  add_written(outbox_entries_);
  for (const item* work : batch) add(work->partition, work->slot, work->is_child(), work->part);
  std::vector<partition_mark> marks;
  for (std::size_t n = 0; n < partitions_.size(); ++n) {
    mark at = watermarks_[n].at_with(slots[n], parts[n]);
    if (finished_before_[n]) at = mark::merge(*finished_before_[n], at);
    marks.push_back({partitions_[n], std::move(at)});
  }
  return marks;
}

}  // namespace brigade
