/// The report as a person reads it: how it ended, the identity, the stages, the failures.
#include "pipeline/text.hpp"

#include <brigade/pipeline/report.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>

namespace brigade {
namespace {

constexpr std::size_t workers_shown_max = 12;
constexpr std::size_t failures_shown_max = 20;

std::string_view meaning_of_exit(int code) {
  switch (code) {
    case 0:
      return "all delivered or filtered";
    case 1:
      return "the run failed";
    case 3:
      return "finished, but some items were dead-lettered or dropped";
    case 4:
      return "stopped by the first failure, or by too many of them";
    case 5:
      return "stopped before the end of the source, or with items returned";
    case 130:
      return "aborted";
    default:
      return "";
  }
}

std::string header(const report& of) {
  std::string text = fmt::format("{}, run {}: ", of.pipeline, of.run);
  if (of.state != run_state::ended) {
    text += fmt::format("{}; recorded so far, in {:.1f} s:", to_string(of.state), of.seconds);
  } else {
    text += fmt::format("exit {}", of.exit_code);
    const std::string_view meaning = meaning_of_exit(of.exit_code);
    if (!meaning.empty()) text += fmt::format(" ({})", meaning);
    text += fmt::format(", {:.1f} s", of.seconds);
  }
  text += '\n';
  if (!of.error.empty()) text += "  " + detail::as_utf8(of.error) + '\n';
  return text;
}

std::string identity(const report& of) {
  std::string text = fmt::format("\n  taken {}\n", of.taken);
  const auto add = [&](std::string_view name, std::uint64_t items) {
    fmt::format_to(std::back_inserter(text), "  {} {:<13} {:>{}}\n",
                   name == to_string(outcome::delivered) ? '=' : '+', name, items,
                   std::to_string(of.taken).size());
  };
  for (const outcome each : all_outcomes) add(to_string(each), of.count(each));
  if (of.in_flight > 0) add("in_flight", of.in_flight);
  if (of.retries > 0) text += fmt::format("  retries {}\n", of.retries);
  return text;
}

// When there are several: the identity of each, in a line.
std::string source_lines(const std::vector<source_report>& sources) {
  if (sources.size() < 2) return {};
  std::string text = "\n";
  for (const source_report& each : sources) {
    text += fmt::format("  from {}: taken {} = delivered {}", each.name, each.taken,
                        each.settled[static_cast<std::size_t>(outcome::delivered)]);
    for (const outcome result : all_outcomes) {
      const std::uint64_t items = each.settled[static_cast<std::size_t>(result)];
      if (result == outcome::delivered || items == 0) continue;
      fmt::format_to(std::back_inserter(text), " + {} {}", to_string(result), items);
    }
    if (each.in_flight > 0) text += fmt::format(" + in_flight {}", each.in_flight);
    text += '\n';
  }
  return text;
}

std::string workers_text(const std::vector<worker_report>& workers) {
  std::string text;
  if (workers.size() > workers_shown_max) {
    const auto [fewest, most] = std::ranges::minmax(workers, {}, &worker_report::items);
    std::uint64_t failed = 0;
    for (const worker_report& each : workers) failed += each.failed;
    text = fmt::format("{} workers: {} to {} each", workers.size(), fewest.items, most.items);
    if (failed > 0) text += fmt::format(" ({} failed)", failed);
    return text;
  }
  for (const worker_report& each : workers) {
    if (!text.empty()) text += "  ";
    text += fmt::format("{}", each.items);
    if (each.failed > 0) text += fmt::format(" ({} failed)", each.failed);
  }
  return text;
}

struct column {
  std::string_view name;
  std::function<std::uint64_t(const stage_report&)> value;
  bool always;  ///< else only when it is not 0 everywhere
};

std::vector<column> columns_of(const std::vector<stage_report>& stages) {
  const auto settled = [](outcome result) {
    return [result](const stage_report& stage) {
      return stage.settled[static_cast<std::size_t>(result)];
    };
  };
  std::vector<column> columns = {
      {"in", [](const stage_report& stage) { return stage.in; }, true},
      {"born", [](const stage_report& stage) { return stage.born; }, false},
      {"passed", [](const stage_report& stage) { return stage.passed; }, true},
      {"filtered", settled(outcome::filtered), false},
      {"dead_lettered", settled(outcome::dead_lettered), true},
      {"dropped", settled(outcome::dropped), false},
      {"returned", settled(outcome::returned), false},
      {"in_flight", [](const stage_report& stage) { return stage.in_flight; }, false},
      {"retries", [](const stage_report& stage) { return stage.retries; }, true},
  };
  std::erase_if(columns, [&](const column& each) {
    return !each.always && std::ranges::all_of(stages, [&](const stage_report& stage) {
      return each.value(stage) == 0;
    });
  });
  return columns;
}

std::string stage_table(const std::vector<stage_report>& stages) {
  if (stages.empty()) return {};
  const std::vector<column> columns = columns_of(stages);
  std::size_t name_width = std::string_view("stage").size();
  for (const stage_report& stage : stages) name_width = std::max(name_width, stage.name.size());

  std::vector<std::size_t> widths;
  std::string text = fmt::format("\n  {:<{}}", "stage", name_width);
  for (const column& each : columns) {
    std::size_t width = each.name.size();
    for (const stage_report& stage : stages) {
      width = std::max(width, std::to_string(each.value(stage)).size());
    }
    widths.push_back(width);
    fmt::format_to(std::back_inserter(text), "  {:>{}}", each.name, width);
  }
  text += "  items of each worker\n";
  for (const stage_report& stage : stages) {
    std::string line = fmt::format("  {:<{}}", stage.name, name_width);
    for (std::size_t index = 0; index < columns.size(); ++index) {
      fmt::format_to(std::back_inserter(line), "  {:>{}}", columns[index].value(stage),
                     widths[index]);
    }
    const std::string workers = workers_text(stage.workers);
    text += workers.empty() ? line + '\n' : line + "  " + workers + '\n';
  }
  return text;
}

std::vector<failure_group> group(const std::vector<dead_letter_report>& letters) {
  std::vector<failure_group> groups;
  for (const dead_letter_report& letter : letters) {
    const auto same = std::ranges::find_if(groups, [&](const failure_group& each) {
      return each.stage == letter.stage && each.error == letter.error;
    });
    if (same == groups.end()) {
      groups.push_back({letter.stage, letter.error, 1, letter.id});
    } else {
      ++same->items;
    }
  }
  // Most first; alike ones stay in their order.
  std::multimap<std::uint64_t, failure_group, std::greater<>> sorted;
  for (failure_group& each : groups) sorted.emplace(each.items, std::move(each));
  groups.clear();
  for (auto& [items, each] : sorted) groups.push_back(std::move(each));
  return groups;
}

std::string failure_list(const report& of) {
  const bool is_sample = of.failures.empty();
  const std::vector<failure_group> groups = is_sample ? group(of.dead_letters) : of.failures;
  if (groups.empty()) return {};

  std::string text = "\n  failures";
  if (is_sample && of.count(outcome::dead_lettered) > of.dead_letters.size()) {
    text += fmt::format(" (the first {} of {})", of.dead_letters.size(),
                        of.count(outcome::dead_lettered));
  }
  text += '\n';
  std::size_t count_width = 1;
  std::size_t stage_width = 1;
  const std::size_t shown = std::min(groups.size(), failures_shown_max);
  for (std::size_t index = 0; index < shown; ++index) {
    count_width = std::max(count_width, std::to_string(groups[index].items).size());
    stage_width = std::max(stage_width, groups[index].stage.size());
  }
  for (std::size_t index = 0; index < shown; ++index) {
    const failure_group& each = groups[index];
    text += fmt::format("  {:>{}} x  {:<{}}  {}  (e.g. {})\n", each.items, count_width, each.stage,
                        stage_width, detail::as_utf8(each.error), each.example);
  }
  if (shown < groups.size()) text += fmt::format("  ... and {} more\n", groups.size() - shown);
  return text;
}

}  // namespace

std::string report::text() const {
  return header(*this) + identity(*this) + source_lines(sources) + stage_table(stages) +
         failure_list(*this);
}

}  // namespace brigade
