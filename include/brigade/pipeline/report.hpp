/// The account of a run for people and programs: the identity and its numbers.
///
///   taken = delivered + filtered + dead_lettered + dropped + returned + in_flight
///   per stage: in + born = passed + filtered + dead_lettered + dropped + returned + in_flight
#pragma once
#include <brigade/pipeline/outcome.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// Of a run that has not ended, the numbers are of what was recorded until now.
enum class run_state : std::uint8_t { ended, running, killed };
[[nodiscard]] constexpr std::string_view to_string(run_state state) {
  constexpr std::array<std::string_view, 3> names = {"ended", "running", "killed"};
  return names[static_cast<std::size_t>(state)];
}

struct worker_report {
  int id = 0;
  std::uint64_t items = 0;
  std::uint64_t failed = 0;  ///< attempts of this worker that failed
};

struct stage_report {
  std::string name;
  std::uint64_t in = 0;
  std::uint64_t born = 0;
  std::uint64_t passed = 0;
  std::array<std::uint64_t, outcome_count> settled{};  ///< here, by outcome; delivered stays 0
  std::uint64_t in_flight = 0;
  std::uint64_t retries = 0;
  std::vector<worker_report> workers;  ///< all that ever were
  int workers_wanted = 0;              ///< how many there are to be now; not in `text` and `json`
  [[nodiscard]] bool adds_up() const;
};

/// The identity of one source: `taken` is the sum of the others.
struct source_report {
  std::string name;
  std::uint64_t taken = 0;
  std::array<std::uint64_t, outcome_count> settled{};
  std::uint64_t in_flight = 0;
  [[nodiscard]] bool adds_up() const;
};

struct dead_letter_report {
  std::string id;
  std::string stage;
  std::string error;
  int attempts = 0;
};

/// Dead letters alike: one stage, one error.
struct failure_group {
  std::string stage;
  std::string error;
  std::uint64_t items = 0;
  std::string example;  ///< id of one of them
};

struct report {
  static constexpr std::size_t dead_letters_max = 100;

  std::string pipeline;
  std::uint64_t run = 0;
  int exit_code = 0;
  std::uint64_t taken = 0;
  std::array<std::uint64_t, outcome_count> settled{};
  std::uint64_t in_flight = 0;
  std::uint64_t retries = 0;
  double seconds = 0;
  std::vector<source_report> sources;            ///< in order of their first item
  std::vector<stage_report> stages;              ///< in order; the sink is the last
  std::vector<dead_letter_report> dead_letters;  ///< the first hundred
  std::vector<failure_group> failures;  ///< of all dead letters, when known (from a ledger);
                                        ///< empty: `text` groups `dead_letters`
  std::string error;                    ///< why the run failed or stopped early; empty: it did not
  run_state state = run_state::ended;

  [[nodiscard]] std::uint64_t count(outcome result) const {
    return settled[static_cast<std::size_t>(result)];
  }
  /// The identity, of the run, of each source and of each stage.
  [[nodiscard]] bool adds_up() const;
  /// `orders: taken 1000 = delivered 997 + ...; retries 7; 12.3 s; exit 3`
  [[nodiscard]] std::string line() const;
  /// What `--report FILE` writes; the sources stand in it when there are several. Text that is not
  /// UTF-8 has U+FFFD in its place.
  [[nodiscard]] std::string json() const;
  /// For a person: the stages with their workers, the failures grouped by stage and error.
  [[nodiscard]] std::string text() const;
};

}  // namespace brigade
