#include "cli/policy_reader.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <vector>

namespace brigade::cli {
namespace {

constexpr std::array<std::string_view, 10> stage_keys = {
    "name",  "workers",  "timeout", "deadline", "hung_after",
    "retry", "on_error", "queue",   "rate",     "when"};
constexpr std::array<std::string_view, 5> sink_keys = {"name", "timeout", "retry", "rate", "batch"};
constexpr std::array<std::string_view, 1> source_keys = {"name"};

constexpr std::int64_t workers_max = 10'000;
constexpr std::int64_t threads_max = 256;
constexpr std::int64_t items_max = 10'000'000;
constexpr std::int64_t attempts_max = 1'000'000;

void read_retry(value_reader& reader, const yaml_entry& entry, const std::string& owner,
                retry_policy& policy) {
  static constexpr std::array<std::string_view, 2> keys = {"attempts", "backoff"};
  if (!reader.is_map("retry", entry.value)) return;
  reader.keys_are_known(entry.value, keys, "'retry' of " + owner);
  if (const yaml_entry* const attempts = entry.value.find("attempts")) {
    const auto count = reader.integer("attempts", attempts->value, 1, attempts_max);
    if (count) policy.attempts_max = static_cast<int>(*count);
  }
  if (const yaml_entry* const backoff = entry.value.find("backoff")) {
    if (const auto range = reader.range("backoff", backoff->value)) {
      policy.backoff_min = range->min;
      policy.backoff_max = range->max;
    }
  }
}

/// `2..16`: the same as `{ min: 2, max: 16 }`.
yaml_node written_out(const yaml_node& value) {
  const std::size_t dots = value.text.find("..");
  if (value.what != yaml_node::kind::scalar || dots == std::string::npos) return value;
  yaml_node least = value;
  least.quoted = false;  // a range is a text, quoted or not
  least.text.resize(dots);
  yaml_node most = least;
  most.text = value.text.substr(dots + 2);
  yaml_node range = value;
  range.what = yaml_node::kind::map;
  range.entries.push_back({"min", value.at, std::move(least)});
  range.entries.push_back({"max", value.at, std::move(most)});
  return range;
}

void read_workers(value_reader& reader, const yaml_node& value, const std::string& owner,
                  stage_policy& policy) {
  static constexpr std::array<std::string_view, 2> keys = {"min", "max"};
  const yaml_node range = written_out(value);
  if (range.what != yaml_node::kind::map) {
    const auto count = reader.integer("workers", value, 1, workers_max);
    if (count) policy.workers = static_cast<int>(*count);
    return;
  }
  if (!reader.keys_are_known(range, keys, "'workers' of " + owner)) return;
  const yaml_entry* const min = range.find("min");
  const yaml_entry* const max = range.find("max");
  if (min == nullptr || max == nullptr) {
    reader.problem(value.at, "'workers' needs both ends of a range: { min: 2, max: 16 }");
    return;
  }
  const auto least = reader.integer("workers", min->value, 1, workers_max);
  const auto most = reader.integer("workers", max->value, 1, workers_max);
  if (!least || !most) return;
  if (*least > *most) {
    reader.problem(value.at, "'workers' is a range from more to less: turn it round");
    return;
  }
  policy.workers = static_cast<int>(*least);
  policy.workers_max = static_cast<int>(*most);
}

void read_hung_after(value_reader& reader, const yaml_node& value, stage_policy& policy) {
  const auto limit = reader.duration_or("never", "hung_after", value);
  if (!limit) return;
  policy.hung_after = limit->count() == 0 ? stage_policy::hung_never : *limit;
  if (policy.hung_after > policy.attempt_timeout) return;
  reader.problem(value.at, fmt::format("'hung_after' must be longer than the timeout of {}: until "
                                       "then an attempt is not hung",
                                       duration_text(policy.attempt_timeout)));
}

void read_queue_kind(value_reader& reader, const yaml_node& value, const std::string& owner,
                     stage_config& stage) {
  static constexpr std::array<std::string_view, 2> kinds = {"fifo", "lifo"};
  static constexpr std::array<std::string_view, 1> keys = {"priority"};
  if (value.what == yaml_node::kind::map) {
    const bool known = reader.keys_are_known(value, keys, "'kind' of the queue of " + owner);
    const yaml_entry* const priority = value.find("priority");
    if (priority == nullptr) {
      if (known) reader.problem(value.at, "'kind' must be fifo, lifo or { priority: EXPRESSION }");
      return;
    }
    stage.policy.queue_order = queue_kind::priority;
    const auto text = reader.text("priority", priority->value);
    if (text) {
      stage.priority = located_text{*text, priority->value.at, as_spelled(priority->value)};
    }
  } else if (value.text == "priority") {
    reader.problem(value.at, "'kind: priority' needs to know by what: { priority: .urgency }");
  } else if (const auto kind = reader.choice("kind", value, kinds)) {
    stage.policy.queue_order = *kind == "lifo" ? queue_kind::lifo : queue_kind::fifo;
  }
}

void read_queue(value_reader& reader, const yaml_entry& entry, const std::string& owner,
                stage_config& stage) {
  static constexpr std::array<std::string_view, 3> keys = {"size", "kind", "when_full"};
  static constexpr std::array<std::string_view, 3> answers = {"wait", "drop_oldest", "drop_newest"};
  if (!reader.is_map("queue", entry.value)) return;
  reader.keys_are_known(entry.value, keys, "'queue' of " + owner);
  if (const yaml_entry* const size = entry.value.find("size")) {
    const auto count = reader.integer("size", size->value, 1, items_max);
    if (count) stage.policy.queue_items_max = static_cast<std::size_t>(*count);
  }
  if (const yaml_entry* const kind = entry.value.find("kind")) {
    read_queue_kind(reader, kind->value, owner, stage);
  }
  if (const yaml_entry* const full = entry.value.find("when_full")) {
    const auto answer = reader.choice("when_full", full->value, answers);
    if (answer == "drop_oldest") stage.policy.queue_full = when_full::drop_oldest;
    if (answer == "drop_newest") stage.policy.queue_full = when_full::drop_newest;
  }
}

void read_tolerance(value_reader& reader, const yaml_node& value, const std::string& owner,
                    stage_policy& policy) {
  static constexpr std::array<std::string_view, 2> keys = {"tolerate", "then"};
  static constexpr std::array<std::string_view, 2> ends = {"stop", "pause"};
  if (!reader.keys_are_known(value, keys, "'on_error' of " + owner)) return;
  policy.failure = on_error::tolerate;
  if (const yaml_entry* const then = value.find("then")) {
    const auto end = reader.choice("then", then->value, ends);
    if (end == "pause") policy.budget.then = error_budget::spent::pause;
  }
  const yaml_entry* const budget = value.find("tolerate");
  if (budget == nullptr) {
    reader.problem(value.at, "'on_error' must be isolate, fail_fast or { tolerate: 5% }");
    return;
  }
  if (!budget->value.text.empty() && budget->value.text.back() == '%') {
    try {
      policy.budget.share = parse_percentage(budget->value.text);
    } catch (const unit_error& error) {
      reader.problem(budget->value.at, fmt::format("'tolerate': {}", error.what()));
    }
  } else if (const auto count = reader.integer("tolerate", budget->value, 1)) {
    policy.budget.count = static_cast<std::uint64_t>(*count);
  }
}

void read_on_error(value_reader& reader, const yaml_node& value, const std::string& owner,
                   stage_policy& policy) {
  static constexpr std::array<std::string_view, 2> choices = {"isolate", "fail_fast"};
  if (value.what == yaml_node::kind::map) {
    read_tolerance(reader, value, owner, policy);
  } else if (const auto answer = reader.choice("on_error", value, choices)) {
    policy.failure = *answer == "fail_fast" ? on_error::fail_fast : on_error::isolate;
  }
}

void read_rate(value_reader& reader, const yaml_entry& entry, rate_limit& rate) {
  const auto text = reader.text("rate", entry.value);
  if (!text) return;
  try {
    const rate_value given = parse_rate(*text);
    rate.items = static_cast<std::int64_t>(given.items);
    rate.per = given.per;
  } catch (const unit_error& error) {
    reader.problem(entry.value.at, fmt::format("'rate': {}", error.what()));
  }
}

void read_batch(value_reader& reader, const yaml_entry& entry, const std::string& owner,
                sink_policy& policy) {
  static constexpr std::array<std::string_view, 3> keys = {"count", "within", "bytes"};
  if (!reader.is_map("batch", entry.value)) return;
  reader.keys_are_known(entry.value, keys, "'batch' of " + owner);
  if (const yaml_entry* const count = entry.value.find("count")) {
    const auto items = reader.integer("count", count->value, 1, items_max);
    if (items) policy.batch_items_max = static_cast<std::size_t>(*items);
  }
  if (const yaml_entry* const within = entry.value.find("within")) {
    if (const auto age = reader.duration("within", within->value)) policy.batch_age_max = *age;
  }
  if (const yaml_entry* const bytes = entry.value.find("bytes")) {
    const auto size = reader.size_above_zero("bytes", bytes->value);
    if (size) policy.batch_bytes_max = static_cast<std::size_t>(*size);
  }
}

void read_window(value_reader& reader, const yaml_entry& entry, run_policy& policy) {
  static constexpr std::array<std::string_view, 2> keys = {"items", "bytes"};
  if (!reader.is_map("window", entry.value)) return;
  reader.keys_are_known(entry.value, keys, "'window'");
  if (const yaml_entry* const items = entry.value.find("items")) {
    const auto count = reader.integer("items", items->value, 1, items_max);
    if (count) policy.window_items_max = static_cast<std::size_t>(*count);
  }
  if (const yaml_entry* const bytes = entry.value.find("bytes")) {
    const auto size = reader.size_above_zero("bytes", bytes->value);
    if (size) policy.window_bytes_max = static_cast<std::size_t>(*size);
  }
}

void read_ledger_mode(value_reader& reader, const yaml_node& value, ledger_config& ledger) {
  static constexpr std::array<std::string_view, 3> modes = {"full", "failures", "off"};
  const auto mode = reader.choice("mode", value, modes);
  if (!mode) return;
  ledger.mode = *mode == "full"       ? ledger_mode::full
                : *mode == "failures" ? ledger_mode::failures
                                      : ledger_mode::off;
}

void read_ledger(value_reader& reader, const yaml_entry& entry, ledger_config& ledger) {
  static constexpr std::array<std::string_view, 3> keys = {"mode", "keep", "max"};
  if (entry.value.what == yaml_node::kind::scalar) {
    read_ledger_mode(reader, entry.value, ledger);
    return;
  }
  if (!reader.is_map("ledger", entry.value)) return;
  reader.keys_are_known(entry.value, keys, "'ledger'");
  if (const yaml_entry* const mode = entry.value.find("mode")) {
    read_ledger_mode(reader, mode->value, ledger);
  }
  if (const yaml_entry* const keep = entry.value.find("keep")) {
    ledger.keep = reader.duration("keep", keep->value);
  }
  if (const yaml_entry* const max = entry.value.find("max")) {
    ledger.bytes_max = reader.size_above_zero("max", max->value);
  }
}

void read_dead_letters(value_reader& reader, const yaml_entry& entry, pipeline_config& config) {
  static constexpr std::array<std::string_view, 2> keys = {"file", "max"};
  if (!reader.is_map("dead_letters", entry.value)) return;
  reader.keys_are_known(entry.value, keys, "'dead_letters'");
  const yaml_entry* const file = entry.value.find("file");
  if (file == nullptr) {
    reader.problem(entry.value.at,
                   "'dead_letters' needs 'file': where they are written beside the ledger");
  } else if (const auto path = reader.text("file", file->value)) {
    config.ledger.letters = (config.folder / *path).lexically_normal();
    config.ledger.letters_at = file->value.at;
  }
  if (const yaml_entry* const max = entry.value.find("max")) {
    config.ledger.letters_bytes_max = reader.size_above_zero("max", max->value);
  }
}

/// The files that a source or a sink is given by name.
std::vector<std::string> paths_of(const component_use& use) {
  if (use.what == nullptr) return {};
  for (const field_spec& field : use.what->fields) {
    if ((field.name != "path" && field.name != "file") || !use.values.has(field.name)) continue;
    if (field.type == field_type::text) return {use.values.text(field.name)};
    if (field.type == field_type::text_or_list) return use.values.list(field.name);
  }
  return {};
}

/// Dead letters that are read as items, or stand between what somebody else keeps there, are worse
/// than none.
void keep_letters_apart(value_reader& reader, const pipeline_config& config) {
  if (config.ledger.letters.empty()) return;
  std::error_code ignored;
  const auto real = [&](const std::filesystem::path& path) {
    return std::filesystem::weakly_canonical(config.folder / path, ignored);
  };
  const std::filesystem::path letters = real(config.ledger.letters);
  const auto is_met = [&](const std::string& path) {
    const std::string pattern = (config.folder / path).lexically_normal().string();
    return real(path) == letters || ::fnmatch(pattern.c_str(), config.ledger.letters.c_str(),
                                              FNM_PATHNAME | FNM_PERIOD) == 0;
  };
  const auto refuse = [&](std::string_view what) {
    reader.problem(config.ledger.letters_at,
                   fmt::format("'file' of 'dead_letters' is {}, too: name another file", what));
  };
  if (std::ranges::any_of(paths_of(config.source), is_met)) refuse("a file of the source");
  const auto refuse_if_of = [&](const sink_config& sink) {
    if (std::ranges::any_of(paths_of(sink.use), is_met)) refuse("the file of a sink");
  };
  walk(config, [](const stage_config&) {}, refuse_if_of);
  const std::string ledger = real(config.ledger_path()).string();
  for (const std::string_view end : {"", "-wal", "-shm", ".lock"}) {
    if (letters == std::filesystem::path(ledger + std::string(end))) refuse("the ledger's");
  }
}

void read_order(value_reader& reader, const yaml_node& root, pipeline_config& config) {
  static constexpr std::array<std::string_view, 2> orders = {"none", "source"};
  static constexpr std::array<std::string_view, 2> answers = {"continue", "hold_key"};
  if (const yaml_entry* const by = root.find("order_by")) {
    const auto text = reader.text("order_by", by->value);
    if (text) config.order_by = located_text{*text, by->value.at, as_spelled(by->value)};
    config.run.order = item_order::by_key;
  }
  if (const yaml_entry* const order = root.find("order")) {
    const auto how = reader.choice("order", order->value, orders);
    if (how == "source" && config.run.order == item_order::by_key) {
      reader.problem(order->at, "'order: source' and 'order_by' are two orders: leave one out");
    } else if (how == "source") {
      config.run.order = item_order::source;
    }
  }
  if (const yaml_entry* const after = root.find("after_dead_letter")) {
    const auto answer = reader.choice("after_dead_letter", after->value, answers);
    if (answer == "hold_key") config.run.after_letter = after_dead_letter::hold_key;
    if (config.run.order != item_order::by_key) {
      reader.problem(after->at, "'after_dead_letter' is about keys: it needs 'order_by'");
    }
  }
}

void read_threads(value_reader& reader, const yaml_node& root, pipeline_config& config) {
  if (const yaml_entry* const threads = root.find("threads")) {
    const auto count = reader.integer("threads", threads->value, 1, threads_max);
    config.threads = static_cast<int>(count.value_or(1));
    config.threads_at = threads->value.at;
  }
}

}  // namespace

std::span<const std::string_view> reserved_keys(component_kind kind) {
  switch (kind) {
    case component_kind::source:
      return source_keys;
    case component_kind::stage:
      return stage_keys;
    case component_kind::sink:
      return sink_keys;
  }
  return {};
}

void read_stage_policy(value_reader& reader, const yaml_node& node, const std::string& owner,
                       stage_config& stage) {
  stage_policy& policy = stage.policy;
  for (const yaml_entry& entry : node.entries) {
    const yaml_node& value = entry.value;
    if (entry.key == "workers") read_workers(reader, value, owner, policy);
    if (entry.key == "retry") read_retry(reader, entry, owner, policy.retry);
    if (entry.key == "on_error") read_on_error(reader, value, owner, policy);
    if (entry.key == "queue") read_queue(reader, entry, owner, stage);
    if (entry.key == "rate") read_rate(reader, entry, policy.rate);
    if (entry.key == "timeout") {
      policy.attempt_timeout =
          reader.duration_or("none", "timeout", value).value_or(milliseconds(0));
    }
    if (entry.key == "deadline") {
      policy.item_deadline =
          reader.duration_or("none", "deadline", value).value_or(milliseconds(0));
    }
  }
  // Once the timeout is known.
  if (const yaml_entry* const hung = node.find("hung_after")) {
    read_hung_after(reader, hung->value, policy);
  }
}

void read_sink_policy(value_reader& reader, const yaml_node& sink, const std::string& owner,
                      sink_policy& policy) {
  for (const yaml_entry& entry : sink.entries) {
    if (entry.key == "retry") read_retry(reader, entry, owner, policy.retry);
    if (entry.key == "rate") read_rate(reader, entry, policy.rate);
    if (entry.key == "batch") read_batch(reader, entry, owner, policy);
    if (entry.key == "timeout") {
      policy.attempt_timeout =
          reader.duration_or("none", "timeout", entry.value).value_or(milliseconds(0));
    }
  }
}

void read_run_keys(value_reader& reader, const yaml_node& root, pipeline_config& config) {
  for (const yaml_entry& entry : root.entries) {
    if (entry.key == "window") read_window(reader, entry, config.run);
    if (entry.key == "ledger") read_ledger(reader, entry, config.ledger);
    if (entry.key == "dead_letters") read_dead_letters(reader, entry, config);
    if (entry.key == "give_up_after") {
      const auto limit = reader.duration_or("never", "give_up_after", entry.value);
      config.run.give_up_after = limit.value_or(milliseconds(0));
      config.gives_up_after_default = false;
    }
    if (entry.key == "stop_timeout") {
      const auto limit = reader.duration("stop_timeout", entry.value);
      if (limit) config.run.stop_timeout = *limit;
    }
  }
  read_order(reader, root, config);
  read_threads(reader, root, config);
  keep_letters_apart(reader, config);
}

}  // namespace brigade::cli
