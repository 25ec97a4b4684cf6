// What a box says is what holds: defaults are filled in, so that nobody has to know them.
#include "cli/picture.hpp"

#include "cli/fork_components.hpp"
#include "cli/plain_text.hpp"
#include "cli/units.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace brigade::cli {
namespace {

constexpr std::size_t value_bytes_max = 60;

/// A field as the file gives it, unless it is a secret; so may be what stands for a variable, and
/// the values of a mapping (`env`), of which only the keys are shown.
std::string value_text(const component_use& use, const field_spec& field) {
  if (field.secret) return "***";
  const settings& values = use.values;
  switch (field.type) {
    case field_type::branches:
      return {};  // they have boxes of their own
    case field_type::text:
    case field_type::choice:
    case field_type::text_list:
    case field_type::text_or_list:
      return plain_line(use.spelled.at(field.name), value_bytes_max);
    case field_type::integer:
      return fmt::format("{}", values.integer(field.name));
    case field_type::boolean:
      return values.flag(field.name) ? "true" : "false";
    case field_type::duration:
      return duration_text(values.duration(field.name));
    case field_type::bytes:
      return size_text(static_cast<std::uint64_t>(values.integer(field.name)));
    case field_type::text_map: {
      std::vector<std::string_view> keys;
      for (const auto& [key, value] : values.table(field.name)) keys.push_back(key);
      return plain_line(fmt::format("{}", fmt::join(keys, ", ")), value_bytes_max);
    }
  }
  return {};
}

void add_fields(const component_use& use, picture_box& box) {
  for (const field_spec& field : use.what->fields) {
    if (use.places.count(field.name) == 0) continue;
    box.lines.push_back(fmt::format("{}: {}", field.name, value_text(use, field)));
  }
}

std::string title_of(std::string_view kind, const component_use& use) {
  const std::string& name = use.context.name;
  return name == use.what->name ? fmt::format("{} {}", kind, name)
                                : fmt::format("{} {} ({})", kind, name, use.what->name);
}

std::string limit_text(milliseconds limit) {
  return limit.count() == 0 ? "none" : duration_text(limit);
}

std::string retry_text(const retry_policy& retry) {
  if (retry.attempts_max == 1) return "retry: none, 1 attempt";
  return fmt::format("retry: {} attempts, {}..{}", retry.attempts_max,
                     duration_text(retry.backoff_min), duration_text(retry.backoff_max));
}

std::string rate_text(const rate_limit& rate) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(rate.per).count();
  const std::string_view unit = seconds == 1 ? "s" : seconds == 60 ? "m" : "h";
  return fmt::format("rate: {}/{}", rate.items, unit);
}

std::string queue_text(const stage_config& stage) {
  std::string text = fmt::format("queue: {}", stage.policy.queue_items_max);
  if (stage.policy.queue_order == queue_kind::lifo) text += ", lifo";
  if (stage.priority) text += ", by " + plain_line(stage.priority->spelled, value_bytes_max);
  if (stage.policy.queue_full == when_full::drop_oldest) text += ", drop_oldest";
  if (stage.policy.queue_full == when_full::drop_newest) text += ", drop_newest";
  return text;
}

std::string on_error_text(const stage_policy& policy) {
  if (policy.failure == on_error::isolate) return "on_error: isolate";
  if (policy.failure == on_error::fail_fast) return "on_error: fail_fast";
  const error_budget& budget = policy.budget;
  const std::string share = fmt::format("{:g}%", budget.share * 100);
  return fmt::format("on_error: tolerate {}, then {}",
                     budget.count != 0 ? std::to_string(budget.count) : share,
                     budget.then == error_budget::spent::pause ? "pause" : "stop");
}

picture_box source_box(const pipeline_config& config) {
  picture_box box;
  box.title = title_of("source", config.source);
  add_fields(config.source, box);
  if (config.id) box.lines.push_back("id: " + plain_line(config.id->spelled, value_bytes_max));
  if (config.order_by) {
    const bool holds = config.run.after_letter == after_dead_letter::hold_key;
    box.lines.push_back("order_by: " + plain_line(config.order_by->spelled, value_bytes_max) +
                        (holds ? ", held behind a dead letter" : ""));
  }
  if (config.run.order == item_order::source) box.lines.emplace_back("order: source");
  box.lines.push_back(fmt::format("window: {} items, {}", config.run.window_items_max,
                                  size_text(config.run.window_bytes_max)));
  box.makes_letters = true;
  return box;
}

picture_box stage_box(const stage_config& stage) {
  const stage_policy& policy = stage.policy;
  picture_box box;
  box.title = title_of("stage", stage.use);
  add_fields(stage.use, box);
  if (stage.when) box.lines.push_back("when: " + plain_line(stage.when->spelled, value_bytes_max));
  box.lines.push_back(fmt::format("workers: {}; {}", workers_text(policy), queue_text(stage)));
  if (policy.rate.items != 0) box.lines.push_back(rate_text(policy.rate));
  box.lines.push_back(fmt::format("timeout: {}; deadline: {}", limit_text(policy.attempt_timeout),
                                  limit_text(policy.item_deadline)));
  if (policy.hung_after.count() != 0) {
    const bool never = policy.hung_after == stage_policy::hung_never;
    box.lines.push_back("hung_after: " + (never ? "never" : duration_text(policy.hung_after)));
  }
  box.lines.push_back(retry_text(policy.retry));
  box.lines.push_back(on_error_text(policy));
  box.makes_letters = true;
  return box;
}

picture_box sink_box(const sink_config& sink) {
  const sink_policy& policy = sink.policy;
  picture_box box;
  box.title = title_of("sink", sink.use);
  add_fields(sink.use, box);
  const std::string bytes =
      policy.batch_bytes_max == 0 ? "" : ", " + size_text(policy.batch_bytes_max);
  box.lines.push_back(fmt::format("batch: {} items{}, within {}", policy.batch_items_max, bytes,
                                  duration_text(policy.batch_age_max)));
  if (policy.rate.items != 0) box.lines.push_back(rate_text(policy.rate));
  box.lines.push_back(fmt::format("timeout: {}", limit_text(policy.attempt_timeout)));
  box.lines.push_back(retry_text(policy.retry));
  box.makes_letters = true;
  return box;
}

picture_box ledger_box(const pipeline_config& config) {
  constexpr std::string_view modes[] = {"full", "failures", "off"};
  picture_box box;
  box.title = "ledger";
  box.lines.push_back(config.ledger_path().lexically_relative(config.folder).string());
  box.lines.push_back(fmt::format("mode: {}", modes[static_cast<std::size_t>(config.ledger.mode)]));
  if (config.ledger.keep) {
    box.lines.push_back(fmt::format("keep: {}", duration_text(*config.ledger.keep)));
  }
  if (config.ledger.bytes_max) {
    box.lines.push_back(fmt::format("max: {}", size_text(*config.ledger.bytes_max)));
  }
  return box;
}

picture_box then_box(const then_config& step) {
  constexpr std::string_view conditions[] = {"success", "failure", "always"};
  picture_box box;
  box.title = fmt::format("then, if {}", conditions[static_cast<std::size_t>(step.when)]);
  box.lines.push_back(plain_line("exec: " + step.spelled, value_bytes_max));
  return box;
}

/// What a fork or a batch does is in its fields and branches: nobody works there.
picture_box quiet_box(const stage_config& stage) {
  picture_box box;
  box.title = title_of("stage", stage.use);
  add_fields(stage.use, box);
  box.lines.push_back(queue_text(stage));
  if (is_route(*stage.use.what)) box.lines.push_back(on_error_text(stage.policy));
  const bool has_else = std::ranges::any_of(
      stage.branches, [](const branch_config& branch) { return !branch.when.has_value(); });
  if (is_route(*stage.use.what) && !has_else) box.lines.emplace_back("else: filtered");
  box.makes_letters = !is_tee(*stage.use.what);
  return box;
}

std::string label_of(const stage_config& stage, const branch_config& branch) {
  if (is_tee(*stage.use.what)) return branch.required ? "copy" : "copy, not required";
  if (!branch.when) return "else";
  return "when " + plain_line(branch.when->spelled, value_bytes_max);
}

/// Draws the boxes in the order of the file, and arrows to what stands behind.
class flow_drawer {
 public:
  explicit flow_drawer(std::vector<picture_box>& flow) : flow_(flow) { ends_.push_back(0); }

  void draw(const chain_config& chain, std::size_t depth) {
    for (const stage_config& stage : chain.stages) draw_stage(stage, depth);
    if (!chain.has_sink()) return;
    add(sink_box(chain.sink), depth);
    ends_.clear();
  }

 private:
  std::size_t add(picture_box box, std::size_t depth) {
    const std::size_t number = flow_.size();
    box.depth = depth;
    box.label = std::exchange(label_, {});
    for (const std::size_t end : ends_) flow_[end].next.push_back(number);
    ends_ = {number};
    flow_.push_back(std::move(box));
    return number;
  }

  void draw_stage(const stage_config& stage, std::size_t depth) {
    const component& what = *stage.use.what;
    const bool is_quiet = is_fork(what) || is_batch(what);
    const std::size_t fork = add(is_quiet ? quiet_box(stage) : stage_box(stage), depth);
    if (!is_fork(what)) return;
    std::vector<std::size_t> ends;
    for (const branch_config& branch : stage.branches) {
      ends_ = {fork};
      label_ = label_of(stage, branch);
      draw(branch.chain, depth + 1);
      ends.insert(ends.end(), ends_.begin(), ends_.end());
    }
    label_.clear();
    if (is_tee(what)) ends.push_back(fork);
    ends_ = std::move(ends);
  }

  std::vector<picture_box>& flow_;
  std::vector<std::size_t> ends_;  ///< boxes from which items come to the next
  std::string label_;
};

void write_box(const picture_box& box, std::string_view margin, std::string& to) {
  std::string indent = "  ";
  for (std::size_t n = 0; n < box.depth; ++n) indent += "│ ";
  if (!box.label.empty()) to += fmt::format("{}{}:\n", indent, box.label);
  to += indent + box.title + "\n";
  for (const std::string& line : box.lines) to += fmt::format("{}{}  {}\n", indent, margin, line);
}

}  // namespace

pipeline_picture picture_of(const pipeline_config& config) {
  pipeline_picture picture;
  picture.name = config.name;
  picture.flow.push_back(source_box(config));
  flow_drawer(picture.flow).draw(config, 0);
  picture.letters.title = "dead letters";
  picture.letters.lines = {"in the ledger", "brigade dlq ls LEDGER"};
  if (!config.ledger.letters.empty()) {
    picture.letters.lines.push_back("and in " + config.ledger.letters.string());
  }
  picture.aside.push_back(ledger_box(config));
  if (config.then) picture.aside.push_back(then_box(*config.then));
  return picture;
}

std::string text_picture(const pipeline_picture& picture) {
  std::string text = picture.name + "\n\n";
  for (std::size_t i = 0; i < picture.flow.size(); ++i) {
    const picture_box& box = picture.flow[i];
    const bool is_last = i + 1 == picture.flow.size();
    write_box(box, box.next.empty() ? " " : "│", text);
    if (is_last) continue;
    const picture_box& following = picture.flow[i + 1];
    const bool opens_branches = following.depth > box.depth;
    if (opens_branches) continue;
    for (std::size_t n = 0; n < following.depth; ++n) text += n == 0 ? "  │" : " │";
    text += following.label.empty() ? (following.depth == 0 ? "  ▼\n" : " ▼\n") : "\n";
  }
  text += "\n";
  write_box(picture.letters, " ", text);
  for (const picture_box& box : picture.aside) write_box(box, " ", text);
  return text;
}

}  // namespace brigade::cli
