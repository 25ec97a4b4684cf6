#include "sim/fork_scenario.hpp"

#include "sim/fork_stage.hpp"

#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>

#include <utility>

namespace brigade::sim {

using testing::fake_sink_kind;

namespace {

constexpr std::uint64_t steps_max = 400'000;
constexpr int depth_max = 2;
using kind = stage_model::kind;

}  // namespace

fork_scenario::fork_scenario(std::uint64_t seed)
    : life(seed, testing::random_source(seed), steps_max) {
  model_ = draw_chain({});
  fill_the_store();
}

// --- the world ---

// At least one stage where the ways part in the outermost chain.
fork_model fork_scenario::draw_chain(surroundings where) {
  fork_model chain;
  chain.required = where.required;
  const std::uint64_t count = where.depth == 0 ? between(1, 3) : random_.below(3);
  const bool joins = where.may_join && chance(2);
  where.may_join = joins;
  for (std::uint64_t n = 0; n < count; ++n) {
    const bool is_last = n + 1 == count && !joins;
    chain.stages.push_back(draw_stage(where, is_last));
    if (chain.stages.back().what == kind::route && is_last) return chain;
  }
  if (joins) return chain;
  chain.sink = static_cast<int>(ends_.size());
  auto made = std::make_unique<end>();
  made->kind = static_cast<fake_sink_kind>(random_.below(3));
  made->required = where.required;
  made->exact = where.exact;
  ends_.push_back(std::move(made));
  return chain;
}

stage_model fork_scenario::draw_stage(surroundings& where, bool is_last) {
  stage_model stage;
  stage.seed = random_.next();
  const bool may_fork = where.depth < depth_max;
  if (where.batched) {
    const std::uint64_t drawn = random_.below(4);
    if (drawn == 0 && may_fork) {
      stage.what = kind::tee;
      where.exact = false;
    } else if (drawn == 1) {
      stage.what = kind::apart;
      where.batched = where.exact = false;
      return stage;
    } else {
      return stage;
    }
  } else {
    const std::uint64_t drawn = where.may_join ? 0 : random_.below(may_fork ? 6 : 2);
    stage.what = drawn == 0   ? kind::work
                 : drawn == 1 ? kind::batch
                 : drawn < 4  ? kind::route
                              : kind::tee;
  }
  if (stage.what == kind::batch) {
    where.batched = true;
  } else if (stage.what == kind::work) {
    stage.splits_one_in = chance(2) ? between(2, 5) : 0;
    stage.refuses_one_in = chance(3) ? between(4, 12) : 0;
  } else {
    draw_branches(stage, where, is_last);
  }
  return stage;
}

// Behind branches that join texts are not batched: one of them might be, another not.
void fork_scenario::draw_branches(stage_model& stage, const surroundings& where, bool is_last) {
  const bool is_tee = stage.what == kind::tee;
  for (std::uint64_t left = between(1, 3); left > 0; --left) {
    surroundings inside = where;
    ++inside.depth;
    inside.may_join = !is_tee && !is_last;
    if (is_tee && chance(3)) inside.required = false;
    stage.branches.push_back(draw_chain(inside));
  }
  if (is_tee) return;
  if (!is_last) stage.branches.emplace_back();  // goes on as it is
  stage.ways = stage.branches.size() + (chance(3) ? 1 : 0);
}

void fork_scenario::fill_the_store() {
  const std::uint64_t partitions = between(1, 2);
  std::vector<std::uint64_t> ends(static_cast<std::size_t>(partitions));
  for (std::uint64_t left = between(1, 40); left > 0; --left) {
    const auto which = static_cast<std::size_t>(random_.below(partitions));
    const std::string name = "p" + std::to_string(which) + ":t";
    testing::fake_store::entry item;
    item.begin = ends[which];
    item.end = ends[which] = item.begin + between(1, 3);
    item.text = name + ":" + std::to_string(item.begin);
    store_.add(name, std::move(item));
  }
}

// --- one run ---

task<> fork_scenario::whole_run(mood how) {
  pipeline_plan plan = make_plan(how);
  names_ = stage_names(plan);
  engine_resume resume = co_await open_ends(plan);
  journal_.begin_run();
  if (how == mood::rough && chance(16)) journal_.break_at(between(1, 12));
  engine work(std::move(plan), &journal_);
  auto running = work.execute(std::move(resume));
  spawn([this, how] { return operate(how); });
  const known_while_it_lives known(engine_, work);
  const report account = co_await std::move(running);
  check_report(account);
  for (const sink_of_plan& each : sinks_of(work.plan())) {
    const auto& to = static_cast<const testing::fake_sink&>(*each.to);
    require(!to.is_open(), "the run ended and a sink is open");
  }
}

task<> fork_scenario::operate(mood how) {
  if (how == mood::calm || chance(2)) co_return;
  for (std::uint64_t acts = between(1, 3); acts > 0; --acts) {
    const milliseconds first = some_time(0, chance(2) ? 20 : 200);
    co_await sleep_for(first);
    for (std::uint64_t turns = random_.below(4); turns > 0; --turns) co_await yield();
    if (engine_ == nullptr) co_return;
    const std::uint64_t act = random_.below(8);
    if (act == 0) {
      engine_->stop_now(1, "the operator has had enough");
    } else if (act < 3) {
      engine_->deadline_now();
    } else {
      engine_->drain();
    }
  }
}

pipeline_plan fork_scenario::make_plan(mood how) {
  const bool rough = how == mood::rough;
  pipeline_plan plan;
  plan.name = "sim";
  plan.jitter_seed = random_.next() | 1U;
  testing::source_faults faults;
  faults.read_delay_max = some_time(0, 6);
  faults.read_items_max = static_cast<std::size_t>(between(1, 16));
  faults.trims = chance(2);
  plan.from = std::make_unique<testing::fake_source>(store_, faults, random_.next());
  stages_made_ = 0;
  plan_chain(model_, plan, how);
  plan.rules.window_items_max = window_ = static_cast<std::size_t>(between(1, 16));
  plan.rules.stop_timeout = some_time(0, 300);
  plan.rules.give_up_after = rough && chance(2) ? some_time(100, 1000) : milliseconds(0);
  return plan;
}

void fork_scenario::plan_chain(const fork_model& model, chain_plan& plan, mood how) {
  for (std::size_t n = 0; n < model.stages.size(); ++n) {
    const bool has_behind = n + 1 < model.stages.size() || model.sink >= 0;
    plan.stages.push_back(plan_stage(model.stages[n], has_behind, how));
  }
  if (model.sink < 0) return;
  end& to = *ends_[static_cast<std::size_t>(model.sink)];
  plan.sink_name = "sink" + std::to_string(model.sink);
  plan.to = make_sink(to, how);
  plan.sink_rules.retry.attempts_max = static_cast<int>(between(1, 4));
  plan.sink_rules.retry.backoff_min = some_time(1, 30);
  plan.sink_rules.batch_items_max = static_cast<std::size_t>(between(1, 6));
  plan.sink_rules.batch_age_max = some_time(0, chance(4) ? 5000 : 20);
}

stage_plan fork_scenario::plan_stage(const stage_model& model, bool has_behind, mood how) {
  fork_faults faults;
  faults.delay_max = some_time(0, 8);
  const bool may_fail = model.what != kind::tee && model.what != kind::apart;
  faults.fails_one_in = may_fail && chance(3) ? between(3, 20) : 0;
  faults.refuses_one_in = chance(4) ? between(10, 40) : 0;
  faults.fatal_one_in = how == mood::rough && chance(6) ? 60 : 0;
  const bool goes_on = model.what == kind::tee && has_behind;
  stage_plan plan{
      "stage" + std::to_string(stages_made_++),
      make_fork_stage(model, model.branches.size() + (goes_on ? 1 : 0), faults, random_.next()),
      {}};
  plan.policy.workers = static_cast<int>(between(1, 3));
  plan.policy.queue_items_max = static_cast<std::size_t>(between(1, 4));
  plan.policy.retry.attempts_max = static_cast<int>(between(1, 4));
  plan.policy.retry.backoff_min = some_time(1, 30);
  plan.policy.retry.backoff_max = some_time(30, 120);
  if (model.what == kind::batch) {
    plan.policy.workers = 1;
    plan.batch = batch_policy{.count = static_cast<std::size_t>(random_.below(6)),
                              .within = chance(2) ? some_time(1, 100) : milliseconds(3'600'000)};
  }
  if (model.branches.empty()) return plan;
  plan.fork = std::make_unique<fork_plan>();
  if (model.what == kind::tee) plan.fork->what = fork_plan::kind::tee;
  for (const fork_model& each : model.branches) {
    branch_plan& branch = plan.fork->branches.emplace_back();
    branch.required = each.required;
    plan_chain(each, branch.chain, how);
  }
  return plan;
}

std::unique_ptr<testing::fake_sink> fork_scenario::make_sink(end& to, mood how) {
  testing::sink_faults faults;
  faults.write_delay_max = some_time(0, 6);
  faults.item_fails_one_in = chance(3) ? between(4, 20) : 0;
  faults.outage_one_in = chance(4) ? between(4, 16) : 0;
  faults.outage_max = some_time(1, how == mood::rough ? 2000 : 300);
  if (!to.required && chance(4)) faults.outage_max = some_time(5'000, 60'000);
  return std::make_unique<testing::fake_sink>(to.table, to.kind, faults, random_.next());
}

std::string fork_scenario::about() const {
  std::string text;
  for (const std::string& each : names_) text += " " + each;
  return engine_ != nullptr ? text + ", " + engine_->account().json() : text;
}

}  // namespace brigade::sim
