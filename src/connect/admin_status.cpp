#include "connect/admin_pages.hpp"
#include "pipeline/text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <string_view>

namespace brigade::admin {
namespace {

namespace json = boost::json;

/// Text from outside, made fit.
json::value text(std::string_view any) { return json::value(detail::as_utf8(any)); }

json::object health_of(const health& state) {
  return {{"good", state.good}, {"text", text(state.text)}};
}

json::object identity_of(const run_status& now) {
  json::object result{{"taken", now.taken}};
  for (const outcome each : all_outcomes) result[to_string(each)] = now.count(each);
  result["in_flight"] = now.in_flight;
  return result;
}

json::object worker(const worker_status& one) {
  json::object result{{"slot", one.slot},
                      {"item", text(one.item)},
                      {"attempt", one.attempt},
                      {"seconds", one.seconds}};
  if (one.items != 1) result["items"] = one.items;
  if (!one.waits_for.empty()) result["waits_for"] = text(one.waits_for);
  return result;
}

json::object stage(const stage_status& one) {
  json::object result{{"name", text(one.name)},
                      {"kind", one.is_sink ? "sink" : "stage"},
                      {"in", one.in},
                      {"born", one.born},
                      {"passed", one.passed}};
  for (const outcome each : all_outcomes) {
    if (each != outcome::delivered) {
      result[to_string(each)] = one.settled[static_cast<std::size_t>(each)];
    }
  }
  result["in_flight"] = one.in_flight;
  result["retrying"] = one.retrying;
  result["parked"] = one.parked;
  json::object retries;
  for (std::size_t i = 0; i < retry_reason_count; ++i) {
    retries[to_string(static_cast<retry_reason>(i))] = one.retries[i];
  }
  result["retries"] = std::move(retries);
  result["queue"] = json::object{{"items", one.queue_items}, {"capacity", one.queue_capacity}};
  json::array busy;
  for (const worker_status& each : one.busy) busy.push_back(worker(each));
  result["workers"] =
      json::object{{"total", one.workers}, {"busy", one.busy_workers}, {"longest", busy}};
  result["push_blocked_seconds"] = one.push_blocked_seconds;
  return result;
}

json::array pauses_of(const run_status& now) {
  json::array result;
  for (const pause_status& pause : now.pauses) {
    result.push_back(json::object{{"reason", pause.reason},
                                  {"where", text(pause.where)},
                                  {"text", text(pause.text)},
                                  {"seconds", pause.seconds},
                                  {"stops_intake", pause.stops_intake}});
  }
  return result;
}

json::array connections_of(const run_status& now) {
  json::array result;
  for (const connection_status& each : now.connections) {
    result.push_back(json::object{{"name", text(each.name)},
                                  {"kind", each.is_sink ? "sink" : "source"},
                                  {"state", each.state},
                                  {"text", text(each.text)}});
  }
  return result;
}

}  // namespace

std::string status_page(const run_status& now, std::chrono::milliseconds stuck_after) {
  json::object page{{"pipeline", text(now.pipeline)},
                    {"version", BRIGADE_VERSION},
                    {"phase", to_string(now.phase)},
                    {"uptime_seconds", now.seconds},
                    {"age_seconds", now.age}};
  page["live"] = health_of(liveness(now, stuck_after));
  page["ready"] = health_of(readiness(now));
  page["error"] = text(now.error);
  page["identity"] = identity_of(now);
  page["oldest"] = nullptr;
  if (!now.oldest_item.empty()) {
    page["oldest"] = json::object{{"item", text(now.oldest_item)}, {"seconds", now.oldest_seconds}};
  }
  page["window"] = json::object{{"items", now.window_items},
                                {"items_max", now.window_items_max},
                                {"bytes", now.window_bytes},
                                {"bytes_max", now.window_bytes_max}};
  page["source_lag"] = nullptr;
  if (now.source_lag) page["source_lag"] = *now.source_lag;
  page["pauses"] = pauses_of(now);
  page["connections"] = connections_of(now);
  json::array stages;
  for (const stage_status& each : now.stages) stages.push_back(stage(each));
  page["stages"] = std::move(stages);
  page["tasks"] = now.tasks;
  return json::serialize(page) + "\n";
}

}  // namespace brigade::admin
