#include "connect/http_components.hpp"
#include "connect/http_delivery.hpp"

#include <map>
#include <memory>
#include <utility>

namespace brigade::http {
namespace {

constexpr std::int64_t in_flight_max = 1000;

class http_sink final : public sink {
 public:
  explicit http_sink(far_side far) : far_(std::move(far)) {}

  // It need not be there: a far side that is down is waited for, at the start as later.
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    far_.to = co_await make_client(far_.settings);
    co_return std::vector<partition_mark>();
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark>) override {
    delivery one(far_, batch);
    co_return co_await one.run();
  }
  task<> close() override {
    far_.to = nullptr;
    co_return;
  }

 private:
  far_side far_;
};

body_format format_of(const std::string& name) {
  if (name == "ndjson") return body_format::ndjson;
  return name == "array" ? body_format::array : body_format::json;
}

std::unique_ptr<sink> make(const settings& values, const component_context& context) {
  const body_format format = format_of(values.text("format"));
  far_side far(read_client_settings(
      values, context,
      format == body_format::ndjson ? "application/x-ndjson" : "application/json"));
  far.format = format;
  far.in_flight = bounded(values, "in_flight", in_flight_max);
  far.settings.client.connections_max = far.in_flight;
  if (format != body_format::json && far.settings.url.has_fields()) {
    throw config_error("url",
                       "a request of several items has one address: take 'format: json', or "
                       "a URL without {fields}");
  }
  return std::make_unique<http_sink>(std::move(far));
}

}  // namespace

component sink_component() {
  component entry;
  entry.kind = component_kind::sink;
  entry.name = "http";
  entry.doc =
      "Sends items to an HTTP server, at least once; an outage is waited out, and an item that is "
      "refused is found, also among many.";
  entry.fields = client_fields({"POST", "PUT", "PATCH", "DELETE"});
  field_spec format;
  format.name = "format";
  format.type = field_type::choice;
  format.fallback = "json";
  format.choices = {"json", "ndjson", "array"};
  format.doc =
      "json: one item a request; ndjson: a batch a request, one item a line; array: a batch "
      "a request, as a JSON array.";
  entry.fields.push_back(std::move(format));
  field_spec in_flight;
  in_flight.name = "in_flight";
  in_flight.type = field_type::integer;
  in_flight.fallback = "8";
  in_flight.doc = "With json, how many requests may be under way at once.";
  entry.fields.push_back(std::move(in_flight));
  entry.make_sink = make;
  return entry;
}

}  // namespace brigade::http
