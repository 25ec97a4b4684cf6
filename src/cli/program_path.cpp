#include "cli/program_path.hpp"

#include <brigade/async/process.hpp>

#include <fmt/format.h>
#include <unistd.h>

namespace brigade::cli {
namespace {

bool can_be_run(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(file, ignored) && ::access(file.c_str(), X_OK) == 0;
}

bool is_in_path(const std::string& program) {
  try {
    static_cast<void>(find_program(process_options({program})));
    return true;
  } catch (const start_error&) {
    return false;
  }
}

}  // namespace

std::string program_path(const std::filesystem::path& folder, const std::string& program) {
  if (program.find('/') == std::string::npos) return program;
  return (std::filesystem::absolute(folder) / program).lexically_normal().string();
}

std::optional<std::string> trouble_with_program(const std::filesystem::path& folder,
                                                const std::string& program) {
  const std::string path = program_path(folder, program);
  if (path.find('/') == std::string::npos) {
    if (is_in_path(path)) return std::nullopt;
    return fmt::format(
        "there is no program '{}' in PATH; for one beside the pipeline file write "
        "./{}",
        program, program);
  }
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return fmt::format("there is no program {}", path);
  if (can_be_run(path)) return std::nullopt;
  return fmt::format("{} cannot be run: make it executable with chmod +x", path);
}

}  // namespace brigade::cli
