#include "pipeline/report_read.hpp"

#include <boost/json.hpp>

namespace brigade::ledger_detail {
namespace {

namespace json = boost::json;

std::uint64_t count(const json::value& in, std::string_view key) {
  return in.at(key).to_number<std::uint64_t>();
}

std::string text(const json::value& in, std::string_view key) {
  return std::string(in.at(key).as_string());
}

/// A stage has no key for what it delivered.
std::array<std::uint64_t, outcome_count> settled(const json::value& in) {
  std::array<std::uint64_t, outcome_count> result{};
  for (const outcome each : all_outcomes) {
    const auto* items = in.as_object().if_contains(to_string(each));
    if (items == nullptr) continue;
    result[static_cast<std::size_t>(each)] = items->to_number<std::uint64_t>();
  }
  return result;
}

stage_report read_stage(const json::value& in) {
  stage_report stage;
  stage.name = text(in, "name");
  stage.in = count(in, "in");
  stage.born = count(in, "born");
  stage.passed = count(in, "passed");
  stage.settled = settled(in);
  stage.in_flight = count(in, "in_flight");
  stage.retries = count(in, "retries");
  for (const json::value& each : in.at("workers").as_array()) {
    stage.workers.push_back(
        {each.at("id").to_number<int>(), count(each, "items"), count(each, "failed")});
  }
  return stage;
}

source_report read_source(const json::value& in) {
  source_report source;
  source.name = text(in, "name");
  source.taken = count(in, "taken");
  source.settled = settled(in);
  source.in_flight = count(in, "in_flight");
  return source;
}

}  // namespace

report read_report(std::string_view source) {
  const json::value in = json::parse(source);
  report result;
  result.pipeline = text(in, "pipeline");
  result.run = count(in, "run");
  result.exit_code = in.at("exit").to_number<int>();
  result.taken = count(in, "taken");
  result.settled = settled(in);
  result.in_flight = count(in, "in_flight");
  result.retries = count(in, "retries");
  result.seconds = in.at("seconds").to_number<double>();
  if (const json::value* sources = in.as_object().if_contains("sources")) {
    for (const json::value& each : sources->as_array()) result.sources.push_back(read_source(each));
  }
  for (const json::value& each : in.at("stages").as_array()) {
    result.stages.push_back(read_stage(each));
  }
  for (const json::value& each : in.at("dead_letters").as_array()) {
    result.dead_letters.push_back({text(each, "id"), text(each, "stage"), text(each, "error"),
                                   each.at("attempts").to_number<int>()});
  }
  return result;
}

}  // namespace brigade::ledger_detail
