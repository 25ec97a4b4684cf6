/// What a ledger has to tell: its runs, the history of an item, the dead letters. Changes nothing.
///
/// Reads beside a run that is writing, and what a killed run left. Each call sees the ledger as it
/// is then. Times are UTC text (`2026-01-31T09:05:00.123Z`), empty where there is none.
///
/// Throws ledger_error with one line for the user. Thread safety: one thread at a time.
#pragma once
#include <brigade/pipeline/ledger.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct run_record {
  std::uint64_t run = 0;
  std::string pipeline;
  std::uint64_t epoch = 1;
  std::int64_t pid = 0;
  std::string mode;
  std::string started_at;
  std::string ended_at;  ///< of a killed run: when something was recorded last
  run_state state = run_state::ended;
  std::optional<int> exit_code;
  std::string error;
  std::array<std::uint64_t, outcome_count> settled{};
  std::uint64_t retries = 0;
};

/// A failed attempt, as `attempt_record`.
struct attempt_row {
  std::string stage;
  int number = 0;
  int worker = 0;
  std::string error;
  std::string at;
};

/// What became of an item in one run.
struct outcome_row {
  std::string id;
  std::string business_id;
  std::uint64_t run = 0;
  std::string result;
  std::string stage;
  int attempts = 0;
  std::string error;
  std::string taken_at;
  std::string settled_at;
  std::string replay_of;
  std::vector<attempt_row> failed_attempts;
};

struct letter_row {
  std::uint64_t number = 0;  ///< its position in `replay_partition`
  std::string id;
  std::string business_id;
  std::uint64_t run = 0;
  std::string stage;
  int stage_index = 0;
  int attempts = 0;
  std::string error;
  bool replayed = false;
  bool dropped = false;
  bool replayable = true;
  std::string at;
  std::string replay_of;
  std::string partition;  ///< what the id is made of
  std::uint64_t position = 0;
  std::string payload;         ///< filled in by `letter` only
  std::string source_payload;  ///< likewise
};

struct letter_filter {
  std::string stage;             ///< empty: any
  std::string error;             ///< part of the error; empty: any
  std::vector<std::string> ids;  ///< position or business ids; empty: any
  bool include_settled = false;  ///< also those that were replayed or dropped
};

/// What the marks say of an item for which a row may be missing.
enum class position_state : std::uint8_t {
  unknown,     ///< no such position; a business id that was never recorded
  unfinished,  ///< not taken yet, in work, or returned
  finished,    ///< without a row: delivered at the first attempt (mode `failures`)
  recovered,   ///< the sink had it when the program was killed: delivered
};

struct item_history {
  position_state state = position_state::unknown;
  std::vector<outcome_row> outcomes;  ///< in order of the runs; an item's children behind it
  std::vector<letter_row> letters;
};

class ledger_reader {
 public:
  explicit ledger_reader(const std::filesystem::path& ledger);
  ~ledger_reader();

  [[nodiscard]] std::string pipeline() const;
  /// Of the last run; empty when there was none (a pipeline built in C++).
  [[nodiscard]] std::filesystem::path pipeline_file() const;
  [[nodiscard]] std::vector<run_record> runs() const;
  /// The account of a run, by default of the last: with all its failures in groups.
  [[nodiscard]] report run_report(std::optional<std::uint64_t> run = std::nullopt) const;
  /// By position id, a child's too, or by business id.
  [[nodiscard]] item_history history(std::string_view id) const;
  /// Whether an outcome was recorded for exactly this position id: quick, where most are new.
  [[nodiscard]] bool has_row(std::string_view id) const;
  /// Oldest first, without payloads.
  [[nodiscard]] std::vector<letter_row> dead_letters(const letter_filter& filter) const;
  /// By its number, with payloads.
  [[nodiscard]] letter_row letter(std::uint64_t number) const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace brigade
