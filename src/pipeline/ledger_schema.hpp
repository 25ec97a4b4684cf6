/// The ledger's file: where it is made, checked and given its tables.
#pragma once
#include "pipeline/ledger_database.hpp"

#include <brigade/pipeline/ledger.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace brigade::ledger_detail {

inline constexpr std::int64_t schema_version = 1;

/// How an outcome stands in a row: its place in `all_outcomes`.
[[nodiscard]] inline std::int64_t stored(outcome result) {
  return static_cast<std::int64_t>(result);
}

/// Throws ledger_error when the file, or its folder, is not to be written; makes the folder.
void prepare_folder(const std::filesystem::path& file);
/// Opens for writing, and makes the tables when the file is new. Throws ledger_error.
[[nodiscard]] database open_for_writing(const std::filesystem::path& file);
/// Opens a ledger that is there for reading. Throws ledger_error.
[[nodiscard]] database open_for_reading(const std::filesystem::path& file);

/// A value of the table `meta`; empty when it is not there.
[[nodiscard]] std::string meta(database& in, std::string_view key);
void set_meta(database& in, std::string_view key, std::string_view value);

/// What went wrong with the file, as one line for the user.
[[nodiscard]] ledger_error explained(const std::filesystem::path& file,
                                     const database_error& error);

}  // namespace brigade::ledger_detail
