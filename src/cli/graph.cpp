#include "cli/exit_code.hpp"
#include "cli/picture.hpp"
#include "cli/verbs.hpp"

#include <ostream>

namespace brigade::cli {

int graph_verb(const graph_options& options, const registry& known, std::ostream& out) {
  const pipeline_config config = load_pipeline(options.file, {}, known);
  const pipeline_picture picture = picture_of(config);
  out << (options.svg ? svg_picture(picture) : text_picture(picture));
  return exit_ok;
}

}  // namespace brigade::cli
