#include "pipeline/run_state.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <optional>
#include <utility>

namespace brigade {

namespace {

// None without a path.
std::unique_ptr<ledger> open_ledger(const std::string& path, const std::string& pipeline_name) {
  return path.empty() ? nullptr : ledger::open(ledger_options(path, pipeline_name));
}

}  // namespace

report ready_pipeline::run() {
  BRIGADE_ASSERT(plan_.from != nullptr, "a pipeline is run once");
  std::optional<stop_signals> signals;
  if (signals_) signals.emplace(plan_.rules.stop_timeout);
  const std::unique_ptr<brigade::ledger> account = open_ledger(ledger_path_, plan_.name);
  recorded_run whole(std::move(plan_));
  whole.account = account.get();
  whole.signals = signals ? &*signals : nullptr;
  return run_recorded(std::move(whole));
}

pipeline_run ready_pipeline::start(task_group& group) {
  BRIGADE_ASSERT(plan_.from != nullptr, "a pipeline is run once");
  auto own = std::make_shared<pipeline_run::state>(recorded_run(std::move(plan_)));
  if (signals_) own->signals.emplace(own->pieces->plan.rules.stop_timeout);
  own->account = open_ledger(ledger_path_, own->name);
  own->pieces->account = own->account.get();
  own->pieces->signals = own->signals ? &*own->signals : nullptr;
  group.spawn_named("pipeline " + own->name, &pipeline_run::state::course, own);
  return pipeline_run(std::move(own));
}

}  // namespace brigade
