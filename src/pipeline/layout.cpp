// From the plan, chains within chains, to stages that know who sends them items and where theirs
// go.
#include "pipeline/engine_state.hpp"

#include <brigade/async/assert.hpp>

#include <algorithm>

namespace brigade {

namespace {

// Of the window, for all branches that are not required together.
constexpr std::size_t optional_share = 2;

template <class OnStage, class OnSink>
void walk_plan(const chain_plan& chain, const OnStage& on_stage, const OnSink& on_sink) {
  for (const stage_plan& stage : chain.stages) {
    on_stage(stage);
    if (!stage.fork) continue;
    for (const branch_plan& branch : stage.fork->branches) {
      walk_plan(branch.chain, on_stage, on_sink);
    }
  }
  if (chain.to) on_sink(chain);
}

void add_once(std::vector<detail::stage_run*>& to, detail::stage_run* stage) {
  if (std::ranges::find(to, stage) == to.end()) to.push_back(stage);
}

}  // namespace

std::vector<sink_of_plan> sinks_of(const chain_plan& plan) {
  std::vector<sink_of_plan> found;
  walk_plan(
      plan, [](const stage_plan&) {},
      [&](const chain_plan& chain) { found.push_back({chain.sink_name, chain.to.get()}); });
  return found;
}

std::vector<std::string> stage_names(const chain_plan& plan) {
  std::vector<std::string> names;
  walk_plan(
      plan, [&](const stage_plan& stage) { names.push_back(stage.name); },
      [&](const chain_plan& chain) { names.push_back(chain.sink_name); });
  return names;
}

void engine::implementation::lay_out() {
  open_ends ends;
  lay_out_chain(plan, true, ends);
  BRIGADE_ASSERT(!stages_.empty(), "a pipeline has no sink");
  connect();
}

// Lays down the stages of a chain. What was open leads to its first; `ends` is then what leads
// behind its last, where it has no sink.
void engine::implementation::lay_out_chain(chain_plan& chain, bool required, open_ends& ends) {
  for (stage_plan& each : chain.stages) {
    const int index = static_cast<int>(stages_.size());
    stage_run& stage = lay_down(std::make_unique<stage_run>(index, each), ends);
    set_guard(stage);
    if (each.fork) {
      lay_out_fork(stage, *each.fork, required, ends);
    } else {
      ends.push_back(&stage.next);
    }
  }
  if (!chain.to) return;
  const int index = static_cast<int>(stages_.size());
  lay_down(std::make_unique<stage_run>(index, chain, required), ends);
}

engine::implementation::stage_run& engine::implementation::lay_down(std::unique_ptr<stage_run> made,
                                                                    open_ends& ends) {
  for (stage_run** end : ends) *end = made.get();
  ends.clear();
  stages_.push_back(std::move(made));
  return *stages_.back();
}

void engine::implementation::lay_out_fork(stage_run& stage, fork_plan& plan_of_fork, bool required,
                                          open_ends& ends) {
  stage.fork = std::make_unique<fork_run>();
  fork_run& fork = *stage.fork;
  fork.what = plan_of_fork.what;
  fork.branches.resize(plan_of_fork.branches.size());  // `ends` points in there
  const bool is_tee = fork.what == fork_plan::kind::tee;
  for (std::size_t n = 0; n < fork.branches.size(); ++n) {
    branch_plan& branch = plan_of_fork.branches[n];
    fork.branches[n].required = branch.required || !is_tee;
    open_ends own = {&fork.branches[n].to};
    lay_out_chain(branch.chain, required && fork.branches[n].required, own);
    BRIGADE_ASSERT(!is_tee || own.empty(), "a branch of a tee ends in no sink");
    ends.insert(ends.end(), own.begin(), own.end());
  }
  if (is_tee) ends.push_back(&stage.next);
}

void engine::implementation::connect() {
  std::size_t optional = 0;
  for (const auto& stage : stages_) {
    if (stage->next != nullptr) stage->feeds.push_back(stage->next);
    if (stage->fork) {
      for (const fork_run::branch& branch : stage->fork->branches) {
        BRIGADE_ASSERT(branch.to != nullptr, "a branch of a route leads nowhere");
        add_once(stage->feeds, branch.to);
        optional += branch.required ? 0 : 1;
      }
    }
    BRIGADE_ASSERT(stage->is_sink() || !stage->feeds.empty(), "a pipeline ends in no sink");
    for (stage_run* next : stage->feeds) {
      ++next->feeders_open;
      for (stage_run* each : stage->before) add_once(next->before, each);
      add_once(next->before, stage.get());
      next->weighs = next->weighs || stage->weighs || stage->collects;
    }
    stage->weighs = stage->weighs || stage->collects;
  }
  stages_.front()->feeders_open = 1;  // the intake
  const std::size_t shares = optional_share * std::max<std::size_t>(optional, 1);
  optional_open_max_ = std::max<std::size_t>(plan.rules.window_items_max / shares, 1);
}

}  // namespace brigade
