#include "cli/exit_code.hpp"
#include "cli/plain_text.hpp"
#include "cli/verbs.hpp"

#include <fmt/format.h>

#include <ostream>

namespace brigade::cli {
namespace {

std::string attempts_text(int attempts) {
  return fmt::format("{} attempt{}", attempts, attempts == 1 ? "" : "s");
}

void show_outcome(const outcome_row& row, std::ostream& out) {
  out << fmt::format("run {}: {} {}", row.run, plain_line(row.id), row.result);
  if (!row.stage.empty()) out << fmt::format(" at stage '{}'", row.stage);
  if (row.attempts > 0) out << " after " << attempts_text(row.attempts);
  if (!row.error.empty()) out << ": " << plain_line(row.error);
  out << '\n';
  if (!row.business_id.empty()) out << "  business id  " << plain_line(row.business_id) << '\n';
  if (!row.replay_of.empty()) out << "  replay of    " << plain_line(row.replay_of) << '\n';
  if (!row.taken_at.empty()) out << "  taken        " << row.taken_at << '\n';
  if (!row.settled_at.empty()) out << "  settled      " << row.settled_at << '\n';
  for (const attempt_row& attempt : row.failed_attempts) {
    const std::string number =
        attempt.number > 0 ? fmt::format("attempt {}", attempt.number) : std::string("not charged");
    out << fmt::format("  {:<11}  {}  stage '{}', worker {}: {}\n", number, attempt.at,
                       attempt.stage, attempt.worker, plain_line(attempt.error));
  }
}

void show_letter(const letter_row& letter, const explain_options& options, std::ostream& out) {
  out << fmt::format("dead letter {}: {} at stage '{}', {}\n", letter.number, plain_line(letter.id),
                     letter.stage,
                     letter.replayed  ? "replayed"
                     : letter.dropped ? "dropped"
                                      : "not replayed");
  if (letter.replayed || letter.dropped) return;
  out << fmt::format("  see it:  brigade dlq show {} {}\n", options.ledger.string(), letter.id);
  if (!letter.replayable) return;
  out << fmt::format("  replay:  brigade dlq replay {} {}\n", options.ledger.string(), letter.id);
}

/// For an item of which the ledger has no row.
std::string_view state_text(position_state state) {
  switch (state) {
    case position_state::unknown:
      return "the ledger has never heard of it";
    case position_state::unfinished:
      return "unfinished: not taken yet, in work, or returned";
    case position_state::finished:
      return "delivered at its first attempt; no row was kept of it";
    case position_state::recovered:
      return "delivered: the sink had it when the program was killed";
  }
  return {};
}

}  // namespace

int explain_verb(const explain_options& options, std::ostream& out, std::ostream& err) {
  const item_history history = ledger_reader(options.ledger).history(options.item);
  const bool has_rows = !history.outcomes.empty() || !history.letters.empty();
  if (!has_rows && history.state == position_state::unknown) {
    err << fmt::format("{}: {}: {}\n", options.ledger.string(), plain_line(options.item),
                       state_text(history.state));
    return exit_failed;
  }
  if (!has_rows) out << plain_line(options.item) << ": " << state_text(history.state) << '\n';
  for (const outcome_row& row : history.outcomes) show_outcome(row, out);
  for (const letter_row& letter : history.letters) show_letter(letter, options, out);
  return exit_ok;
}

}  // namespace brigade::cli
