// What the sources with an intake journal do alike: they open it behind the last run's mark, and
// say in the log when it is full, and what is left in it.
#pragma once
#include "connect/intake_journal.hpp"

#include <brigade/pipeline/mark.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct opened_intake {
  std::unique_ptr<intake_journal> journal;  ///< started behind `done`
  std::string partition;
  mark done;
};

/// `source` is its name; `meanwhile`, of a full journal, what happens until there is room.
task<opened_intake> open_intake(intake_options options, std::string source, std::string meanwhile,
                                std::vector<partition_mark> resume);

/// What is left to the next run, for the log; empty: nothing.
[[nodiscard]] std::string left_in_intake(std::uint64_t items);

}  // namespace brigade
