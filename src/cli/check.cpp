// Three tiers, each only when the one before it is sound: what the file says, whether the parts fit
// together, whether what they need is there. Warnings say where a promise is weaker than it looks.
#include "cli/exit_code.hpp"
#include "cli/fork_components.hpp"
#include "cli/program_path.hpp"
#include "cli/verbs.hpp"

#include <brigade/pipeline/threaded_stage.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace brigade::cli {
namespace {

std::string with_workers(const stage_config& stage) {
  const std::string& name = stage.use.context.name;
  const std::string workers = workers_text(stage.policy);
  return workers == "1" ? name : fmt::format("{} ({} workers)", name, workers);
}

/// `a -> route [b -> x | y] -> c -> z`
std::string flow_of(const chain_config& chain) {
  std::string flow;
  const auto add = [&](const std::string& text) { flow += (flow.empty() ? "" : " -> ") + text; };
  for (const stage_config& stage : chain.stages) {
    add(with_workers(stage));
    std::string ways;
    for (const branch_config& branch : stage.branches) {
      ways += (ways.empty() ? "" : " | ") + flow_of(branch.chain);
    }
    if (!stage.branches.empty()) flow += " [" + ways + "]";
  }
  if (chain.has_sink()) add(chain.sink.use.context.name);
  return flow;
}

bool is_pattern(std::string_view path) { return path.find_first_of("*?[") != path.npos; }

bool has_field(const component& what, std::string_view name, field_type type) {
  for (const field_spec& field : what.fields) {
    if (field.name == name && field.type == type) return true;
  }
  return false;
}

/// What is followed may come later.
bool follows_files(const component_use& source) {
  return has_field(*source.what, "mode", field_type::choice) && source.values.has("mode") &&
         source.values.text("mode") == "tail";
}

void check_files(const pipeline_config& config, problem_list& problems) {
  const component_use& source = config.source;
  if (!has_field(*source.what, "path", field_type::text_or_list) || follows_files(source)) return;
  for (const std::string& path : source.values.list("path")) {
    const std::filesystem::path file = config.folder / path;
    if (is_pattern(path) || std::filesystem::exists(file)) continue;
    const auto place = source.places.find("path");
    problems.add(place == source.places.end() ? source.at : place->second,
                 fmt::format("there is no file {}", file.lexically_normal().string()));
  }
}

void check_letters(const ledger_config& ledger, problem_list& problems) {
  if (ledger.letters.empty()) return;
  std::error_code ignored;
  const auto found = std::filesystem::status(ledger.letters, ignored);
  if (std::filesystem::exists(found) && !std::filesystem::is_regular_file(found)) {
    problems.add(ledger.letters_at, fmt::format("{} is no regular file: dead letters need one",
                                                ledger.letters.string()));
  }
  if (std::filesystem::is_directory(ledger.letters.parent_path())) return;
  problems.add(ledger.letters_at, fmt::format("there is no folder {} for the dead letters: make it",
                                              ledger.letters.parent_path().string()));
}

/// Commands are looked for where they would be started; what they are given is their own affair.
void check_programs(const pipeline_config& config, problem_list& problems) {
  const auto check = [&](const std::vector<std::string>& command, position at) {
    const auto why = trouble_with_program(config.folder, command.front());
    if (why) problems.add(at, *why);
  };
  const auto check_stage = [&](const stage_config& stage) {
    const component_use& use = stage.use;
    const auto place = use.places.find("command");
    if (!has_field(*use.what, "command", field_type::text_list)) return;
    const bool own_path = use.values.has("env") && use.values.table("env").count("PATH") > 0;
    if (place != use.places.end() && !own_path) check(use.values.list("command"), place->second);
  };
  walk(config, check_stage, [](const sink_config&) {});
  if (config.then) check(config.then->command, config.then->at);
}

/// True for a sink that can tell a row it has from a new one, and is not told how.
bool repeats_rows(const component_use& sink) {
  const component& what = *sink.what;
  const bool can_replace = has_field(what, "key", field_type::text) ||
                           has_field(what, "key", field_type::text_list) ||
                           has_field(what, "key", field_type::text_or_list);
  if (!can_replace || sink.values.has("key")) return false;
  const bool skips = has_field(what, "dedupe", field_type::boolean) && sink.values.has("dedupe") &&
                     sink.values.flag("dedupe");
  return !skips;
}

/// In the order of `walk`, as the parts are.
bool uses_threads(const pipeline_config& config, const pipeline_parts& parts) {
  std::size_t n = 0;
  bool uses = false;
  const auto look = [&](const stage_config& stage) {
    const bool is_spread = dynamic_cast<const threaded_stage*>(parts.stages[n++].get()) != nullptr;
    uses = uses || (is_spread && std::max(stage.policy.workers, stage.policy.workers_max) > 1);
  };
  walk(config, look, [](const sink_config&) {});
  return uses;
}

using warner = std::function<void(position, const std::string&)>;

void warn_of_stage(const stage_config& stage, const warner& warn) {
  const component_use& use = stage.use;
  if (use.what->name == "exec") {
    warn(use.at, fmt::format("the handler of stage '{}' may be given an item again after a "
                             "failure, a timeout or a kill: if it has side effects, it must "
                             "skip a 'key' it has done before",
                             use.context.name));
  }
  if (use.what->name == "http") {
    warn(use.at, fmt::format("the server that stage '{}' asks may be asked again for an item after "
                             "a failure, a timeout or a kill: where that would do something twice, "
                             "it must know the Idempotency-Key",
                             use.context.name));
  }
  const bool has_else = std::ranges::any_of(
      stage.branches, [](const branch_config& branch) { return !branch.when.has_value(); });
  if (is_route(*use.what) && !has_else) {
    warn(use.at, fmt::format("an item that no branch of stage '{}' wants is filtered there; 'else' "
                             "says where it goes instead",
                             use.context.name));
  }
  if (!is_tee(*use.what)) return;
  for (const branch_config& branch : stage.branches) {
    if (branch.required) continue;
    warn(branch.at, fmt::format("this branch of stage '{}' is not required: what fails in it, or "
                                "finds it full or its sink down, is dropped from it",
                                use.context.name));
  }
}

void warn_of_sink(const sink_config& config, const warner& warn) {
  const component_use& sink = config.use;
  if (sink.what->name == "stdout") {
    warn(sink.at,
         "sink 'stdout' writes each item at least once: after a kill, the last ones may "
         "be written again");
  }
  if (sink.what->name == "http") {
    warn(sink.at,
         "sink 'http' sends each item at least once: after a failure, a timeout or a kill it may "
         "send one again, which the server can tell by its Idempotency-Key");
  }
  if (repeats_rows(sink)) {
    warn(sink.at,
         fmt::format(
             "sink '{}' has no 'key' and no 'dedupe': a run with --fresh adds its rows a second "
             "time",
             sink.what->name));
  }
}

void warn_of_tail(const pipeline_config& config, const warner& warn) {
  const component_use& source = config.source;
  if (!follows_files(source)) return;
  warn(source.at,
       fmt::format("what is written to a file of source '{}' between logrotate's copy and its cut "
                   "(copytruncate), or is deleted or compressed before it was read, is lost: "
                   "rotate by renaming, with delaycompress",
                   source.context.name));
  for (const std::string& path : source.values.list("path")) {
    const std::filesystem::path file = config.folder / path;
    if (is_pattern(path) || std::filesystem::exists(file)) continue;
    warn(source.at,
         fmt::format("{} is not there yet: it is waited for", file.lexically_normal().string()));
  }
}

bool is_posted_to(const pipeline_config& config) { return config.source.what->name == "http"; }

bool is_loopback(std::string_view listen) {
  return listen.starts_with("127.") || listen.starts_with("localhost:") ||
         listen.starts_with("[::1]:");
}

/// Who may post; and whoever posts may send again what was not answered: where that is not enough.
void warn_of_http(const pipeline_config& config, const warner& warn) {
  if (!is_posted_to(config)) return;
  const component_use& source = config.source;
  const std::string& name = source.context.name;
  const std::string& listen = source.values.text("listen");
  const auto place = source.places.find("listen");
  const position listen_at = place == source.places.end() ? source.at : place->second;
  if (!is_loopback(listen) && !source.values.has("token") && !source.values.has("tls_client_ca")) {
    warn(listen_at,
         fmt::format("anybody who reaches {} can post to source '{}': give it a 'token', "
                     "or listen on 127.0.0.1",
                     listen, name));
  }
  if (!is_loopback(listen) && !source.values.has("tls_certificate")) {
    warn(listen_at, fmt::format("what is posted to source '{}', and its token, can be read on the "
                                "way: give it a 'tls_certificate', or put a TLS proxy in front",
                                name));
  }
  if (source.values.text("reply") == "accepted") return;  // by the journal all is taken once
  if (config.ledger.mode != ledger_mode::full) {
    warn(source.at, fmt::format("this ledger keeps no row for each item: a request that is sent "
                                "again to source '{}' under its Idempotency-Key after a restart is "
                                "done again; 'ledger: full' tells it what became of it",
                                name));
  }
  const auto warn_of_rows = [&](const sink_config& sink) {
    if (!repeats_rows(sink.use)) return;
    warn(sink.use.at,
         fmt::format("a request that is sent again after a kill may be written again to sink '{}': "
                     "it needs an Idempotency-Key, and here a 'key' or 'dedupe: true'",
                     sink.use.what->name));
  };
  walk(config, [](const stage_config&) {}, warn_of_rows);
}

/// What has no account of its own, because it was made of a batch.
void warn_behind_batches(const chain_config& chain, bool is_batched, const warner& warn) {
  for (const stage_config& stage : chain.stages) {
    const component_use& use = stage.use;
    const bool parts = is_tee(*use.what) || use.what->name == "split";
    if (is_batched && parts) {
      warn(use.at, fmt::format("behind a batch, '{}' gives items no account of their own: after a "
                               "kill the whole batch is done again, and sinks may have rows twice",
                               use.what->name));
    }
    for (const branch_config& branch : stage.branches) {
      warn_behind_batches(branch.chain, is_batched, warn);
    }
    is_batched = is_batched || is_batch(*use.what);
  }
}

std::vector<std::string> warnings_of(const pipeline_config& config, const pipeline_parts& parts) {
  std::vector<std::string> warnings;
  const warner warn = [&](position at, const std::string& text) {
    warnings.push_back(fmt::format("{}: warning: {}", config.where(at), text));
  };
  if (!parts.source->replayable() && !is_posted_to(config)) {
    warn(config.source.at, fmt::format("what source '{}' gave cannot be asked for again: items in "
                                       "flight when the process is killed are lost",
                                       config.source.what->name));
  }
  warn_of_tail(config, warn);
  warn_of_http(config, warn);
  if (config.threads > 1 && !uses_threads(config, parts)) {
    warn(config.threads_at,
         fmt::format("'threads: {}' helps no stage here: it spreads the workers of 'jq', 'filter' "
                     "and 'parse', and none of those has more than one",
                     config.threads));
  }
  walk(
      config, [&](const stage_config& stage) { warn_of_stage(stage, warn); },
      [&](const sink_config& sink) { warn_of_sink(sink, warn); });
  warn_behind_batches(config, false, warn);
  return warnings;
}

}  // namespace

int check_verb(const check_options& options, const registry& known, std::ostream& out,
               std::ostream& err) {
  pipeline_config config = load_pipeline(options.file, {}, known);
  out << options.file << ": fields ok\n";
  const pipeline_parts parts = make_parts(config, known);
  out << options.file << ": topology ok: " << config.source.context.name << " -> "
      << flow_of(config) << '\n';

  problem_list problems;
  if (!options.offline) {
    check_files(config, problems);
    check_programs(config, problems);
    check_letters(config.ledger, problems);
  }
  for (const std::string& warning : warnings_of(config, parts)) out << warning << '\n';
  for (const std::string& line : problems.lines(config.where)) err << line << '\n';
  if (!problems.empty()) return exit_invalid_pipeline;
  if (!options.offline) out << options.file << ": environment ok\n";
  return exit_ok;
}

}  // namespace brigade::cli
