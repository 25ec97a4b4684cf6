#include "connect/admin_pages.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <utility>
#include <vector>

namespace brigade::admin {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<std::pair<std::string, std::string>>;

/// The families of one page, all with the label `pipeline`.
class page {
 public:
  explicit page(std::string pipeline) : pipeline_(std::move(pipeline)) {}

  void begin(MetricType type, const std::string& name, const std::string& help) {
    MetricFamily family;
    family.name = "brigade_" + name;
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
  }
  void add(double value, const labels& more = {}) {
    ClientMetric metric = labelled(more);
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
  }
  void add(std::uint64_t value, const labels& more = {}) { add(static_cast<double>(value), more); }
  void add(const time_histogram& times, const labels& more = {}) {
    ClientMetric metric = labelled(more);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < times.counts.size(); ++i) {
      below += times.counts[i];
      const double bound = i < time_histogram::bounds.size()
                               ? time_histogram::bounds[i]
                               : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({below, bound});
    }
    metric.histogram.sample_count = below;
    metric.histogram.sample_sum = times.sum;
    families_.back().metric.push_back(std::move(metric));
  }
  void gauge(const std::string& name, const std::string& help, double value) {
    begin(MetricType::Gauge, name, help);
    add(value);
  }
  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer().Serialize(families_);
  }

 private:
  [[nodiscard]] ClientMetric labelled(const labels& more) const {
    ClientMetric metric;
    metric.label.push_back({"pipeline", pipeline_});
    for (const auto& [name, value] : more) metric.label.push_back({name, value});
    return metric;
  }
  std::string pipeline_;
  std::vector<MetricFamily> families_;
};

void add_items(page& out, const run_status& now) {
  out.begin(MetricType::Counter, "items_taken_total", "Items taken from the source");
  out.add(now.taken);
  out.begin(MetricType::Counter, "items_total",
            "Items that left a stage, by outcome; 'passed' went on to the next");
  const auto add = [&](const std::string& stage, std::string_view result, std::uint64_t count) {
    out.add(count, {{"stage", stage}, {"outcome", std::string(result)}});
  };
  for (const stage_status& stage : now.stages) {
    add(stage.name, stage.is_sink ? to_string(outcome::delivered) : "passed", stage.passed);
    for (const outcome each : all_outcomes) {
      if (each == outcome::delivered) continue;
      add(stage.name, to_string(each), stage.settled[static_cast<std::size_t>(each)]);
    }
  }
  for (const outcome each : all_outcomes) {
    add("source", to_string(each), now.settled_at_source[static_cast<std::size_t>(each)]);
  }
  out.begin(MetricType::Counter, "retries_total", "Attempts made again, by why");
  for (const stage_status& stage : now.stages) {
    for (std::size_t i = 0; i < retry_reason_count; ++i) {
      out.add(stage.retries[i], {{"stage", stage.name},
                                 {"reason", std::string(to_string(static_cast<retry_reason>(i)))}});
    }
  }
}

template <class Value>
void add_of_stages(page& out, const run_status& now, MetricType type, const std::string& name,
                   const std::string& help, Value value) {
  out.begin(type, name, help);
  for (const stage_status& stage : now.stages) out.add(value(stage), {{"stage", stage.name}});
}

void add_stages(page& out, const run_status& now) {
  const auto gauge = [&](const std::string& name, const std::string& help, auto value) {
    add_of_stages(out, now, MetricType::Gauge, name, help,
                  [&](const stage_status& stage) { return static_cast<double>(value(stage)); });
  };
  gauge("queue_items", "Items that wait in the stage's queue",
        [](const auto& stage) { return stage.queue_items; });
  gauge("queue_capacity", "Items that fit in the stage's queue",
        [](const auto& stage) { return stage.queue_capacity; });
  gauge("busy_workers", "Workers with an item in hand",
        [](const auto& stage) { return stage.busy_workers; });
  gauge("workers", "Workers, times the items that each may have in hand",
        [](const auto& stage) { return stage.workers; });
  gauge("inflight_items", "Items in the stage, queue and waiting retries included",
        [](const auto& stage) { return stage.in_flight; });
  gauge("retrying_items", "Items that wait for their next attempt",
        [](const auto& stage) { return stage.retrying; });
  add_of_stages(out, now, MetricType::Counter, "push_blocked_seconds_total",
                "Time that workers waited for room in the next stage's queue",
                [](const stage_status& stage) { return stage.push_blocked_seconds; });
  add_of_stages(out, now, MetricType::Histogram, "stage_seconds",
                "Times of attempts, of a sink of writes; a sample where they are short",
                [](const stage_status& stage) { return stage.work; });
  add_of_stages(out, now, MetricType::Histogram, "queue_wait_seconds",
                "Times from the arrival at a stage to the first attempt; a sample",
                [](const stage_status& stage) { return stage.queue_wait; });
}

/// Those that can be are there with 0: an alert wants to see a series before it is 1.
void add_pauses(page& out, const run_status& now) {
  out.begin(MetricType::Gauge, "paused", "1 while something is held up, by the reason");
  for (const char* const known :
       {"backpressure", "dead_letters_full", "error_budget", "ledger_full", "sink_down"}) {
    bool active = false;
    for (const pause_status& pause : now.pauses) active = active || pause.reason == known;
    out.add(active ? 1.0 : 0.0, {{"reason", known}});
  }
}

}  // namespace

std::string metrics_page(const run_status& now) {
  page out(now.pipeline);
  add_items(out, now);
  add_stages(out, now);
  out.begin(MetricType::Histogram, "end_to_end_seconds",
            "Times from the source to the sink, of delivered items; a sample");
  out.add(now.end_to_end);
  out.gauge("inflight_oldest_seconds", "Age of the oldest item in flight", now.oldest_seconds);
  if (now.source_lag) {
    out.gauge("source_lag", "What is left of the source, in its units (of a file: bytes)",
              static_cast<double>(*now.source_lag));
  }
  out.gauge("unacked_window", "Items taken and not yet finished durably",
            static_cast<double>(now.window_items));
  out.gauge("unacked_window_max", "How many there may be",
            static_cast<double>(now.window_items_max));
  out.gauge("unacked_window_bytes", "Bytes of these items", static_cast<double>(now.window_bytes));
  add_pauses(out, now);
  out.gauge("stalled_seconds", "Nothing has progressed for so long, though work is pending",
            now.stalled);
  out.gauge("uptime_seconds", "Since the run began", now.seconds);
  out.gauge("status_age_seconds", "How old these numbers are; more than 1: the loop is busy",
            now.age);
  return out.text();
}

}  // namespace brigade::admin
