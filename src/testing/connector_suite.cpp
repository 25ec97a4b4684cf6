#include "testing/suite_world.hpp"

#include <brigade/testing/connector_suite.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <ostream>
#include <sstream>

namespace brigade::testing {

void far_side::go_down() {
  if (wire() != nullptr) wire()->strike(proxy_fault::refuse);
}
void far_side::come_back() {
  if (wire() != nullptr) wire()->heal();
}

std::string suite_texts::of(std::size_t number) const {
  return sample ? sample(number) : "item " + std::to_string(number);
}

const std::vector<source_case>& source_cases() {
  static const std::vector<source_case> cases = [] {
    std::vector<source_case> made;
    suite::add_source_cases(made);
    suite::add_source_stop_cases(made);
    suite::add_source_network_cases(made);
    return made;
  }();
  return cases;
}

const std::vector<sink_case>& sink_cases() {
  static const std::vector<sink_case> cases = [] {
    std::vector<sink_case> made;
    suite::add_sink_cases(made);
    suite::add_sink_stop_cases(made);
    suite::add_sink_network_cases(made);
    return made;
  }();
  return cases;
}

namespace {

const std::vector<source_case>& cases_of(const source_description&) { return source_cases(); }
const std::vector<sink_case>& cases_of(const sink_description&) { return sink_cases(); }
std::string title_of(const source_description& what) { return "source " + what.name; }
std::string title_of(const sink_description& what) { return "sink " + what.name; }

template <class Description>
std::string reason(const Description& what, const suite_case<Description>& which) {
  const auto excused = what.excused.find(which.name);
  return excused != what.excused.end() ? excused->second : which.unfit(what);
}

template <class Description>
void run_among(const Description& what, const suite_case<Description>& which) {
  const std::shared_ptr<void> around = what.surroundings ? what.surroundings() : nullptr;
  which.run(what);
}

template <class Description>
std::string attempt(const Description& what, const suite_case<Description>& which) {
  if (std::getenv("BRIGADE_SUITE_HERE") == nullptr) {
    const suite::child_end end = suite::in_child([&] { run_among(what, which); });
    return end.killed ? "the process was killed" : end.failure;
  }
  try {
    run_among(what, which);
  } catch (const std::exception& wrong) {
    return wrong.what();
  }
  return {};
}

template <class Description>
void refuse_unknown_excuses(const Description& what) {
  for (const auto& excuse : what.excused) {
    const std::string& name = excuse.first;
    const bool known =
        std::ranges::any_of(cases_of(what), [&](const auto& each) { return each.name == name; });
    if (!known) {
      throw std::invalid_argument(title_of(what) + " is excused from '" + name +
                                  "', which is no case");
    }
  }
}

std::string numbers_line(const std::string& title, std::size_t cases, const suite_result& counts) {
  return title + ": " + std::to_string(counts.executed) + " of " + std::to_string(cases) +
         " cases executed, " + std::to_string(counts.failed) + " failed, " +
         std::to_string(counts.unfit) + " do not apply\n";
}

template <class Description, class Run>
suite_result run_all(const Description& what, std::ostream& to, const Run& run) {
  refuse_unknown_excuses(what);
  suite_result counts;
  std::map<std::string, std::string> unfit;  // by reason
  for (const auto& each : cases_of(what)) {
    const std::string why = reason(what, each);
    if (!why.empty()) {
      ++counts.unfit;
      unfit[why] += " " + each.name;
      continue;
    }
    ++counts.executed;
    const std::string wrong = run(each);
    if (wrong.empty()) continue;
    ++counts.failed;
    to << "  FAILED: " << each.name << ": " << wrong << "\n";
  }
  for (const auto& [why, names] : unfit) to << "  does not apply, " << why << ":" << names << "\n";
  return counts;
}

template <class Description, class Run>
suite_result run_and_count(const Description& what, std::ostream& to, const Run& run) {
  const suite_result counts = run_all(what, to, run);
  to << numbers_line(title_of(what), cases_of(what).size(), counts);
  return counts;
}

template <class Description>
std::string list_all(const Description& what) {
  std::ostringstream text;
  const suite_result counts = run_all(what, text, [](const auto&) { return std::string(); });
  text << title_of(what) << ": " << counts.executed << " of " << cases_of(what).size()
       << " cases apply\n";
  return text.str();
}

}  // namespace

std::string why_unfit(const source_description& what, const source_case& which) {
  return reason(what, which);
}
std::string why_unfit(const sink_description& what, const sink_case& which) {
  return reason(what, which);
}
std::string run_case(const source_description& what, const source_case& which) {
  return attempt(what, which);
}
std::string run_case(const sink_description& what, const sink_case& which) {
  return attempt(what, which);
}
suite_result run_suite(const source_description& what, std::ostream& to) {
  return run_and_count(what, to, [&](const source_case& each) { return run_case(what, each); });
}
suite_result run_suite(const sink_description& what, std::ostream& to) {
  return run_and_count(what, to, [&](const sink_case& each) { return run_case(what, each); });
}
std::string list_cases(const source_description& what) { return list_all(what); }
std::string list_cases(const sink_description& what) { return list_all(what); }

}  // namespace brigade::testing
