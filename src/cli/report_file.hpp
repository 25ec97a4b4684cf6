/// `--report FILE`: where the account of a run is written.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace brigade::cli {

/// Why the report cannot be written there; nothing if it can, as far as one can tell.
[[nodiscard]] std::optional<std::string> trouble_with_report(const std::filesystem::path& path);

/// Writes `text` beside the place first, durably, and then puts it there: a reader sees the report
/// whole or not at all, also after a power cut. Gives why it is not written.
[[nodiscard]] std::optional<std::string> write_report(const std::string& text,
                                                      const std::filesystem::path& path);

}  // namespace brigade::cli
