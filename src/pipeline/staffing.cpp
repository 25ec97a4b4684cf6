// Who works at a stage: workers that come and go while it runs, and hung ones that are replaced.
//
// One task looks at all stages now and then, and another one, of the work, brings workers in and
// sends them off: those are no background then, as the first one is. A worker goes between two
// items: one that waits for an item is cancelled in that wait, where the queue keeps what it was
// promised; one with an item in hand is told, and goes when it looks. A worker's number is given
// again, so there are never more numbers than workers at once.
//
// A hung item stays where it is, in its slot and in the account. Its worker counts no more, so that
// another comes; when it ends after all, its result counts, and one worker is too many.
#include "pipeline/engine_state.hpp"

#include <brigade/async/timeout.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace brigade {

using namespace std::chrono_literals;
using detail::presence;
using detail::run_phase;
using detail::work_slot;

namespace {

constexpr std::chrono::nanoseconds look_min = 10ms;
constexpr std::chrono::nanoseconds look_max = 1h;
constexpr std::size_t named_max = 8;  // hung items, at one look

std::chrono::nanoseconds hung_limit(const stage_policy& policy) {
  if (policy.hung_after == stage_policy::hung_never) return look_max * 24 * 365;
  if (policy.hung_after.count() != 0) return policy.hung_after;
  return std::max(stage_policy::hung_notice_default, 2 * policy.attempt_timeout);
}

std::string in_words(std::chrono::nanoseconds span) {
  const double seconds = std::chrono::duration<double>(span).count();
  return seconds < 120 ? fmt::format("{:.1f} s", seconds) : fmt::format("{:.1f} min", seconds / 60);
}

std::string named(const detail::item& work) {
  std::string text(work.id());
  if (!work.business_id.empty()) text += " (" + work.business_id + ")";
  return text;
}

bool has_gone(const work_slot& slot) { return !slot.worker || slot.worker->done(); }

std::vector<work_slot*> hands_of(detail::stage_run& stage, std::size_t id) {
  std::vector<work_slot*> hands;
  const auto per_worker = static_cast<std::size_t>(stage.per_worker);
  for (std::size_t n = 0; n < per_worker; ++n) hands.push_back(&stage.slots[id * per_worker + n]);
  return hands;
}

bool replaces(const stage_policy& policy) {
  return policy.hung_after.count() != 0 && policy.hung_after != stage_policy::hung_never;
}

// Their hung items, in workers; of those who should be here.
int hung_workers(const detail::stage_run& stage) {
  const auto per_worker = static_cast<std::size_t>(stage.per_worker);
  std::size_t hung = 0;
  for (std::size_t n = 0; n < stage.slots.size(); ++n) {
    if (stage.slots[n].hung && stage.staff[n / per_worker] == presence::here) ++hung;
  }
  return static_cast<int>((hung + per_worker - 1) / per_worker);
}

// With nothing in hand it waits for an item, or for its turn to do so.
bool waits_for_an_item(const work_slot& slot) {
  if (slot.current != nullptr || !slot.children.empty() || has_gone(slot)) return false;
  return task_handle<>(*slot.worker).record().waiting_on() != nullptr;
}

}  // namespace

namespace detail {

void stage_run::add_worker() {
  workers.push_back(worker_report{static_cast<int>(workers.size()), 0, 0});
  staff.push_back(presence::away);
  slots.resize(workers.size() * static_cast<std::size_t>(per_worker));
}

void stage_run::set_workers(int least, int most) {
  policy.workers = wanted = least;
  policy.workers_max = most;
  scaler.reset();
  if (most > least) scaler.emplace(least, most);
}

}  // namespace detail

void engine::implementation::scale(std::string_view stage, int workers, int workers_max) {
  const auto found = std::ranges::find_if(
      stages_, [&](const auto& each) { return each->has_crew() && each->name == stage; });
  if (found == stages_.end()) {
    throw std::invalid_argument("pipeline '" + plan.name + "' has no stage '" + std::string(stage) +
                                "' whose workers could be changed");
  }
  if (workers < 1) throw std::invalid_argument("a stage has at least one worker");
  (*found)->set_workers(workers, workers_max);
  looks_changed_.set();
  staff_moved_.set();
}

// Ends when there is no more work.
task<> engine::implementation::keep_staffed() {
  const auto is_open = [](const auto& stage) {
    return stage->has_crew() && !stage->input.closed();
  };
  while (std::ranges::any_of(stages_, is_open)) {
    co_await staff_moved_.wait();
    staff_moved_.clear();
    for (auto& stage : stages_) {
      if (stage->has_crew()) co_await staff(*stage);
    }
  }
}

task<> engine::implementation::look_at_workers() {
  for (;;) {
    co_await wait_for_next_look();
    if (work_group_ == nullptr || phase_ >= run_phase::stopping) continue;
    for (auto& stage : stages_) {
      if (!stage->has_crew() || stage->input.closed()) continue;
      const bool hangs = look_for_hung(*stage);
      if (rescale(*stage) || hangs) staff_moved_.set();
    }
  }
}

task<> engine::implementation::wait_for_next_look() {
  loop_->refresh_now();
  looks_changed_.clear();
  detail::time_point next = loop_->now() + look_max;
  for (const auto& stage : stages_) {
    if (!stage->has_crew() || stage->input.closed()) continue;
    next = std::min(next, stage->hung_look);
    const bool scales = stage->scaler && !stage->immediate;
    if (scales) next = std::min(next, loop_->now() + detail::worker_scaler::look_every);
  }
  deadline_scope until(std::max<std::chrono::nanoseconds>(next - loop_->now(), look_min));
  try {
    co_await looks_changed_.wait();
  } catch (const cancelled&) {
    if (!until.caused_cancellation()) throw;
  }
  loop_->refresh_now();
}

// Work that never waits keeps its loop to itself: more workers have nothing to do there.
bool engine::implementation::rescale(stage_run& stage) {
  if (!stage.scaler || stage.immediate) return false;
  std::size_t busy = 0;
  std::size_t held_up = 0;
  for (const work_slot& slot : stage.slots) {
    if (slot.since != work_slot::never) {
      busy += slot.hung ? 0 : 1;
    } else if (slot.current != nullptr || !slot.children.empty()) {
      ++held_up;
    }
  }
  const auto per_worker = static_cast<std::size_t>(stage.per_worker);
  const std::size_t hands = static_cast<std::size_t>(stage.wanted) * per_worker;
  const queue_statistics queue = stage.input.statistics();
  detail::worker_scaler::sight seen;
  seen.now = loop_->now();
  for (const worker_report& each : stage.workers) seen.done += each.items - each.failed;
  // Those held up by what comes next, or by a rate, would only be more.
  seen.waiting = queue.size > queue.granted && held_up * 4 <= hands;
  seen.busy = static_cast<int>((busy + per_worker - 1) / per_worker);
  seen.workers = stage.workers;
  const int wanted = stage.scaler->look(seen);
  return std::exchange(stage.wanted, wanted) != wanted;
}

task<> engine::implementation::staff(stage_run& stage) {
  see_who_left(stage);
  if (stage.input.closed()) co_return;
  const auto target = static_cast<std::ptrdiff_t>(stage.wanted) + replacements(stage);
  std::ptrdiff_t here = std::ranges::count(stage.staff, presence::here);
  if (here < target) {
    std::erase_if(work_tasks_, [](const task_handle<>& each) { return each.done(); });
  }
  for (; here < target; ++here) {
    const std::size_t id = next_worker(stage);
    if (stage.staff[id] == presence::away) stage.body->worker_begins(static_cast<int>(id));
    bring_in(stage, id);
  }
  if (here == target) co_return;
  std::vector<task_handle<>> told;
  for (std::size_t id = stage.staff.size(); id > 0 && here > target; --id) {
    const std::vector<task_handle<>> cancelled = send_off(stage, id - 1);
    told.insert(told.end(), cancelled.begin(), cancelled.end());
    if (stage.staff[id - 1] == presence::leaving)
      here = std::ranges::count(stage.staff, presence::here);
  }
  for (const task_handle<>& each : told) {
    try {
      co_await each.join();
    } catch (const cancelled&) {
      if (loop_->running()->interrupted()) throw;
    }
  }
  see_who_left(stage);
}

// Who is on the way out is called back first; a number that is free comes before a new one.
std::size_t engine::implementation::next_worker(stage_run& stage) {
  for (const presence wanted : {presence::leaving, presence::away}) {
    for (std::size_t id = 0; id < stage.staff.size(); ++id) {
      const auto hands = hands_of(stage, id);
      const bool hangs = std::ranges::any_of(hands, [](const work_slot* own) { return own->hung; });
      if (stage.staff[id] == wanted && !hangs) return id;
    }
  }
  stage.add_worker();
  return stage.staff.size() - 1;
}

void engine::implementation::bring_in(stage_run& stage, std::size_t id) {
  stage.staff[id] = presence::here;
  const auto per_worker = static_cast<std::size_t>(stage.per_worker);
  for (std::size_t slot = id * per_worker; slot < (id + 1) * per_worker; ++slot) {
    work_slot& own = stage.slots[slot];
    own.leaves = false;
    if (!has_gone(own)) continue;
    own.heed = false;
    stage_run* const run = &stage;
    auto handle = work_group_->spawn_named(stage.name + " worker " + std::to_string(slot),
                                           [this, run, slot] { return worker_for(*run, slot); });
    own.worker = handle;
    work_tasks_.push_back(std::move(handle));
  }
}

// Gives those who were cancelled: they have nothing to do but to end. One that hangs stays.
std::vector<task_handle<>> engine::implementation::send_off(stage_run& stage, std::size_t id) {
  std::vector<task_handle<>> cancelled;
  const auto hands = hands_of(stage, id);
  const bool hangs = std::ranges::any_of(hands, [](const work_slot* own) { return own->hung; });
  if (stage.staff[id] != presence::here || hangs) return cancelled;
  stage.staff[id] = presence::leaving;
  for (work_slot* own : hands) {
    own->leaves = own->heed = true;
    if (!waits_for_an_item(*own)) continue;
    own->worker->cancel("the stage needs fewer workers");
    cancelled.push_back(*own->worker);
  }
  return cancelled;
}

void engine::implementation::see_who_left(stage_run& stage) {
  for (std::size_t id = 0; id < stage.staff.size(); ++id) {
    if (stage.staff[id] != presence::leaving) continue;
    const auto hands = hands_of(stage, id);
    if (!std::ranges::all_of(hands, [](const work_slot* own) { return has_gone(*own); })) continue;
    for (work_slot* own : hands) own->leaves = own->heed = own->hung = false;
    stage.staff[id] = presence::away;
    stage.body->worker_ended(static_cast<int>(id));
  }
}

// Between two items of a worker that has been told something.
bool engine::implementation::stays(stage_run& stage, work_slot& own) {
  own.heed = own.leaves;
  if (std::exchange(own.hung, false)) {
    notice("stage '" + stage.name + "': the item that hung at " + own.worker->name() +
           " has ended after all");
  }
  staff_moved_.set();
  if (!own.leaves) return true;
  if (std::exchange(own.probing, false)) reopen(stage);
  return false;
}

bool engine::implementation::look_for_hung(stage_run& stage) {
  const detail::time_point now = loop_->now();
  if (now < stage.hung_look) return false;
  const std::chrono::nanoseconds limit = hung_limit(stage.policy);
  stage.hung_look = now + limit;
  std::size_t found = 0;
  for (work_slot& own : stage.slots) {
    if (own.since == work_slot::never || own.hung) continue;
    if (own.since + limit > now) {
      stage.hung_look = std::min(stage.hung_look, own.since + limit);
      continue;
    }
    own.hung = own.heed = true;
    if (++found <= named_max) tell_of_hung(stage, own);
  }
  if (found > named_max) {
    notice(fmt::format("stage '{}': {} more items hang", stage.name, found - named_max));
  }
  return found != 0;
}

void engine::implementation::tell_of_hung(const stage_run& stage, const work_slot& own) const {
  const detail::waiter* wait = task_handle<>(*own.worker).record().waiting_on();
  std::string line = fmt::format(
      "stage '{}': item {} has been in work for {}, attempt {}, at {}, which waits: {}", stage.name,
      named(*own.current), in_words(loop_->now() - own.since), own.current->tries,
      own.worker->name(), wait == nullptr ? "nothing, it runs" : wait->describe());
  if (replaces(stage.policy)) {
    const int hung = hung_workers(stage);
    line += hung > replacements(stage) ? "; as many workers hang as may be replaced"
                                       : "; another worker takes its place";
  }
  notice(line);
}

// As many at most as there should be workers: where every item hangs, an end is better in sight.
int engine::implementation::replacements(const stage_run& stage) {
  if (!replaces(stage.policy)) return 0;
  const int most = std::max({stage.wanted, stage.policy.workers, stage.policy.workers_max});
  return std::min(hung_workers(stage), most);
}

}  // namespace brigade
