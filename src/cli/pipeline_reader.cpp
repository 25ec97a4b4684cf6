#include "cli/pipeline_reader.hpp"

#include "cli/admin_endpoint.hpp"
#include "cli/component_reader.hpp"
#include "cli/component_text.hpp"
#include "cli/fork_components.hpp"
#include "cli/policy_reader.hpp"
#include "cli/suggest.hpp"
#include "cli/tests_reader.hpp"
#include "cli/then_reader.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace brigade::cli {
namespace {

constexpr std::array<std::string_view, 18> file_keys = {
    "name",   "threads", "state",         "source", "id",           "order_by",
    "order",  "window",  "give_up_after", "stages", "sink",         "after_dead_letter",
    "ledger", "admin",   "dead_letters",  "then",   "stop_timeout", "tests"};

bool is_pipeline_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

/// Names of sources stand in item ids, between colons.
bool is_source_name(std::string_view name) {
  return std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == ':' || c == '/' || c == '\x7f';
  });
}

bool is_stage_name(std::string_view name) {
  return std::none_of(name.begin(), name.end(),
                      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

bool is_reserved(component_kind kind, std::string_view key) {
  const auto keys = reserved_keys(kind);
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

/// Where nobody needs a row for each item: what can be read again, or is lost anyway.
ledger_mode default_ledger_mode(std::string_view source) {
  static constexpr std::array<std::string_view, 4> plain = {"file", "stdin", "generate", "socket"};
  const bool is_plain = std::find(plain.begin(), plain.end(), source) != plain.end();
  return is_plain ? ledger_mode::failures : ledger_mode::full;
}

/// Where somebody waits for each item's outcome, a batch waits hardly for company.
std::optional<milliseconds> default_batch_age(const component_use& source) {
  if (source.what == nullptr || source.what->name != "http") return std::nullopt;
  if (!source.values.has("reply") || source.values.text("reply") != "outcome") return std::nullopt;
  return milliseconds(2);
}

std::string_view kind_example(component_kind kind) {
  switch (kind) {
    case component_kind::source:
      return "{ file: { path: orders.ndjson } }";
    case component_kind::stage:
      return "{ jq: '.total += 1' }";
    case component_kind::sink:
      return "{ stdout: {} }";
  }
  return {};
}

}  // namespace

void pipeline_reader::read(const yaml_node& root) {
  if (root.what != yaml_node::kind::map) {
    reader_.problem(root.at, fmt::format("a pipeline file is a mapping with a source, stages and "
                                         "a sink; this is {}",
                                         describe(root)));
    return;
  }
  reader_.keys_are_known(root, file_keys, "the pipeline");
  read_name(root);
  read_state(root);
  read_source(root);
  config_.id = expression(root, "id");
  read_flow(root);
  if (config_.source.what != nullptr) {
    config_.ledger.mode = default_ledger_mode(config_.source.what->name);
  }
  read_run_keys(reader_, root, config_);
  config_.source.context.state = config_.state;
  if (config_.ledger.mode == ledger_mode::full) {
    config_.source.context.ledger = config_.ledger_path();
  }
  if (reader_.problem_count() == 0) {
    check_ways(config_, false);
    check_files_apart();
  }
  if (const yaml_entry* const entry = root.find("admin")) {
    config_.admin = read_admin(reader_, *entry);
  }
  if (const yaml_entry* const entry = root.find("then")) {
    config_.then = read_then(reader_, *entry);
  }
  if (const yaml_entry* const entry = root.find("tests")) {
    config_.tests = read_tests(reader_, *entry);
  }
}

void pipeline_reader::read_name(const yaml_node& root) {
  if (const yaml_entry* const entry = root.find("name")) {
    const auto name = reader_.text("name", entry->value);
    if (name && !is_pipeline_name(*name)) {
      reader_.problem(entry->value.at, fmt::format("'name' must be lower case letters, digits, "
                                                   "'_' and '-', not '{}'",
                                                   *name));
    }
    config_.name = name.value_or("");
    return;
  }
  config_.name = config_.file.stem().string();
  if (!is_pipeline_name(config_.name)) {
    reader_.problem(root.at, fmt::format("the file's name gives the pipeline no name: '{}' has "
                                         "more than lower case letters, digits, '_' and '-'; "
                                         "give it a 'name'",
                                         config_.name));
  }
}

void pipeline_reader::read_state(const yaml_node& root) {
  config_.state = config_.folder;
  const yaml_entry* const entry = root.find("state");
  if (entry == nullptr) return;
  const auto state = reader_.text("state", entry->value);
  if (state) config_.state = (config_.folder / *state).lexically_normal();
}

void pipeline_reader::read_source(const yaml_node& root) {
  const yaml_entry* const entry = root.find("source");
  if (entry == nullptr) {
    reader_.problem(root.at, "the pipeline has no 'source'");
    return;
  }
  part found = find_part(component_kind::source, entry->value, "source");
  if (found.entry == nullptr) return;
  config_.source = start_use(found, found.given_name.empty() ? found.what->name : found.given_name);
  read_settings(reader_, *found.entry, found.owner, config_.source);
}

void pipeline_reader::read_flow(const yaml_node& root) {
  found_chain whole;
  const yaml_entry* const stages = root.find("stages");
  const bool has_list = stages != nullptr && stages->value.what == yaml_node::kind::list;
  if (has_list) {
    for (const yaml_node& item : stages->value.items) {
      whole.stages.push_back(find_stage(item, fmt::format("stage {}", whole.stages.size() + 1)));
    }
  } else if (stages != nullptr) {
    reader_.problem(stages->value.at,
                    fmt::format("'stages' must be a list, not {}", describe(stages->value)));
  }
  const component* const last = whole.stages.empty() ? nullptr : whole.stages.back().self.what;
  if (const yaml_entry* const sink = root.find("sink")) {
    whole.sink = find_part(component_kind::sink, sink->value, "sink");
  } else if (last == nullptr || !is_fork(*last)) {
    reader_.problem(root.at, "the pipeline has no 'sink'");
  }
  take_given_names(whole);
  read_chain(whole, config_);
}

void pipeline_reader::read_chain(const found_chain& found, chain_config& chain) {
  for (const found_stage& each : found.stages) {
    if (each.self.entry != nullptr) read_stage(each, chain);
  }
  if (found.sink.entry != nullptr) read_sink(found.sink, chain.sink);
}

namespace {
/// What the source's longest line may be; 0: it has none, or it is wrong.
std::int64_t max_line_of(const component_use& source) {
  return source.values.has("max_line") ? source.values.integer("max_line") : 0;
}
}  // namespace

void pipeline_reader::read_stage(const found_stage& found, chain_config& chain) {
  const part& self = found.self;
  stage_config stage;
  stage.use = start_use(self, take_name(self));
  stage.policy.attempt_timeout = self.what->timeout_default;
  read_stage_policy(reader_, *self.node, self.owner, stage);
  stage.use.context.attempt_timeout = stage.policy.attempt_timeout;
  if (const std::int64_t bytes = max_line_of(config_.source); bytes > 0) {
    stage.use.context.line_bytes_max = static_cast<std::size_t>(bytes);
  }
  stage.when = expression(*self.node, "when");
  if (!is_fork(*self.what)) read_settings(reader_, *self.entry, self.owner, stage.use);
  for (const found_branch& each : found.branches) {
    branch_config& branch = stage.branches.emplace_back();
    branch.when = each.when;
    branch.required = each.required;
    branch.at = each.at;
    read_chain(each.chain, branch.chain);
  }
  chain.stages.push_back(std::move(stage));
}

void pipeline_reader::read_sink(const part& found, sink_config& sink) {
  sink.use = start_use(found, take_name(found));
  sink.policy.attempt_timeout = found.what->timeout_default;
  if (const auto age = default_batch_age(config_.source)) sink.policy.batch_age_max = *age;
  read_sink_policy(reader_, *found.node, found.owner, sink.policy);
  sink.use.context.attempt_timeout = sink.policy.attempt_timeout;
  read_settings(reader_, *found.entry, found.owner, sink.use);
}

pipeline_reader::part pipeline_reader::find_part(component_kind kind, const yaml_node& node,
                                                 std::string_view fallback_owner) {
  part found;
  found.node = &node;
  found.owner = fallback_owner;
  if (node.what != yaml_node::kind::map) {
    reader_.problem(node.at, fmt::format("the {} must be a mapping, such as {}, not {}",
                                         found.owner, kind_example(kind), describe(node)));
    return found;
  }
  read_given_name(kind, found);
  find_component(kind, found);
  if (found.entry != nullptr) check_refused(found);
  return found;
}

void pipeline_reader::read_given_name(component_kind kind, part& found) {
  const yaml_entry* const entry = found.node->find("name");
  if (entry == nullptr) return;
  const auto name = reader_.text("name", entry->value);
  if (!name) return;
  found.name_at = entry->value.at;
  const bool fits = kind == component_kind::source ? is_source_name(*name) : is_stage_name(*name);
  if (name->empty() || !fits) {
    reader_.problem(entry->value.at,
                    fmt::format("'{}' cannot be the name of a {}", *name, to_string(kind)));
    return;
  }
  if (kind != component_kind::source && *name == "source") {
    reader_.problem(entry->value.at,
                    "'source' is what the source is called in the ledger: take "
                    "another name");
    return;
  }
  found.given_name = *name;
  found.owner = fmt::format("{} '{}'", to_string(kind), *name);
}

void pipeline_reader::find_component(component_kind kind, part& found) {
  bool reported = false;
  for (const yaml_entry& entry : found.node->entries) {
    if (is_reserved(kind, entry.key)) continue;
    if (entry.key == "else" && found.node->find("route") != nullptr) continue;
    const component* const what = known_.find(kind, entry.key);
    if (what == nullptr) {
      report_stranger(kind, entry, found);
      reported = true;
    } else if (found.entry != nullptr) {
      reader_.problem(
          entry.at,
          fmt::format(
              "{} has two components, '{}' and '{}'{}", found.owner, found.what->name, entry.key,
              kind == component_kind::stage ? ": make two stages of them" : ": it takes one"));
    } else {
      found.entry = &entry;
      found.what = what;
    }
  }
  if (found.entry != nullptr || reported) return;
  reader_.problem(found.node->at, fmt::format("{} has no component: it needs one of {}",
                                              found.owner, fmt::join(component_names(kind), ", ")));
}

void pipeline_reader::report_stranger(component_kind kind, const yaml_entry& entry,
                                      const part& found) {
  // Where a stage is wanted, a file is a sink that does not stand last.
  for (const auto other : {component_kind::stage, component_kind::sink, component_kind::source}) {
    if (known_.find(other, entry.key) == nullptr) continue;
    reader_.problem(entry.at, fmt::format("'{}' is a {}, not a {}", entry.key, to_string(other),
                                          to_string(kind)));
    return;
  }
  std::vector<std::string_view> names = component_names(kind);
  const auto reserved = reserved_keys(kind);
  names.insert(names.end(), reserved.begin(), reserved.end());
  reader_.problem(entry.at, fmt::format("unknown key '{}' in {}{}", entry.key, found.owner,
                                        did_you_mean(entry.key, names)));
}

void pipeline_reader::check_refused(const part& found) {
  for (const std::string& key : found.what->refuses) {
    if (const yaml_entry* const entry = found.node->find(key)) {
      reader_.problem(entry->at, fmt::format("'{}' cannot be used with '{}': leave it out", key,
                                             found.what->name));
    }
  }
}

std::string pipeline_reader::take_name(const part& found) {
  if (!found.given_name.empty()) return found.given_name;
  std::string name = found.what->name;
  for (int number = 2; std::find(names_.begin(), names_.end(), name) != names_.end(); ++number) {
    name = fmt::format("{}{}", found.what->name, number);
  }
  names_.push_back(name);
  return name;
}

component_use pipeline_reader::start_use(const part& found, std::string name) const {
  component_use use;
  use.what = found.what;
  use.at = found.entry->at;
  use.context.pipeline = config_.name;
  use.context.name = std::move(name);
  use.context.folder = config_.folder;
  return use;
}

std::vector<std::string_view> pipeline_reader::component_names(component_kind kind) const {
  std::vector<std::string_view> names;
  for (const component& one : known_.all()) {
    if (one.kind == kind) names.push_back(one.name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<located_text> pipeline_reader::expression(const yaml_node& map,
                                                        std::string_view key) {
  const yaml_entry* const entry = map.find(key);
  if (entry == nullptr) return std::nullopt;
  const auto text = reader_.text(key, entry->value);
  if (!text) return std::nullopt;
  return located_text{*text, entry->value.at, as_spelled(entry->value)};
}

}  // namespace brigade::cli
