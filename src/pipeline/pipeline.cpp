#include "pipeline/run_state.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace brigade {

namespace {

// None without a path.
std::unique_ptr<ledger> open_ledger(const std::string& path, const std::string& pipeline_name) {
  return path.empty() ? nullptr : ledger::open(ledger_options(path, pipeline_name));
}

// Such a run would wait for ever.
void check(const pipeline_plan& plan) {
  BRIGADE_ASSERT(plan.from != nullptr, "a pipeline is run once");
  const std::string owner = "pipeline '" + plan.name + "'";
  for (const stage_plan& stage : plan.stages) {
    if (stage.policy.workers >= 1) continue;
    throw std::invalid_argument(owner + ": stage '" + stage.name + "' has at least one worker");
  }
  if (plan.rules.window_items_max == 0 || plan.rules.window_bytes_max == 0) {
    throw std::invalid_argument(owner + ": its window has room for nothing");
  }
}

}  // namespace

report ready_pipeline::run() {
  check(plan_);
  std::optional<stop_signals> signals;
  if (signals_) signals.emplace(plan_.rules.stop_timeout);
  const std::unique_ptr<brigade::ledger> account = open_ledger(ledger_path_, plan_.name);
  recorded_run whole(std::move(plan_));
  whole.account = account.get();
  whole.signals = signals ? &*signals : nullptr;
  return run_recorded(std::move(whole));
}

pipeline_run ready_pipeline::start(task_group& group) {
  check(plan_);
  auto own = std::make_shared<pipeline_run::state>(recorded_run(std::move(plan_)));
  if (signals_) own->signals.emplace(own->pieces->plan.rules.stop_timeout);
  own->account = open_ledger(ledger_path_, own->name);
  own->pieces->account = own->account.get();
  own->pieces->signals = own->signals ? &*own->signals : nullptr;
  group.spawn_named("pipeline " + own->name, &pipeline_run::state::course, own);
  return pipeline_run(std::move(own));
}

}  // namespace brigade
