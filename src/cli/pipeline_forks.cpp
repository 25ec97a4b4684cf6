// The ways through a pipeline file: the branches of routes and tees, and whether all of them lead
// somewhere.
#include "cli/fork_components.hpp"
#include "cli/pipeline_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>

namespace brigade::cli {

bool leads_on(const chain_config& chain, bool has_something_behind) {
  if (chain.has_sink()) return false;
  if (chain.stages.empty()) return true;
  const stage_config& last = chain.stages.back();
  if (is_tee(*last.use.what)) return has_something_behind;
  if (!is_route(*last.use.what)) return true;
  return std::ranges::any_of(last.branches, [&](const branch_config& branch) {
    return leads_on(branch.chain, has_something_behind);
  });
}

pipeline_reader::found_stage pipeline_reader::find_stage(const yaml_node& node,
                                                         const std::string& fallback_owner) {
  found_stage stage;
  stage.self = find_part(component_kind::stage, node, fallback_owner);
  if (stage.self.entry == nullptr || !is_fork(*stage.self.what)) return stage;
  const yaml_node* const list = branches_of(stage.self);
  if (list == nullptr) return stage;
  if (is_route(*stage.self.what)) {
    find_routes(*list, stage);
  } else {
    find_tees(*list, stage);
  }
  return stage;
}

/// The list itself, or the field `branches` with it.
const yaml_node* pipeline_reader::branches_of(const part& found) {
  static constexpr std::array<std::string_view, 1> keys = {"branches"};
  const yaml_node* value = &found.entry->value;
  if (value->what == yaml_node::kind::map) {
    const auto where = fmt::format("'{}' of {}", found.what->name, found.owner);
    if (!reader_.keys_are_known(*value, keys, where)) return nullptr;
    const yaml_entry* const field = value->find("branches");
    if (field != nullptr) value = &field->value;
  }
  if (value->what == yaml_node::kind::list && !value->items.empty()) return value;
  reader_.problem(value->at, fmt::format("'{}' must be a list of branches, such as {}",
                                         found.what->name, found.what->fields.front().example));
  return nullptr;
}

void pipeline_reader::find_routes(const yaml_node& list, found_stage& stage) {
  for (const yaml_node& node : list.items) {
    if (node.what != yaml_node::kind::map) {
      reader_.problem(node.at,
                      fmt::format("a branch of {} must be a mapping with 'when' and 'to', not {}",
                                  stage.self.owner, describe(node)));
      continue;
    }
    find_route(node, stage);
  }
  const yaml_entry* const otherwise = stage.self.node->find("else");
  if (otherwise == nullptr) return;
  stage.branches.push_back(find_way(otherwise->value, "'else' of " + stage.self.owner));
  stage.branches.back().at = otherwise->at;
}

void pipeline_reader::find_route(const yaml_node& node, found_stage& stage) {
  static constexpr std::array<std::string_view, 2> keys = {"when", "to"};
  const std::string owner =
      fmt::format("branch {} of {}", stage.branches.size() + 1, stage.self.owner);
  reader_.keys_are_known(node, keys, owner);
  const yaml_entry* const to = node.find("to");
  found_branch branch;
  if (to == nullptr) {
    reader_.problem(node.at, fmt::format("{} has no 'to': a sink, or a list of stages", owner));
  } else {
    branch = find_way(to->value, owner);
  }
  branch.at = node.at;
  branch.when = expression(node, "when");
  if (node.find("when") == nullptr) {
    reader_.problem(node.at, fmt::format("{} has no 'when': what takes all that is left is 'else', "
                                         "beside 'route'",
                                         owner));
  }
  stage.branches.push_back(std::move(branch));
}

/// Beside a sink, or beside `to`, stands whether it is required.
void pipeline_reader::find_tees(const yaml_node& list, found_stage& stage) {
  static constexpr std::array<std::string_view, 2> keys = {"to", "required"};
  for (const yaml_node& node : list.items) {
    const std::string owner =
        fmt::format("branch {} of {}", stage.branches.size() + 1, stage.self.owner);
    found_branch branch;
    if (node.what == yaml_node::kind::map && node.find("to") != nullptr) {
      reader_.keys_are_known(node, keys, owner);
      branch = find_way(node.find("to")->value, owner);
    } else {
      yaml_node& sink = own_.emplace_back(node);
      std::erase_if(sink.entries, [](const yaml_entry& each) { return each.key == "required"; });
      branch = find_way(sink, owner);
    }
    branch.at = node.at;
    if (const yaml_entry* const required = node.find("required")) {
      branch.required = reader_.boolean("required", required->value).value_or(true);
    }
    stage.branches.push_back(std::move(branch));
  }
}

/// A sink, or a list of stages with or without a sink at its end.
pipeline_reader::found_branch pipeline_reader::find_way(const yaml_node& to,
                                                        const std::string& owner) {
  found_branch branch;
  if (to.what != yaml_node::kind::list) {
    branch.chain.sink = find_part(component_kind::sink, to, "sink of " + owner);
    return branch;
  }
  const auto is_sink = [&](const yaml_node& node) {
    return std::ranges::any_of(node.entries, [&](const yaml_entry& entry) {
      return known_.find(component_kind::sink, entry.key) != nullptr &&
             known_.find(component_kind::stage, entry.key) == nullptr;
    });
  };
  for (std::size_t i = 0; i < to.items.size(); ++i) {
    const yaml_node& node = to.items[i];
    if (i + 1 == to.items.size() && is_sink(node)) {
      branch.chain.sink = find_part(component_kind::sink, node, "sink of " + owner);
    } else {
      branch.chain.stages.push_back(find_stage(node, fmt::format("stage {} of {}", i + 1, owner)));
    }
  }
  return branch;
}

/// A name that is given goes before one that is made, wherever it stands.
void pipeline_reader::take_given_names(const found_chain& found) {
  const auto is_taken = [&](const std::string& name) {
    return std::ranges::find(names_, name) != names_.end();
  };
  for (const found_stage& stage : found.stages) {
    const part& self = stage.self;
    if (!self.given_name.empty()) {
      if (is_taken(self.given_name)) {
        reader_.problem(self.name_at, fmt::format("a second stage '{}': names of stages are unique",
                                                  self.given_name));
      }
      names_.push_back(self.given_name);
    }
    for (const found_branch& branch : stage.branches) take_given_names(branch.chain);
  }
  const std::string& name = found.sink.given_name;
  if (name.empty()) return;
  if (is_taken(name)) {
    reader_.problem(
        found.sink.name_at,
        fmt::format("a stage is already called '{}': give the sink another name", name));
  }
  names_.push_back(name);
}

void pipeline_reader::check_ways(const chain_config& chain, bool has_something_behind) {
  for (std::size_t i = 0; i < chain.stages.size(); ++i) {
    const stage_config& stage = chain.stages[i];
    const component& what = *stage.use.what;
    const bool leads = has_behind(chain, i, has_something_behind);
    check_order(stage, leads);
    if (is_tee(what)) check_tee(stage, leads);
    if (is_route(what)) check_route(stage, chain, i, has_something_behind);
    const bool counts = is_batch(what) && stage.use.values.has("count");
    if (counts && static_cast<std::size_t>(stage.use.values.integer("count")) >
                      config_.run.window_items_max) {
      reader_.problem(stage.use.places.at("count"),
                      fmt::format("a batch of {} items is never complete: no more than {} are in "
                                  "flight at once; make 'window' larger, or the batch smaller",
                                  stage.use.values.integer("count"), config_.run.window_items_max));
    }
  }
}

void pipeline_reader::check_route(const stage_config& stage, const chain_config& chain,
                                  std::size_t number, bool has_something_behind) {
  const bool leads = has_behind(chain, number, has_something_behind);
  bool any_leads_on = false;
  for (const branch_config& branch : stage.branches) {
    const bool goes_on = leads_on(branch.chain, leads);
    any_leads_on = any_leads_on || goes_on;
    if (goes_on && !leads) {
      reader_.problem(branch.at,
                      fmt::format("this branch of stage '{}' ends in no sink, and nothing "
                                  "stands behind the stage: end it with a sink",
                                  stage.use.context.name));
    }
    check_ways(branch.chain, leads);
  }
  if (any_leads_on || !has_behind(chain, number, false)) return;
  const bool is_last = number + 1 == chain.stages.size();
  reader_.problem(is_last ? chain.sink.use.at : chain.stages[number + 1].use.at,
                  fmt::format("no item comes here: all branches of stage '{}' end in a sink; leave "
                              "this out, or leave the sink of a branch out",
                              stage.use.context.name));
}

void pipeline_reader::check_tee(const stage_config& stage, bool leads_on_itself) {
  bool any_required = leads_on_itself;
  for (const branch_config& branch : stage.branches) {
    any_required = any_required || branch.required;
    if (leads_on(branch.chain, false)) {
      reader_.problem(branch.at, fmt::format("this branch of stage '{}' ends in no sink: a branch "
                                             "of a tee does not come back; end it with a sink",
                                             stage.use.context.name));
    }
    if (!branch.required) check_never_ends_the_run(branch.chain);
    check_ways(branch.chain, false);
  }
  if (any_required) return;
  reader_.problem(stage.use.at, fmt::format("no branch of stage '{}' is required, so all of an "
                                            "item may be dropped: make one required",
                                            stage.use.context.name));
}

/// What fails in a branch that is not required counts against nothing.
void pipeline_reader::check_never_ends_the_run(const chain_config& chain) {
  const auto check = [&](const stage_config& stage) {
    const stage_policy& policy = stage.policy;
    const bool ends_it =
        policy.failure == on_error::fail_fast ||
        (policy.failure == on_error::tolerate && policy.budget.then == error_budget::spent::stop);
    if (!ends_it) return;
    reader_.problem(stage.use.at,
                    fmt::format("'on_error' of stage '{}' may end the run, and it stands in a "
                                "branch that is not required: leave it out, or require the branch",
                                stage.use.context.name));
  };
  walk(chain, check, [](const sink_config&) {});
}

/// A sink cuts its file to what it has recorded, and with it what another has written there. What
/// is one file under two names only shows when it is opened.
void pipeline_reader::check_files_apart() {
  std::map<std::filesystem::path, std::string> owners;
  const auto absolute = [&](const std::string& path) {
    return (config_.folder / path).lexically_normal();
  };
  if (config_.source.what->name == "file") {
    for (const std::string& path : config_.source.values.list("path")) {
      owners.emplace(absolute(path), "the source");
    }
  }
  const auto add = [&](const sink_config& sink) {
    const component_use& use = sink.use;
    if (use.what->name != "file") return;
    const std::string& path = use.values.text("path");
    const auto [other, is_new] =
        owners.emplace(absolute(path), fmt::format("sink '{}'", use.context.name));
    if (is_new) return;
    const auto place = use.places.find("path");
    reader_.problem(place == use.places.end() ? use.at : place->second,
                    fmt::format("'{}' is the file of {}, too: give each a file of its own", path,
                                other->second));
  };
  walk(config_, [](const stage_config&) {}, add);
}

/// What cannot keep items in order is refused where there is one.
void pipeline_reader::check_order(const stage_config& stage, bool leads) {
  if (config_.run.order == item_order::none) return;
  const std::string_view order =
      config_.run.order == item_order::source ? "order: source" : "order_by";
  const component& what = *stage.use.what;
  if (is_batch(what)) {
    reader_.problem(stage.use.at,
                    fmt::format("'batch' cannot be used with '{}': a batch holds items "
                                "of several keys; a sink has a 'batch' of its own",
                                order));
  }
  const bool joins = is_route(what) && leads &&
                     std::ranges::any_of(stage.branches, [](const branch_config& branch) {
                       return leads_on(branch.chain, true);
                     });
  if (joins) {
    reader_.problem(stage.use.at,
                    fmt::format("branches that go on behind stage '{}' cannot be used "
                                "with '{}': an item could overtake another in another "
                                "branch; end the branches with sinks",
                                stage.use.context.name, order));
  }
}

}  // namespace brigade::cli
