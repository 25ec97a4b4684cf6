// Workers that take several items at once, because to hand over each by itself would cost more than
// the work on it. To the account they are items in a worker's hands like any other.
#include "pipeline/engine_state.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>

namespace brigade {

using detail::item;
using detail::work_slot;

task<> engine::implementation::worker_of_several(stage_run& stage, std::size_t slot) {
  work_slot& own = stage.slots[slot];
  const int worker_id = static_cast<int>(slot) / stage.per_worker;
  for (;;) {
    if (own.heed && !stays(stage, own)) [[unlikely]]
      co_return;
    co_await take_several(stage, own);
    if (own.current == nullptr) co_return;
    std::vector<attempt_result> results = co_await attempt_all(stage, own, worker_id);
    for (attempt_result& result : results) {
      stage_run* const next = way_of(stage, result);
      item& work = *own.current;
      const bool passes = judge(stage, own, work, worker_id, result) == onward::passes;
      if (passes && next->input.try_put(own.current)) {
        own.current = nullptr;
        pass(stage, *next, work);
      } else if (passes) {
        co_await next->input.put_from(own.current);
        own.current = nullptr;
        pass(stage, *next, work);
      } else if (own.current != nullptr) {
        co_await pass_children(stage, own, std::move(result.values()));
      }
      if (own.more.empty()) break;
      own.current = own.more.back();
      own.more.pop_back();
    }
  }
}

// At least one; of more what is there. What comes while the first are taken is taken along.
task<> engine::implementation::take_several(stage_run& stage, work_slot& own) {
  auto first = co_await stage.input.take();
  if (!first) co_return;
  own.current = *first;
  first.done();
  const std::size_t most = stage.body->together_max();
  for (std::size_t had = 0; own.more.size() + 1 < most;) {
    while (own.more.size() + 1 < most && !stage.input.empty()) {
      auto next = stage.input.try_take();
      if (!next) break;
      own.more.push_back(**next);
    }
    if (own.more.size() == had) break;
    had = own.more.size();
    co_await yield();
  }
  std::reverse(own.more.begin(), own.more.end());
}

task<std::vector<attempt_result>> engine::implementation::attempt_all(stage_run& stage,
                                                                      work_slot& own,
                                                                      int worker_id) {
  if (stage.meter) {
    loop_->refresh_now();
    stage.meter->queue_wait.add(loop_->now() - own.current->came_here());
  }
  std::vector<attempt_request> requests;
  requests.reserve(own.more.size() + 1);
  const auto begin = [&](item& work) {
    if (work.tries++ != 0) {
      stage.count_retry(work);
    } else {
      work.begun = loop_->now();
    }
    requests.push_back({&work.value, info_of(stage, work, worker_id)});
  };
  begin(*own.current);
  std::for_each(own.more.rbegin(), own.more.rend(), [&](item* work) { begin(*work); });
  own.since = loop_->now();
  auto attempts = stage.body->run_together(requests);
  std::vector<attempt_result> results = co_await std::move(attempts);
  if (stage.meter) {
    loop_->refresh_now();
    stage.meter->work.add((loop_->now() - own.since) / static_cast<std::int64_t>(results.size()));
  }
  own.since = work_slot::never;
  BRIGADE_ASSERT(results.size() == requests.size(), "a stage gave results for too few items");
  co_return results;
}

}  // namespace brigade
