/// A run with its account in a ledger: opens what belongs together in the order that loses nothing.
///
///   lock and read the ledger; open the sink, whose marks are the authority; reconcile; open the
///   source behind what is accounted for; begin the run; work; record the end
///
/// Thread safety: `run_recorded` runs a loop in the calling thread; `execute_recorded` is awaited.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/pipeline/drain.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/ledger.hpp>
#include <brigade/pipeline/report.hpp>

#include <functional>

namespace brigade {

struct recorded_run {
  explicit recorded_run(pipeline_plan what) : plan(std::move(what)) {}
  pipeline_plan plan;
  ledger* account = nullptr;        ///< open; none: outcomes are in the report alone
  stop_signals* signals = nullptr;  ///< none: the process's signals do what they do
  /// Called with the engine before its first step, and with null before it goes.
  std::function<void(engine*)> on_engine;
};

/// Runs to the end or the stop. What goes wrong stands in the report, with its exit code; throws
/// `deadlock` and ledger_error (the end could not be recorded).
[[nodiscard]] report run_recorded(recorded_run run);
/// The same as a task of the loop that is there. Cancelled: the run is given up where it is, as by
/// a crash; `engine::drain` is the way to stop it.
[[nodiscard]] task<report> execute_recorded(recorded_run run);

}  // namespace brigade
