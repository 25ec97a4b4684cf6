#include "cli/verbs.hpp"

#include <utility>

namespace brigade::cli {

int run_verb(const run_options& options, const registry& known) {
  pipeline_config config = load_pipeline(options.file, options.sets, known);
  pipeline_parts parts = make_parts(config, known);
  return run_pipeline(config, std::move(parts), options);
}

}  // namespace brigade::cli
