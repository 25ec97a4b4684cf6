#include "cli/exit_code.hpp"
#include "cli/plain_text.hpp"
#include "cli/verbs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

namespace brigade::cli {
namespace {

/// A table; the items' own ids stand in it when any has one.
void show_list(const std::vector<letter_row>& letters, std::ostream& out) {
  constexpr std::size_t error_bytes_max = 120;
  constexpr std::size_t name_bytes_max = 40;
  std::vector<std::array<std::string, 5>> rows = {
      {"id", "stage", "attempts", "business id", "error"}};
  for (const letter_row& letter : letters) {
    rows.push_back({plain_line(letter.id), plain_line(letter.stage),
                    std::to_string(letter.attempts), plain_line(letter.business_id, name_bytes_max),
                    plain_line(letter.error, error_bytes_max)});
  }
  const bool named = std::ranges::any_of(
      letters, [](const letter_row& letter) { return !letter.business_id.empty(); });
  std::array<std::size_t, 5> widths{};
  for (const auto& row : rows) {
    for (std::size_t n = 0; n < row.size(); ++n) widths[n] = std::max(widths[n], row[n].size());
  }
  for (const auto& [id, stage, attempts, name, error] : rows) {
    out << fmt::format("{:<{}}  {:<{}}  {:>{}}  ", id, widths[0], stage, widths[1], attempts,
                       widths[2]);
    if (named) out << fmt::format("{:<{}}  ", name, widths[3]);
    out << error << '\n';
  }
}

void show_whole(const letter_row& letter, std::ostream& out) {
  constexpr std::size_t payload_bytes_max = 64 * 1024;
  const auto line = [&out](std::string_view label, std::string_view text) {
    out << fmt::format("  {:<12} {}\n", label, text);
  };
  out << plain_line(letter.id) << '\n';
  if (!letter.business_id.empty()) line("business id", plain_line(letter.business_id));
  line("stage", fmt::format("{}, {} attempt{}", plain_line(letter.stage), letter.attempts,
                            letter.attempts == 1 ? "" : "s"));
  line("error", plain_line(letter.error));
  line("failed", fmt::format("{}, run {}", letter.at, letter.run));
  if (!letter.replay_of.empty()) line("replay of", plain_line(letter.replay_of));
  if (letter.replayed) line("replayed", "yes");
  if (letter.dropped) line("dropped", "yes");
  if (!letter.replayable) line("replayable", "no: its payload has no text that reads back");
  line("payload", plain_line(letter.payload, payload_bytes_max));
  if (letter.source_payload != letter.payload) {
    line("at source", plain_line(letter.source_payload, payload_bytes_max));
  }
}

std::string pipeline_file(const replay_options& options) {
  if (options.pipeline) return *options.pipeline;
  const std::filesystem::path named = ledger_reader(options.ledger).pipeline_file();
  if (named.empty()) {
    throw std::runtime_error(fmt::format("{} names no pipeline file: say which by --pipeline FILE",
                                         options.ledger.string()));
  }
  return named.string();
}

}  // namespace

int dlq_list_verb(const dlq_list_options& options, std::ostream& out) {
  const auto letters = ledger_reader(options.ledger).dead_letters(options.which);
  if (letters.empty()) {
    out << "no dead letters\n";
  } else {
    show_list(letters, out);
  }
  return exit_ok;
}

int dlq_show_verb(const dlq_show_options& options, std::ostream& out) {
  letter_filter which = options.which;
  which.include_settled = !which.ids.empty();  // who names a letter wants to see it
  const ledger_reader reader(options.ledger);
  const auto letters = reader.dead_letters(which);
  if (letters.empty()) out << "no dead letters\n";
  for (const letter_row& letter : letters) show_whole(reader.letter(letter.number), out);
  return exit_ok;
}

int dlq_drop_verb(const dlq_drop_options& options, std::ostream& out, std::ostream& err) {
  std::vector<std::uint64_t> numbers;
  std::set<std::string> missing(options.which.ids.begin(), options.which.ids.end());
  for (const letter_row& letter : ledger_reader(options.ledger).dead_letters(options.which)) {
    numbers.push_back(letter.number);
    missing.erase(letter.id);
    missing.erase(letter.business_id);
  }
  const std::size_t dropped = numbers.empty() ? 0 : drop_letters(options.ledger, numbers);
  out << fmt::format("dropped {} dead letter{}\n", dropped, dropped == 1 ? "" : "s");
  for (const std::string& id : missing) {
    err << fmt::format("{}: there is no such dead letter to drop: {}\n", options.ledger.string(),
                       plain_line(id));
  }
  return missing.empty() ? exit_ok : exit_failed;
}

int dlq_replay_verb(const replay_options& options, const registry& known) {
  pipeline_config config = load_pipeline(pipeline_file(options), {}, known);
  pipeline_parts parts = make_parts(config, known);
  return replay_letters(config, std::move(parts), options);
}

}  // namespace brigade::cli
