// Batches of items into the sink, and what the sink says of each.
#include "pipeline/engine_state.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <iterator>

namespace brigade {

using namespace std::chrono_literals;
using detail::item;
using detail::run_phase;
using detail::sink_end;

namespace {
constexpr auto write_shield = 24h;
constexpr auto outage_retry_min = 200ms;
constexpr auto outage_retry_max = 10s;
}  // namespace

task<> engine::implementation::deliver(stage_run& stage) {
  std::vector<item*>& batch = stage.slots.front().children;
  for (;;) {
    co_await gather_batch(stage, batch);
    if (batch.empty()) co_return;
    while (!batch.empty()) {
      if (stage.end->pauses_until) {
        co_await sleep_until(*std::exchange(stage.end->pauses_until, std::nullopt));
      }
      co_await write_batch(stage, batch);
    }
  }
}

// In order, behind an item that was returned or holds its key, it has its outcome already.
[[gnu::always_inline]] inline void engine::implementation::add_to_batch(stage_run& stage,
                                                                        std::vector<item*>& batch,
                                                                        item& work) {
  if (work.order != nullptr) [[unlikely]] {
    if (settled_by_cut(stage, work)) return;
  }
  batch.push_back(&work);
}

namespace {

/// Says when a batch is full. What an item weighs is asked only where there is a limit.
class batch_limit {
 public:
  explicit batch_limit(const sink_policy& rules) : rules_(rules) {}
  [[nodiscard]] bool reached(const std::vector<item*>& batch) {
    if (batch.size() >= rules_.batch_items_max) return true;
    if (rules_.batch_bytes_max == 0) return false;
    for (; weighed_ < batch.size(); ++weighed_) bytes_ += batch[weighed_]->value.bytes();
    return bytes_ >= rules_.batch_bytes_max;
  }

 private:
  const sink_policy& rules_;
  std::size_t weighed_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace

// At least one item, at most a batch; waits for more only while more may come.
task<> engine::implementation::gather_batch(stage_run& stage, std::vector<item*>& batch) {
  sink_end& end = *stage.end;
  while (batch.empty()) {
    auto first = co_await stage.input.take();
    if (!first) co_return;
    add_to_batch(stage, batch, **first);
  }
  if (end.rate) co_await end.rate->acquire();
  loop_->refresh_now();
  const detail::time_point flush_at = loop_->now() + end.rules.batch_age_max;
  batch_limit limit(end.rules);
  while (!limit.reached(batch)) {
    if (!stage.input.empty()) {
      if (end.rate && !end.rate->try_acquire()) co_return;
      auto next = stage.input.try_take();
      add_to_batch(stage, batch, ***next);
      continue;
    }
    item* const came = co_await wait_for_company(stage, flush_at);
    if (came == nullptr) co_return;
    add_to_batch(stage, batch, *came);
    if (end.rate) co_await end.rate->acquire();
  }
}

task<> engine::implementation::write_batch(stage_run& stage, std::vector<item*>& batch) {
  if (end_to_end_) measure_batch(stage, batch);
  for (item* work : batch) {
    if (work->tries++ != 0) stage.count_retry(*work);
  }
  std::optional<write_result> result = co_await write_once(stage, batch);
  if (!result) {
    for (item* work : batch) --work->tries;
    co_return;
  }
  if (stage.end->outage_since) notice("sink '" + stage.name + "' is back");
  stage.end->outage_since.reset();
  if (end_to_end_) measure_delivered(stage, batch, *result);
  sort_out(stage, batch, std::move(*result));
}

// Nothing when the sink was down: what is left of the batch is as it was, and some time has passed.
task<std::optional<write_result>> engine::implementation::write_once(stage_run& stage,
                                                                     std::vector<item*>& batch) {
  sink_end& end = *stage.end;
  std::vector<sink_item> rows;
  rows.reserve(batch.size());
  for (const item* work : batch) {
    rows.push_back(stage.wants_names ? sink_item{work->id(), work->key(), &work->value}
                                     : sink_item{{}, {}, &work->value});
  }
  std::vector<partition_mark> marks;
  if (end.to->transactional()) marks = marks_with(stage, batch);
  const std::size_t forgotten = end.forgotten.size();
  std::string down;
  try {
    auto write = end.to->write(rows, marks);
    if (end.rules.attempt_timeout.count() != 0) {
      write = timeout(end.rules.attempt_timeout, std::move(write));
    }
    // Out of reach of the stop, which destroys it when it does not end in its grace.
    auto whole = shielded(write_shield, std::move(write));
    end.writing = true;
    end.write_begun = loop_->now();
    write_result result = co_await std::move(whole);
    end.writing = false;
    if (std::ranges::none_of(result.failures, [](const auto& why) { return why.has_value(); })) {
      end.forgotten.erase(end.forgotten.begin(),
                          end.forgotten.begin() + static_cast<std::ptrdiff_t>(forgotten));
    }
    fault_point("after_sink_commit");
    co_return result;
  } catch (const sink_down& outage) {
    down = outage.what();
  } catch (const timed_out& late) {
    down = late.what();
  }
  end.writing = false;
  co_await wait_out_outage(stage, batch, down);
  co_return std::nullopt;
}

task<> engine::implementation::wait_out_outage(stage_run& stage, std::vector<item*>& batch,
                                               const std::string& error) {
  sink_end& end = *stage.end;
  loop_->refresh_now();
  end.outage = error;
  if (!end.outage_since) {
    end.outage_since = loop_->now();
    notice("sink '" + stage.name + "' is down, " +
           (end.required ? "intake pauses: " : "what waits for it will be dropped: ") + error);
  }
  const auto down_for = loop_->now() - *end.outage_since;
  if (!end.required && (down_for >= optional_patience || phase_ != run_phase::running)) {
    drop_batch(stage, batch, error);
    co_return;
  }
  const bool gives_up = end.required && plan.rules.give_up_after.count() != 0;
  if (gives_up && down_for >= plan.rules.give_up_after) {
    stop_now(1, "sink '" + stage.name + "' was down for too long: " + error);
  }
  const auto pause =
      std::clamp<std::chrono::nanoseconds>(down_for / 2, outage_retry_min, outage_retry_max);
  co_await sleep_for(pause);
}

void engine::implementation::drop_batch(stage_run& stage, std::vector<item*>& batch,
                                        const std::string& error) {
  for (item* work : std::exchange(batch, {})) {
    settle(*work, outcome::dropped, stage.name, "the sink is down: " + error);
  }
}

// Leaves in `batch` what is to be written again at once.
void engine::implementation::sort_out(stage_run& stage, std::vector<item*>& batch,
                                      write_result result) {
  BRIGADE_ASSERT(result.failures.size() == batch.size(), "a sink answered for too few items");
  const bool any_failed = std::any_of(result.failures.begin(), result.failures.end(),
                                      [](const auto& entry) { return entry.has_value(); });
  const bool rolled_back = any_failed && stage.end->to->transactional();
  if (rolled_back && plan.rules.order != item_order::none) {
    sort_out_in_order(stage, batch, result);
    return;
  }
  worker_report& worker = stage.workers.front();
  outbox_entries_.reserve(outbox_entries_.size() + batch.size());
  std::vector<item*> again;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    item& work = *batch[i];
    if (result.failures[i]) continue;
    if (rolled_back) {
      again.push_back(&work);
      --work.tries;
    } else {
      worker.items += work.weight;
      settle(work, outcome::delivered, stage.name, {});
    }
  }
  if (!rolled_back) flush({stage.name, std::move(result.token)});
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
void engine::implementation::sort_out_in_order(stage_run& stage, std::vector<item*>& batch,
                                               const write_result& result) {
  std::vector<item*> again;
  stage.end->held_back = &again;
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
  stage.end->held_back = nullptr;
  batch = std::move(again);
}

// What is finished durably, what this sink has though the journal cannot say so yet, and the batch.
// What only another sink has does not count: that one may lose it yet, or say so itself.
std::vector<partition_mark> engine::implementation::marks_with(
    const stage_run& stage, const std::vector<item*>& batch) const {
  std::vector<std::vector<std::uint64_t>> slots(partitions_.size());
  std::vector<std::vector<watermark::slot_part>> parts(partitions_.size());
  const auto add = [&](std::uint32_t partition, std::uint64_t slot, const std::string* part) {
    if (part != nullptr) {
      parts[partition].push_back({slot, *part});
    } else {
      slots[partition].push_back(slot);
    }
  };
  const auto add_written = [&](const std::vector<detail::journaled::entry>& entries) {
    for (const detail::journaled::entry& entry : entries) {
      if (entry.in_sink != stage.index) continue;
      add(entry.partition, entry.slot, entry.part.get());
    }
  };
  const auto add_item = [&](const item& work, const auto& itself) -> void {
    if (work.joined != nullptr) {
      for (const item* member : work.joined->members) itself(*member, itself);
    } else if (work.is_accounted()) {
      add(work.partition, work.slot, work.is_child() ? &work.part : nullptr);
    }
  };
  for (const detail::journaled& waiting : in_journal_) add_written(waiting.entries);
  add_written(outbox_entries_);
  for (const item* work : batch) add_item(*work, add_item);
  std::vector<partition_mark> marks;
  for (std::size_t n = 0; n < partitions_.size(); ++n) {
    if (partitions_[n].empty()) continue;
    mark at = watermarks_[n].at_with(slots[n], parts[n]);
    if (finished_before_[n]) at = mark::merge(*finished_before_[n], at);
    marks.push_back({partitions_[n], std::move(at)});
  }
  for (const std::string& name : stage.end->forgotten) marks.push_back({name, {}, true});
  return marks;
}

}  // namespace brigade
