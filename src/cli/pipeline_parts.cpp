// From a checked file to the components it names, none of them open.
#include "cli/business_id.hpp"
#include "cli/fork_components.hpp"
#include "cli/pipeline_config.hpp"

#include <brigade/pipeline/threaded_stage.hpp>

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>

namespace brigade::cli {
namespace {

/// Calls a component's factory; what it throws becomes a problem at the field it is about.
template <class Make>
auto made(const Make& make, const component_use& use, problem_list& problems)
    -> decltype(make(use.values, use.context)) {
  try {
    return make(use.values, use.context);
  } catch (const config_error& error) {
    const auto place = use.places.find(error.field());
    problems.add(place == use.places.end() ? use.at : place->second, error.what());
  } catch (const std::exception& error) {
    problems.add(use.at, fmt::format("'{}': {}", use.what->name, error.what()));
  }
  return nullptr;
}

/// `id`, `when` and their like are written as a `filter` is, so a filter can tell what is wrong.
/// The time limit of a stage is of its work, not of these.
void try_expression(const located_text& expression, const component_context& context,
                    const registry& known, problem_list& problems) {
  const component* const filter = known.find(component_kind::stage, "filter");
  if (filter == nullptr || filter->fields.empty()) return;
  component_use use;
  use.what = filter;
  use.at = expression.at;
  use.context = context;
  use.context.attempt_timeout = {};
  use.values.set(filter->fields.front().name, expression.text);
  static_cast<void>(made(filter->make_stage, use, problems));
}

std::function<std::string(const payload&)> id_expression(const located_text& expression,
                                                         problem_list& problems) {
  try {
    return business_id_of(expression.text);
  } catch (const std::invalid_argument& wrong) {
    problems.add(expression.at, wrong.what());
    return {};
  }
}

/// Work that does not wait is spread over the pipeline's threads, a body each.
std::unique_ptr<stage_body> body_of(const component_use& use, int threads, problem_list& problems) {
  std::unique_ptr<stage_body> first = made(use.what->make_stage, use, problems);
  if (threads == 1 || first == nullptr || !first->immediate()) return first;
  std::vector<std::unique_ptr<stage_body>> bodies;
  bodies.push_back(std::move(first));
  while (bodies.size() < static_cast<std::size_t>(threads)) {
    bodies.push_back(made(use.what->make_stage, use, problems));
  }
  return std::make_unique<threaded_stage>(use.context.name, std::move(bodies));
}

milliseconds patience_with(const source& from) {
  constexpr std::chrono::minutes finite_limit{5};
  return from.finite() ? milliseconds(finite_limit) : milliseconds(0);
}

component_use with_patience(const component_use& use, std::optional<milliseconds> give_up_after) {
  component_use told = use;
  told.context.give_up_after = give_up_after;
  return told;
}

class parts_maker {
 public:
  parts_maker(const registry& known, problem_list& problems, int threads, pipeline_parts& parts)
      : known_(known), problems_(problems), threads_(threads), parts_(parts) {}

  /// `give_up_after` of its sink.
  void make(const chain_config& chain, bool has_something_behind, milliseconds give_up_after) {
    for (std::size_t i = 0; i < chain.stages.size(); ++i) {
      make_stage(chain.stages[i], has_behind(chain, i, has_something_behind), give_up_after);
    }
    if (!chain.has_sink()) return;
    const component_use use = with_patience(chain.sink.use, give_up_after);
    parts_.sinks.push_back(use.complete ? made(use.what->make_sink, use, problems_) : nullptr);
  }

 private:
  void make_stage(const stage_config& stage, bool leads_on, milliseconds give_up_after) {
    const component_use& use = stage.use;
    if (stage.when) try_expression(*stage.when, use.context, known_, problems_);
    if (stage.priority) try_expression(*stage.priority, use.context, known_, problems_);
    if (is_tee(*use.what)) {
      parts_.stages.push_back(make_tee(stage.branches.size() + (leads_on ? 1 : 0)));
    } else if (is_route(*use.what)) {
      parts_.stages.push_back(make_route_of(stage));
    } else {
      const int threads = is_batch(*use.what) ? 1 : threads_;  // it has one collector
      parts_.stages.push_back(use.complete ? body_of(use, threads, problems_) : nullptr);
    }
    for (const branch_config& branch : stage.branches) {
      // A branch that is not required ends no run.
      make(branch.chain, leads_on && is_route(*use.what),
           branch.required ? give_up_after : milliseconds(0));
    }
  }

  std::unique_ptr<stage_body> make_route_of(const stage_config& stage) {
    const std::size_t problems_before = problems_.size();
    std::vector<std::string> conditions;
    for (const branch_config& branch : stage.branches) {
      if (branch.when) try_expression(*branch.when, stage.use.context, known_, problems_);
      conditions.push_back(branch.when ? branch.when->text : std::string());
    }
    return problems_.size() == problems_before ? make_route(conditions) : nullptr;
  }

  const registry& known_;
  problem_list& problems_;
  int threads_;
  pipeline_parts& parts_;
};

/// What is made is null where something is wrong.
pipeline_parts make_all(const pipeline_config& config, const registry& known,
                        problem_list& problems) {
  pipeline_parts parts;
  std::optional<milliseconds> give_up_after;
  if (!config.gives_up_after_default) give_up_after = config.run.give_up_after;
  component_use source = with_patience(config.source, give_up_after);
  if (config.id) {
    const std::size_t problems_before = problems.size();
    try_expression(*config.id, source.context, known, problems);
    if (problems.size() == problems_before) {
      source.context.item_id = id_expression(*config.id, problems);
    }
  }
  if (source.complete) parts.source = made(source.what->make_source, source, problems);
  if (config.order_by) try_expression(*config.order_by, source.context, known, problems);
  if (!give_up_after && parts.source) give_up_after = patience_with(*parts.source);
  parts_maker(known, problems, config.threads, parts)
      .make(config, false, give_up_after.value_or(milliseconds(0)));
  return parts;
}

}  // namespace

pipeline_parts make_parts(pipeline_config& config, const registry& known) {
  problem_list problems;
  pipeline_parts parts = make_all(config, known, problems);
  problems.raise(config.where);
  if (config.gives_up_after_default) config.run.give_up_after = patience_with(*parts.source);
  return parts;
}

void try_parts(const pipeline_config& config, const registry& known, problem_list& problems) {
  static_cast<void>(make_all(config, known, problems));
}

}  // namespace brigade::cli
