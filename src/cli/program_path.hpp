/// Where a command's program is, before anybody starts it.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace brigade::cli {

/// As a command of a pipeline file means it: with a slash in it, relative to the file's folder;
/// without one, to be looked for in PATH.
[[nodiscard]] std::string program_path(const std::filesystem::path& folder,
                                       const std::string& program);

/// Why it could not be started; nothing when it could, as far as one can tell.
[[nodiscard]] std::optional<std::string> trouble_with_program(const std::filesystem::path& folder,
                                                              const std::string& program);

}  // namespace brigade::cli
