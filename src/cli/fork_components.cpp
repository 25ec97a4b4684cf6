#include "cli/fork_components.hpp"

#include <brigade/connect/jq.hpp>
#include <brigade/connect/record.hpp>
#include <brigade/pipeline/fork.hpp>

#include <optional>
#include <utility>

namespace brigade::cli {
namespace {

class route_stage final : public stage_body {
 public:
  explicit route_stage(const std::vector<std::string>& conditions) {
    for (const std::string& each : conditions) {
      if (each.empty()) {
        ways_.emplace_back();
      } else {
        ways_.emplace_back(condition(each));
      }
    }
  }
  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }
  attempt_result run_now(payload& item, const attempt_info&) override {
    const record& value = item.get<record>();
    const bool is_json = value.what() == record::shape::json;
    const std::string made = is_json ? std::string() : value.json_text();
    const std::string_view json = is_json ? value.raw() : std::string_view(made);
    for (std::size_t n = 0; n < ways_.size(); ++n) {
      if (!ways_[n] || ways_[n]->holds(json)) return attempt_result::routed(n);
    }
    return attempt_result::filtered();
  }

 private:
  std::vector<std::optional<condition>> ways_;
};

/// Items as one JSON array.
class batch_stage final : public stage_body {
 public:
  [[nodiscard]] bool immediate() const override { return true; }
  [[nodiscard]] bool wants_names() const override { return false; }
  /// Throws for what is no JSON: before it is in a batch with others.
  attempt_result run_now(payload& item, const attempt_info&) override {
    const record& value = item.get<record>();
    if (value.what() != record::shape::json) static_cast<void>(value.json_text());
    return attempt_result::unchanged();
  }
  payload join(std::span<const payload* const> items) override {
    std::string all = "[";
    for (const payload* each : items) {
      if (all.size() > 1) all += ',';
      each->get<record>().append_json_text(all);
    }
    all += ']';
    return payload(record::json(std::move(all)));
  }
};

field_spec branches_of(std::string doc, std::string example) {
  return field_spec{.name = "branches",
                    .type = field_type::branches,
                    .fallback = {},
                    .doc = std::move(doc),
                    .required = true,
                    .example = std::move(example)};
}

field_spec limit(std::string name, field_type type, std::string doc, std::string example) {
  return field_spec{.name = std::move(name),
                    .type = type,
                    .fallback = {},
                    .doc = std::move(doc),
                    .example = std::move(example)};
}

/// Its branches are not in the settings: `make_parts` makes it.
std::unique_ptr<stage_body> made_with_its_branches(const settings&, const component_context&) {
  return nullptr;
}

component batch_component() {
  component batch;
  batch.name = "batch";
  batch.doc = "Collects items into one that is their JSON array; all have its outcome.";
  batch.fields = {limit("count", field_type::integer, "Complete with so many items.", "100"),
                  limit("bytes", field_type::bytes, "Complete with so much in it.", "1MiB"),
                  limit("within", field_type::duration,
                        "Complete when its first item has waited so long.", "5s")};
  batch.shorthand = "count";
  batch.refuses = {"workers",  "timeout", "deadline", "retry",
                   "on_error", "rate",    "when",     "hung_after"};
  batch.make_stage = [](const settings& given, const component_context&) {
    const auto refuse = [](const char* field, const char* why) { throw config_error(field, why); };
    if (given.has("count") && given.integer("count") < 1)
      refuse("count", "'count' must be at least 1");
    if (given.has("bytes") && given.integer("bytes") < 1)
      refuse("bytes", "'bytes' must be at least 1");
    if (given.has("within") && given.duration("within").count() < 1) {
      refuse("within", "'within' must be at least 1ms");
    }
    if (!given.has("count") && !given.has("bytes") && !given.has("within")) {
      refuse("", "a batch needs to know when it is complete: give it 'count', 'bytes' or 'within'");
    }
    return std::make_unique<batch_stage>();
  };
  return batch;
}

}  // namespace

bool is_route(const component& what) {
  return what.kind == component_kind::stage && what.name == "route";
}
bool is_tee(const component& what) {
  return what.kind == component_kind::stage && what.name == "tee";
}
bool is_batch(const component& what) {
  return what.kind == component_kind::stage && what.name == "batch";
}

std::unique_ptr<stage_body> make_route(const std::vector<std::string>& conditions) {
  return std::make_unique<route_stage>(conditions);
}
std::unique_ptr<stage_body> make_tee(std::size_t ways) {
  return std::make_unique<tee_stage<record>>(ways);
}

batch_policy batch_rules(const settings& values) {
  batch_policy rules;
  if (values.has("count")) rules.count = static_cast<std::size_t>(values.integer("count"));
  if (values.has("bytes")) rules.bytes = static_cast<std::size_t>(values.integer("bytes"));
  if (values.has("within")) rules.within = values.duration("within");
  return rules;
}

void register_forks(registry& to) {
  component route;
  route.name = "route";
  route.doc = "Sends an item down the first branch whose 'when' holds, or the way of 'else'.";
  route.fields = {
      branches_of("A list of { when, to }: an expression, and a sink or a list of stages.",
                  "[{ when: .bad, to: { file: bad.ndjson } }, { when: .big, to: [{ jq: '.size = "
                  "\"big\"' }] }]")};
  route.refuses = {"workers", "timeout", "deadline", "retry", "rate", "when", "hung_after"};
  route.make_stage = made_with_its_branches;
  to.add(std::move(route));

  component tee;
  tee.name = "tee";
  tee.doc = "Sends each item into several sinks, and on to what stands behind it.";
  tee.fields = {branches_of(
      "A list of sinks, or of { to } with stages and a sink; each 'required' [true] or not.",
      "[{ file: copy.ndjson, required: false }]")};
  tee.refuses = {"workers",  "timeout", "deadline", "retry",
                 "on_error", "rate",    "when",     "hung_after"};
  tee.make_stage = made_with_its_branches;
  to.add(std::move(tee));

  to.add(batch_component());
}

}  // namespace brigade::cli
