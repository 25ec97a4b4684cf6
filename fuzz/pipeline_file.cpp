// The YAML of a pipeline file: whatever it says, a pipeline comes out, or a list of problems.
#include "cli/all_components.hpp"
#include "cli/pipeline_config.hpp"
#include "fuzz.hpp"

#include <string>

namespace brigade::fuzz {
namespace {

void run(std::string_view input) {
  cli::pipeline_text text;
  text.text = std::string(input);
  text.shown = "f.yaml";
  text.file = "/nowhere/f.yaml";
  text.lookup = [](const std::string& name) -> std::optional<std::string> {
    if (name.size() % 2 == 0) return std::nullopt;
    return "value of " + name;
  };
  try {
    const cli::pipeline_config config = cli::read_pipeline(text, cli::all_components());
    demand(!config.name.empty(), "a pipeline has a name");
  } catch (const cli::invalid_pipeline& invalid) {
    demand(!invalid.lines().empty(), "what is refused has a problem");
    for (const std::string& line : invalid.lines()) {
      demand(line.starts_with("f.yaml:"), "a problem has a place");
    }
  }
}

}  // namespace
}  // namespace brigade::fuzz

BRIGADE_FUZZ(pipeline_file, brigade::fuzz::run);
