/// Running what a pipeline file describes: where the program meets the engine.
#pragma once
#include "cli/pipeline_config.hpp"
#include "cli/progress.hpp"

#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/ledger_reader.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace brigade::cli {

/// A pipeline on the command line, without a file.
struct one_liner {
  std::string from;  ///< empty: there is a file
  std::vector<std::string> stages;
  std::string to = "ndjson:-";
  std::string workers = "1";       ///< of each stage
  std::string state = ".brigade";  ///< folder; relative to the current one
};

struct run_options {
  std::string file;  ///< the pipeline file, as the user wrote it
  one_liner line;
  std::vector<std::string> sets;  ///< `path=value`; applied to `config` already
  std::optional<std::filesystem::path> report;
  bool fresh = false;
  progress_mode progress = progress_mode::automatic;
};

struct replay_options {
  std::filesystem::path ledger;
  std::optional<std::string> pipeline;  ///< absent: the file that the ledger names
  bool from_start = false;
  letter_filter which;
};

/// What the engine needs to know, but for its observer.
[[nodiscard]] pipeline_plan plan_of(const pipeline_config& config, pipeline_parts parts);

/// Runs the pipeline to its end or its stop, and its last step, and returns the process's exit
/// code. `parts` are what `make_parts` made of `config`. Throws std::exception for what makes the
/// run impossible.
[[nodiscard]] int run_pipeline(const pipeline_config& config, pipeline_parts parts,
                               const run_options& options);

/// Takes the dead letters that `options.which` selects through the pipeline, as `run_pipeline` does
/// the items of its source.
[[nodiscard]] int replay_letters(const pipeline_config& config, pipeline_parts parts,
                                 const replay_options& options);

}  // namespace brigade::cli
