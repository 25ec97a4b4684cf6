#include "pipeline/outcome_board.hpp"
#include "pipeline/run_state.hpp"

#include <brigade/async/spawn.hpp>
#include <brigade/async/wait.hpp>

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace brigade {

namespace {
// The stop protocol ends a drained run long before; this is for one that is asked to wait for ever.
constexpr std::chrono::hours end_limit{24 * 365};
}  // namespace

pipeline_run::state::state(recorded_run what)
    : board(std::make_shared<detail::outcome_board>()), name(what.plan.name) {
  for (const stage_plan& stage : what.plan.stages) stages.push_back(stage.name);
  what.plan.outcomes = board;
  what.on_engine = [this](engine* now) { meet(now); };
  pieces.emplace(std::move(what));
}

// What was asked for before there was an engine is asked of it now.
void pipeline_run::state::meet(engine* now) {
  work = now;
  if (work == nullptr) return;
  for (const scaling& each : scalings_wanted) {
    work->scale(each.stage, each.workers, each.workers_max);
  }
  scalings_wanted.clear();
  if (stop_wanted) work->stop_now(stop_wanted->first, stop_wanted->second);
  if (drain_wanted) work->drain();
}

void pipeline_run::state::drain() {
  drain_wanted = true;
  if (work != nullptr) work->drain();
}

task<> pipeline_run::state::execute(std::shared_ptr<state> own) {
  struct on_every_way_out {
    explicit on_every_way_out(state& of) : run(of) {}
    ~on_every_way_out() {
      // Handles may stay for long: another run may want the ledger, and signals mean nothing now.
      run.pieces.reset();
      run.account.reset();
      run.signals.reset();
      run.board->close();
      run.over.set();
    }
    state& run;
  };
  const on_every_way_out guard(*own);
  try {
    report result = co_await execute_recorded(std::move(*own->pieces));
    own->result.emplace(std::move(result));
  } catch (...) {
    own->failed = std::current_exception();
    throw;
  }
}

task<> pipeline_run::state::course(std::shared_ptr<state> own) {
  auto running = spawn(&state::execute, own);
  running.set_name("pipeline " + own->name);
  bool stopped = false;
  try {
    co_await running.join();
  } catch (const cancelled&) {
    stopped = true;
  }
  if (!stopped || running.done()) co_return;
  own->drain();
  auto its_end = [](task_handle<> handle) -> task<> { co_await handle.join(); };
  auto ending = its_end(running);
  co_await shielded(end_limit, std::move(ending));
}

outcome_stream pipeline_run::outcomes() { return outcome_stream(state_->board); }

void pipeline_run::scale(std::string_view stage, int workers, int workers_max) {
  if (state_->work != nullptr) return state_->work->scale(stage, workers, workers_max);
  if (std::ranges::find(state_->stages, stage) == state_->stages.end() || workers < 1) {
    throw std::invalid_argument("pipeline '" + state_->name + "' has no stage '" +
                                std::string(stage) + "' to give so many workers");
  }
  if (!ended()) state_->scalings_wanted.push_back({std::string(stage), workers, workers_max});
}

void pipeline_run::drain() { state_->drain(); }

void pipeline_run::stop_now(int exit_code, std::string why) {
  if (state_->work != nullptr) {
    state_->work->stop_now(exit_code, std::move(why));
  } else if (!state_->stop_wanted) {
    state_->stop_wanted.emplace(exit_code, std::move(why));
  }
}

report pipeline_run::account() const {
  if (state_->result) return *state_->result;
  if (state_->work != nullptr) return state_->work->account();
  report nothing;
  nothing.pipeline = state_->name;
  return nothing;
}

progress pipeline_run::look() const {
  return state_->work != nullptr ? state_->work->look() : progress{};
}

run_status pipeline_run::status() const {
  if (state_->work != nullptr) return state_->work->status();
  run_status nothing;
  nothing.pipeline = state_->name;
  if (ended()) nothing.phase = status_phase::ended;
  return nothing;
}

bool pipeline_run::ended() const { return state_->over.is_set(); }

task<report> pipeline_run::finished() const {
  const std::shared_ptr<state> own = state_;
  co_await own->over.wait();
  if (own->failed) std::rethrow_exception(own->failed);
  co_return *own->result;
}

}  // namespace brigade
