// How a run goes, for a status board: taken when somebody asks, off the items' way.
#include "pipeline/engine_state.hpp"

#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/timeout.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>

namespace brigade {

using namespace std::chrono_literals;
using detail::item;
using detail::run_phase;

namespace {

constexpr auto beat_every = 1s;
// Of a sink's batch.
constexpr std::size_t measured_of_batch = 16;

// Grows whenever a stage has come to an end with something. What only arrives moves nothing.
std::uint64_t work_done(const detail::stage_run& stage) {
  std::uint64_t done = stage.passed;
  for (const std::uint64_t count : stage.settled) done += count;
  for (const worker_report& each : stage.workers) done += each.items + each.failed;
  return done;
}

}  // namespace

void engine::implementation::show_on_board() {
  end_to_end_ = std::make_unique<time_histogram>();
  for (auto& stage : stages_) stage->meter = std::make_unique<detail::stage_meter>();
  plan.observer.board->attach(*loop_, [this] { return status(); });
}

void engine::implementation::leave_board() noexcept {
  try {
    plan.observer.board->detach(status());
  } catch (const std::exception&) {
    // No memory for the last word. The board must not ask who is gone.
    plan.observer.board->detach(run_status{});
  }
}

task<> engine::implementation::keep_board() {
  for (;;) {
    look_for_progress();
    plan.observer.board->beat();
    co_await sleep_for(beat_every);
  }
}

void engine::implementation::look_for_progress() {
  std::uint64_t done = taken_ - window_items_;  // finished durably
  for (const auto& stage : stages_) done += work_done(*stage);
  if (progressed_at_ && done == progress_seen_ && is_pending()) return;
  progress_seen_ = done;
  progressed_at_ = loop_->now();
}

bool engine::implementation::is_pending() const {
  return window_items_ != 0 || !in_hand_.empty() || arriving_ != nullptr;
}

double engine::implementation::seconds_since(detail::time_point then) const {
  return std::max(0.0, std::chrono::duration<double>(loop_->now() - then).count());
}

void engine::implementation::measure_batch(const stage_run& stage,
                                           const std::vector<item*>& batch) {
  const detail::time_point now = loop::current().now();
  const std::size_t step = std::max<std::size_t>(batch.size() / measured_of_batch, 1);
  for (std::size_t i = 0; i < batch.size(); i += step) {
    if (batch[i]->tries == 0) stage.meter->queue_wait.add(now - batch[i]->came_here());
  }
}

void engine::implementation::measure_delivered(const stage_run& stage,
                                               const std::vector<item*>& batch,
                                               const write_result& result) {
  loop_->refresh_now();
  stage.meter->work.add(loop_->now() - stage.end->write_begun);
  const std::size_t step = std::max<std::size_t>(batch.size() / measured_of_batch, 1);
  for (std::size_t i = 0; i < std::min(batch.size(), result.failures.size()); i += step) {
    if (!result.failures[i]) end_to_end_->add(loop_->now() - batch[i]->taken);
  }
}

status_phase engine::implementation::phase_now() const {
  if (is_over_) return status_phase::ended;
  switch (phase_) {
    case run_phase::running:
      return work_group_ == nullptr ? status_phase::starting : status_phase::running;
    case run_phase::draining:
      return status_phase::draining;
    case run_phase::stopping:
      return status_phase::stopping;
    case run_phase::closing:
      return status_phase::closing;
  }
  return status_phase::ended;
}

run_status engine::implementation::status() {
  run_status now;
  now.pipeline = plan.name;
  if (loop_ == nullptr) return now;  // not begun
  look_for_progress();
  now.phase = phase_now();
  now.seconds = seconds_since_start();
  now.taken = taken_;
  now.settled = settled_;
  now.in_flight = taken_ - std::accumulate(settled_.begin(), settled_.end(), std::uint64_t{0});
  now.settled_at_source = settled_at_source_;
  for (const auto& stage : stages_) {
    now.stages.push_back(status_of(*stage));
    now.attempt_timeout_max = std::max(now.attempt_timeout_max, stage->policy.attempt_timeout);
  }
  if (!live_.empty()) {  // in the order they were taken
    const item& oldest = *static_cast<const item::hook*>(live_.front())->self;
    now.oldest_item = oldest.id();
    now.oldest_seconds = seconds_since(oldest.taken);
  }
  if (end_to_end_) now.end_to_end = *end_to_end_;
  now.window_items = window_items_;
  now.window_items_max = plan.rules.window_items_max;
  now.window_bytes = window_bytes_;
  now.window_bytes_max = plan.rules.window_bytes_max;
  if (const auto total = plan.from->size_total()) {
    const std::uint64_t done = look().units_done;
    now.source_lag = *total - std::min(done, *total);
  }
  now.tasks = loop_->task_count();
  now.connections = connections();
  now.pauses = pauses();
  if (is_pending()) now.stalled = seconds_since(*progressed_at_);
  now.waits_because = why_nothing_moves(now);
  now.error = stop_reason_;
  return now;
}

stage_status engine::implementation::status_of(const stage_run& stage) const {
  stage_status line;
  line.name = stage.name;
  line.is_sink = stage.is_sink();
  line.in = stage.in;
  line.born = stage.born;
  line.passed = stage.passed;
  line.settled = stage.settled;
  line.in_flight = stage.walk();
  line.retrying = stage.walk_retries();
  line.parked = stage.parked.size();
  line.retries = stage.retries_by_reason;
  line.queue_items = stage.input.size();
  line.queue_capacity = stage.policy.queue_items_max;
  // As many as there should be; or more, while some are on their way out, or replace hung ones.
  const auto is_here = [](const detail::work_slot& slot) {
    const bool works = slot.worker && !slot.worker->done();
    return works || slot.current != nullptr || !slot.children.empty();
  };
  line.workers =
      std::max(static_cast<std::size_t>(stage.wanted) * static_cast<std::size_t>(stage.per_worker),
               static_cast<std::size_t>(std::ranges::count_if(stage.slots, is_here)));
  const auto waits = [](const auto& rate) { return rate && rate->statistics().line.waiting != 0; };
  line.waits_for_rate =
      line.is_sink ? waits(stage.end->rate) : stage.guard && waits(stage.guard->rate);
  if (stage.meter) {
    line.push_blocked_seconds = std::chrono::duration<double>(stage.meter->blocked).count();
    line.work = stage.meter->work;
    line.queue_wait = stage.meter->queue_wait;
  }
  if (line.is_sink) {
    add_write(stage, line);
  } else {
    add_workers(stage, line);
  }
  return line;
}

void engine::implementation::add_workers(const stage_run& stage, stage_status& line) const {
  struct holder {
    std::size_t slot;
    const item* held;
  };
  std::vector<holder> busy;
  for (std::size_t at = 0; at < stage.slots.size(); ++at) {
    const detail::work_slot& slot = stage.slots[at];
    const item* held = slot.current;
    if (held == nullptr && !slot.children.empty()) held = slot.children.front();
    if (held != nullptr) busy.push_back({at, held});
  }
  line.busy_workers = busy.size();
  const auto shown = std::min(busy.size(), stage_status::busy_max);
  std::partial_sort(
      busy.begin(), std::next(busy.begin(), static_cast<std::ptrdiff_t>(shown)), busy.end(),
      [](const holder& a, const holder& b) { return a.held->came_here() < b.held->came_here(); });
  busy.resize(shown);
  for (const auto& [at, held] : busy) {
    worker_status one;
    one.slot = static_cast<int>(at);
    one.item = held->id();
    one.attempt = std::max(held->tries, 1);
    one.seconds = seconds_since(held->came_here());
    const auto& worker = stage.slots[at].worker;
    if (worker && !worker->done()) {
      const detail::waiter* wait = task_handle<>(*worker).record().waiting_on();
      if (wait != nullptr) one.waits_for = wait->describe();
    }
    line.busy.push_back(std::move(one));
  }
}

void engine::implementation::add_write(const stage_run& stage, stage_status& line) const {
  const std::vector<item*>& batch = stage.slots.front().children;
  if (!stage.end->writing || batch.empty()) return;
  worker_status write;
  write.item = batch.front()->id();
  write.items = batch.size();
  write.attempt = std::max(batch.front()->tries, 1);
  write.seconds = seconds_since(stage.end->write_begun);
  line.busy_workers = 1;
  line.busy.push_back(std::move(write));
}

std::string engine::implementation::why_closed() const {
  const bool full =
      window_items_ >= plan.rules.window_items_max || window_bytes_ >= plan.rules.window_bytes_max;
  return full ? "the window is full" : "outcomes wait for their reader";
}

std::vector<connection_status> engine::implementation::connections() const {
  std::vector<connection_status> result;
  connection_status from;
  from.name = plan.source_name;
  if (source_ended_) {
    from.state = "at_end";
  } else if (phase_ != run_phase::running) {
    from.state = "stopped";
  } else if (!window_open() || arriving_ != nullptr) {
    from.state = "waiting";
    from.text = window_open() ? "for room in the first queue" : why_closed();
  } else {
    from.state = "reading";
  }
  result.push_back(std::move(from));
  for (const auto& stage : stages_) {
    if (!stage->is_sink()) continue;
    const detail::sink_end& end = *stage->end;
    connection_status to;
    to.name = stage->name;
    to.is_sink = true;
    to.state = end.outage_since ? "down" : "up";
    if (end.outage_since) to.text = end.outage;
    result.push_back(std::move(to));
  }
  return result;
}

std::vector<pause_status> engine::implementation::pauses() const {
  std::vector<pause_status> result;
  const auto add = [&](std::string_view reason, const std::string& where, std::string text,
                       double seconds) {
    pause_status pause;
    pause.reason = reason;
    pause.where = where;
    pause.text = std::move(text);
    pause.seconds = seconds;
    result.push_back(std::move(pause));
  };
  for (const auto& stage : stages_) {
    if (!stage->is_sink() || !stage->end->outage_since) continue;
    add("sink_down", stage->name, "sink '" + stage->name + "' is down: " + stage->end->outage,
        seconds_since(*stage->end->outage_since));
    result.back().stops_intake = stage->end->required;
  }
  if (!journal_full_.empty()) {
    const bool letters = journal_full_.find("dead letters") != std::string::npos;
    add(letters ? "dead_letters_full" : "ledger_full", {}, journal_full_,
        seconds_since(journal_full_since_));
  }
  for (const auto& stage : stages_) {
    if (!stage->guard || !stage->guard->paused) continue;
    add("error_budget", stage->name, "stage '" + stage->name + "': " + stage->guard->paused_by,
        seconds_since(stage->guard->paused_since));
  }
  if (phase_ == run_phase::running && !source_ended_ && !window_open()) {
    add("backpressure", {}, why_closed(), 0);
    result.back().stops_intake = false;
  }
  return result;
}

// Only what cannot go on by itself, or not before its time.
std::string engine::implementation::why_nothing_moves(const run_status& now) const {
  for (const pause_status& pause : now.pauses) {
    if (pause.stops_intake) return pause.text;
  }
  for (const stage_status& stage : now.stages) {
    if (stage.waits_for_rate) return "the rate of '" + stage.name + "'";
  }
  for (const auto& stage : stages_) {
    const std::string what = (stage->is_sink() ? "sink '" : "stage '") + stage->name + "'";
    if (stage->company != nullptr) return "the batch of " + what + " is not full";
    const bool pauses = stage->is_sink() && stage->end->pauses_until;
    if (pauses) return what + " waits for the retry of an item";
  }
  std::uint64_t waiting = 0;
  std::uint64_t inside = 0;
  for (const stage_status& stage : now.stages) {
    waiting += stage.retrying + stage.parked;
    inside += stage.in_flight;
  }
  if (waiting != 0 && waiting == inside) return "all items wait for their next attempt";
  return {};
}

}  // namespace brigade
