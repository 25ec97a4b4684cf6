/// The last step of a run, `then`: a program that is started when the items are done.
///
/// It runs in the pipeline file's folder, in a process group of its own. Its standard input is
/// empty, its standard output is brigade's, its standard error goes to the log. What it can ask
/// its environment for: BRIGADE_PIPELINE, BRIGADE_EXIT (the run's exit code so far), BRIGADE_RUN
/// and BRIGADE_LEDGER (absolute), and with `--report` BRIGADE_REPORT (absolute).
///
/// A first signal leaves it what is left of `stop_timeout`; at that deadline, or at a second
/// SIGINT, it gets TERM, and KILL two seconds later.
#pragma once
#include "cli/pipeline_config.hpp"

#include <brigade/pipeline/drain.hpp>
#include <brigade/pipeline/report.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace brigade::cli {

/// Whether a run that ends with this code takes the step.
[[nodiscard]] bool is_due(const then_config& step, int exit_code);

/// Takes the step that `config` has. Gives why it failed, if it did. Runs a loop in this thread.
[[nodiscard]] std::optional<std::string> run_then(
    const pipeline_config& config, const report& account,
    const std::optional<std::filesystem::path>& report_file, stop_signals& signals);

}  // namespace brigade::cli
