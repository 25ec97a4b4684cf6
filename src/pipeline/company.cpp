// Who collects items - a sink its batch, a stage what it joins - waits for more only while more may
// come. Otherwise what was collected would wait for a timer that nobody needs: in a drain, at the
// source's end, and when it is all that the window lets in.
#include "pipeline/engine_state.hpp"

#include <brigade/async/timeout.hpp>

#include <algorithm>

namespace brigade {

using namespace std::chrono_literals;
using detail::item;
using detail::run_phase;
using detail::work_slot;

namespace {
// Nobody says when the last one that could have come has gone another way.
constexpr auto look_again_after = 100ms;
}  // namespace

bool engine::implementation::company_may_come(const stage_run& stage) const {
  if (phase_ != run_phase::running || stage.upstream_done()) return false;
  if (!stage.parked.empty()) return false;  // their turn comes when this is written
  if (window_open()) return true;
  return std::ranges::any_of(stage.before, [](const stage_run* each) { return each->inside != 0; });
}

// None when the time is over, or nobody comes any more.
task<item*> engine::implementation::wait_for_company(stage_run& stage, detail::time_point until) {
  for (;;) {
    loop_->refresh_now();
    if (loop_->now() >= until || !company_may_come(stage)) co_return nullptr;
    deadline_scope patience(
        std::min<std::chrono::nanoseconds>(until - loop_->now(), look_again_after));
    const detail::lent_scope lent(stage.company, patience);
    auto next = co_await stage.input.take(on_cancel::end);
    if (next) {
      item* const came = *next;
      next.done();
      co_return came;
    }
    if (stage.input.closed() || !patience.cancel_called()) co_return nullptr;
  }
}

// With an item there the batch is about to go on by itself, and sees why it should not wait.
void engine::implementation::wait_for_no_company(stage_run& stage) {
  const bool waits = stage.company != nullptr && stage.input.empty();
  if (waits) stage.company->cancel("nobody comes any more");
}

task<> engine::implementation::collect(stage_run& stage) {
  work_slot& own = stage.slots.front();
  for (;;) {
    co_await gather_members(stage, own.children);
    if (own.children.empty()) co_return;
    own.current = &join(stage, own.children);
    co_await enter(&stage, *stage.next, own.current);
  }
}

task<> engine::implementation::gather_members(stage_run& stage, std::vector<item*>& members) {
  const batch_policy& rules = *stage.collects;
  while (members.empty()) {
    auto first = co_await stage.input.take();
    if (!first) co_return;
    item* const came = *first;
    first.done();
    let_in(stage, members, *came);
  }
  loop_->refresh_now();
  const auto until =
      rules.within.count() == 0 ? detail::time_point::max() : loop_->now() + rules.within;
  std::size_t bytes = members.front()->value.bytes();
  while ((rules.count == 0 || members.size() < rules.count) &&
         (rules.bytes == 0 || bytes < rules.bytes)) {
    item* came = nullptr;
    if (auto here = stage.input.try_take()) {
      came = **here;
      here->done();
    } else {
      came = co_await wait_for_company(stage, until);
    }
    if (came == nullptr) co_return;
    const std::size_t before = members.size();
    let_in(stage, members, *came);
    if (members.size() > before) bytes += members.back()->value.bytes();
  }
}

// What cannot be joined fails by itself, before it can take others along.
void engine::implementation::let_in(stage_run& stage, std::vector<item*>& members, item& work) {
  if (work.tries++ != 0) stage.count_retry(work);
  stage.workers.front().items += work.weight;
  const attempt_result result = attempt_now(stage, work, 0);
  if (result.what() == attempt_result::kind::failed) {
    attempt_failed(stage, work, 0, result.why());
  } else {
    members.push_back(&work);
  }
}

item& engine::implementation::join(stage_run& stage, std::vector<item*>& members) {
  std::vector<const payload*> values;
  values.reserve(members.size());
  for (const item* each : members) values.push_back(&each->value);
  auto* made = new item(stage.body->join(values));
  const item& first = *members.front();
  made->names = first.names;
  std::string key = first.key();
  if (members.size() > 1) key += "+" + std::to_string(members.size() - 1);
  made->set_key(std::move(key));
  made->taken = first.taken;
  made->taken_at = first.taken_at;
  made->stage = stage.index;
  made->begun = loop_->now();
  made->weight = 0;
  made->lenient = first.lenient;
  made->joined = std::make_unique<detail::joined_items>();
  for (item* each : members) {
    each->is_member = true;
    made->weight += each->weight;
  }
  made->joined->members = std::exchange(members, {});
  live_.push_back(&made->live);
  return *made;
}

}  // namespace brigade
