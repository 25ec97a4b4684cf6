#include "pipeline/text.hpp"

#include <brigade/pipeline/report.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>

namespace brigade {
namespace {

using detail::as_json;

std::uint64_t sum(const std::array<std::uint64_t, outcome_count>& settled) {
  return std::accumulate(settled.begin(), settled.end(), std::uint64_t{0});
}

std::string workers_json(const std::vector<worker_report>& workers) {
  std::string json;
  for (const worker_report& each : workers) {
    fmt::format_to(std::back_inserter(json), R"({}{{"id": {}, "items": {}, "failed": {}}})",
                   json.empty() ? "" : ", ", each.id, each.items, each.failed);
  }
  return json;
}

std::string stage_json(const stage_report& stage) {
  const auto settled = [&](outcome result) {
    return stage.settled[static_cast<std::size_t>(result)];
  };
  return fmt::format(
      R"({{"name": {}, "in": {}, "born": {}, "passed": {}, "filtered": {}, "dead_lettered": {}, )"
      R"("dropped": {}, "returned": {}, "in_flight": {}, "retries": {}, "workers": [{}]}})",
      as_json(stage.name), stage.in, stage.born, stage.passed, settled(outcome::filtered),
      settled(outcome::dead_lettered), settled(outcome::dropped), settled(outcome::returned),
      stage.in_flight, stage.retries, workers_json(stage.workers));
}

std::string source_json(const source_report& source) {
  std::string json =
      fmt::format(R"({{"name": {}, "taken": {})", as_json(source.name), source.taken);
  for (const outcome each : all_outcomes) {
    fmt::format_to(std::back_inserter(json), R"(, "{}": {})", to_string(each),
                   source.settled[static_cast<std::size_t>(each)]);
  }
  return json + fmt::format(R"(, "in_flight": {}}})", source.in_flight);
}

std::string letter_json(const dead_letter_report& letter) {
  return fmt::format(R"({{"id": {}, "stage": {}, "error": {}, "attempts": {}}})",
                     as_json(letter.id), as_json(letter.stage), as_json(letter.error),
                     letter.attempts);
}

}  // namespace

bool stage_report::adds_up() const { return in + born == passed + sum(settled) + in_flight; }

bool source_report::adds_up() const { return taken == sum(settled) + in_flight; }

bool report::adds_up() const {
  return taken == sum(settled) + in_flight &&
         std::ranges::all_of(sources, [](const source_report& each) { return each.adds_up(); }) &&
         std::ranges::all_of(stages, [](const stage_report& each) { return each.adds_up(); });
}

std::string report::line() const {
  std::string text = fmt::format("{}: taken {} =", pipeline, taken);
  for (const outcome each : all_outcomes) {
    fmt::format_to(std::back_inserter(text), "{} {} {}", each == outcome::delivered ? "" : " +",
                   to_string(each), count(each));
  }
  // At an end nothing is in flight; in the account of a run that goes on, the sum needs it.
  if (in_flight > 0) text += fmt::format(" + in_flight {}", in_flight);
  text += fmt::format("; retries {}; {:.1f} s; ", retries, seconds);
  if (state != run_state::ended) return text + std::string(to_string(state));
  return text + fmt::format("exit {}", exit_code);
}

std::string report::json() const {
  std::string text = fmt::format(R"({{"pipeline": {}, "run": {}, "exit": {}, "taken": {})",
                                 as_json(pipeline), run, exit_code, taken);
  for (const outcome each : all_outcomes) {
    fmt::format_to(std::back_inserter(text), R"(, "{}": {})", to_string(each), count(each));
  }
  text += fmt::format(R"(, "in_flight": {}, "retries": {}, "seconds": {:.3f})", in_flight, retries,
                      seconds);
  if (sources.size() > 1) {
    for (std::size_t index = 0; index < sources.size(); ++index) {
      text += (index == 0 ? R"(, "sources": [)" : ", ") + source_json(sources[index]);
    }
    text += "]";
  }
  text += R"(, "stages": [)";
  for (std::size_t index = 0; index < stages.size(); ++index) {
    if (index > 0) text += ", ";
    text += stage_json(stages[index]);
  }
  text += R"(], "dead_letters": [)";
  for (std::size_t index = 0; index < std::min(dead_letters.size(), dead_letters_max); ++index) {
    if (index > 0) text += ", ";
    text += letter_json(dead_letters[index]);
  }
  return text + "]}";
}

}  // namespace brigade
