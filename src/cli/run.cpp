#include "cli/exit_code.hpp"
#include "cli/one_liner.hpp"
#include "cli/verbs.hpp"

#include <iostream>
#include <utility>

namespace brigade::cli {
namespace {

/// What is wrong with it is wrong with the command.
int run_line(const run_options& options, const registry& known) {
  std::optional<pipeline_config> config;
  pipeline_parts parts;
  try {
    config = read_one_liner(options.line, options.sets, known);
    parts = make_parts(*config, known);
  } catch (const invalid_pipeline& error) {
    std::cerr << error.what() << '\n';
    return exit_usage;
  }
  return run_pipeline(*config, std::move(parts), options);
}

}  // namespace

int run_verb(const run_options& options, const registry& known) {
  if (!options.line.from.empty()) return run_line(options, known);
  pipeline_config config = load_pipeline(options.file, options.sets, known);
  pipeline_parts parts = make_parts(config, known);
  return run_pipeline(config, std::move(parts), options);
}

}  // namespace brigade::cli
