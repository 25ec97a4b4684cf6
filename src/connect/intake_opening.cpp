#include "connect/intake_opening.hpp"

#include <brigade/pipeline/log.hpp>

#include <utility>

namespace brigade {

task<opened_intake> open_intake(intake_options options, std::string source, std::string meanwhile,
                                std::vector<partition_mark> resume) {
  auto opening = intake_journal::open(std::move(options));
  opened_intake made;
  made.journal = co_await std::move(opening);
  made.partition = source + ":" + made.journal->token();
  for (partition_mark& each : resume) {
    if (each.partition == made.partition) made.done = std::move(each.at);
  }
  // Without its source: a connection may hold the journal for longer.
  made.journal->on_full = [source, meanwhile](const std::string& why) {
    log_line("source '" + source +
             "': " + (why.empty() ? "there is room in the journal again" : why + ": " + meanwhile));
  };
  made.journal->start(made.done);
  co_return made;
}

std::string left_in_intake(std::uint64_t items) {
  if (items == 0) return {};
  return std::to_string(items) + " items stay in the journal, for the next run";
}

}  // namespace brigade
