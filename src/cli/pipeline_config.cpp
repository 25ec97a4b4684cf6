#include "cli/pipeline_config.hpp"

#include "cli/pipeline_reader.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace brigade::cli {
namespace {

constexpr std::uintmax_t file_bytes_max = std::uintmax_t{4} << 20;

[[noreturn]] void refuse(const std::string& file, std::string_view why) {
  throw invalid_pipeline({fmt::format("{}: {}", file, why)});
}

std::string file_text(const std::string& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) refuse(file, "there is no such file");
  if (std::filesystem::is_directory(status)) refuse(file, "is a folder, not a pipeline file");
  errno = 0;
  std::ifstream input(file, std::ios::binary);
  if (!input) refuse(file, fmt::format("cannot be read: {}", std::strerror(errno)));
  std::string text(file_bytes_max + 1, '\0');
  input.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (input.bad()) refuse(file, fmt::format("cannot be read: {}", std::strerror(errno)));
  text.resize(static_cast<std::size_t>(input.gcount()));
  if (text.size() > file_bytes_max) refuse(file, "is over 4 MiB: that is no pipeline file");
  return text;
}

std::optional<std::string> process_variable(const std::string& name) {
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

std::filesystem::path pipeline_config::ledger_path() const { return state / (name + ".ledger.db"); }

pipeline_config read_pipeline(const pipeline_text& input, const registry& known) {
  std::vector<std::string> arguments;
  for (const std::string& set : input.sets) arguments.push_back("--set " + set);
  const place_names names(input.shown, arguments);
  problem_list problems;
  std::optional<yaml_node> root = parse_yaml(input.text, problems);
  if (!root) problems.raise(names);
  for (std::size_t i = 0; i < input.sets.size(); ++i) {
    apply_override(*root, input.sets[i], static_cast<int>(i) + 1, problems);
  }
  expand_variables(*root, input.lookup, problems);

  return read_tree(pipeline_tree{*std::move(root), names, input.file, input.file.parent_path()},
                   problems, known);
}

std::string workers_text(const stage_policy& policy) {
  std::string text = std::to_string(policy.workers);
  if (policy.workers_max > policy.workers) text += ".." + std::to_string(policy.workers_max);
  return text;
}

pipeline_config read_tree(const pipeline_tree& input, problem_list& problems,
                          const registry& known) {
  pipeline_config config(input.names);
  config.file = input.file;
  config.folder = input.folder;
  pipeline_reader(known, problems, config).read(input.root);
  if (!problems.empty()) try_parts(config, known, problems);
  problems.raise(input.names);
  return config;
}

pipeline_config load_pipeline(const std::string& file, const std::vector<std::string>& sets,
                              const registry& known) {
  pipeline_text input;
  input.text = file_text(file);
  input.shown = file;
  input.file = std::filesystem::absolute(file).lexically_normal();
  input.sets = sets;
  input.lookup = process_variable;
  return read_pipeline(input, known);
}

}  // namespace brigade::cli
