/// A pipeline file, checked: every value has its type and its default, every component is known.
///
/// `load_pipeline` opens nothing but the file itself. Relative paths stay as written; they are
/// relative to `folder`. Thread safety: plain data.
#pragma once
#include "cli/problems.hpp"
#include "cli/yaml_document.hpp"

#include <brigade/pipeline/ledger.hpp>
#include <brigade/pipeline/policy.hpp>
#include <brigade/pipeline/registry.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade::cli {

/// A jq expression of the file, not yet compiled.
struct located_text {
  std::string text;
  position at;
  std::string spelled = {};  ///< with its variables not filled in: what may be shown
};

/// A component and what the file says to it.
struct component_use {
  const component* what = nullptr;  ///< of the registry given, which must outlive this
  settings values;
  component_context context;
  position at;                               ///< of the component's key
  std::map<std::string, position> places{};  ///< of the fields that the file gives
  /// Texts and lists of them with their variables not filled in: what may be shown.
  std::map<std::string, std::string> spelled{};
  bool complete = false;  ///< nothing was wrong with its fields
};

struct branch_config;

struct stage_config {
  component_use use;
  stage_policy policy;
  std::optional<located_text> when;
  std::optional<located_text> priority;  ///< of its queue
  std::vector<branch_config> branches;   ///< of a `route` or a `tee`
};

/// "4", "2..16".
[[nodiscard]] std::string workers_text(const stage_policy& policy);

struct sink_config {
  component_use use;
  sink_policy policy;
};

/// Stages, and the sink behind them; without one (`sink.use.what` is null), they end in branches
/// that have one, or go on behind the fork.
struct chain_config {
  std::vector<stage_config> stages;
  sink_config sink;

  [[nodiscard]] bool has_sink() const { return sink.use.what != nullptr; }
};

struct branch_config {
  std::optional<located_text> when;  ///< of a route; none: `else`
  bool required = true;              ///< of a tee
  position at;
  chain_config chain;
};

/// Each stage and each sink, branches directly behind their fork: as the engine counts them.
template <class OnStage, class OnSink>
void walk(const chain_config& chain, const OnStage& on_stage, const OnSink& on_sink) {
  for (const stage_config& stage : chain.stages) {
    on_stage(stage);
    for (const branch_config& branch : stage.branches) walk(branch.chain, on_stage, on_sink);
  }
  if (chain.has_sink()) on_sink(chain.sink);
}

/// Whether items leave a chain at its end, to what stands behind it (if anything does).
[[nodiscard]] bool leads_on(const chain_config& chain, bool has_something_behind);
/// Whether a stage of the chain has something behind it: a stage, the sink, or what is behind the
/// chain.
[[nodiscard]] inline bool has_behind(const chain_config& chain, std::size_t stage,
                                     bool has_something_behind) {
  return stage + 1 < chain.stages.size() || chain.has_sink() || has_something_behind;
}

struct ledger_config {
  ledger_mode mode = ledger_mode::full;  ///< the default depends on the source
  std::optional<milliseconds> keep{};    ///< how long finished runs stay
  std::optional<std::uint64_t> bytes_max{};
  std::filesystem::path letters{};  ///< absolute; the file of dead letters; empty: none
  position letters_at{};
  std::optional<std::uint64_t> letters_bytes_max{};
};

/// Health and metrics over HTTP.
struct admin_config {
  std::string listen;
  std::string token{};
  std::vector<std::string> hosts{};
  milliseconds stuck_after{60'000};
};

/// The last step, after the run.
struct then_config {
  enum class condition : std::uint8_t { success, failure, always };
  condition when = condition::always;
  std::vector<std::string> command;  ///< the program and its arguments
  std::string spelled;               ///< with its variables not filled in: what may be shown
  position at;                       ///< of the command
};

/// One of the file's `tests`: an item, and what is to come of it.
struct test_config {
  std::string name;
  position at;
  std::string input;  ///< JSON, or, with `is_line`, a line as the source reads it
  bool is_line = false;
  std::optional<outcome> result{};
  std::optional<std::vector<std::string>> outputs{};  ///< JSON of each item that reaches the sink
  std::optional<std::string> error{};                 ///< a part of it
};

struct pipeline_config : chain_config {
  explicit pipeline_config(place_names names) : where(std::move(names)) {}

  std::string name;
  std::filesystem::path file;    ///< absolute
  std::filesystem::path folder;  ///< absolute: the file's
  std::filesystem::path state;   ///< absolute; need not exist
  component_use source;
  std::optional<located_text> id;
  std::optional<located_text> order_by;
  int threads = 1;  ///< for work that does not wait
  position threads_at{};
  run_policy run;
  bool gives_up_after_default = true;  ///< `give_up_after` is not in the file
  ledger_config ledger;
  std::optional<admin_config> admin;
  std::optional<then_config> then;
  std::vector<test_config> tests;
  place_names where;  ///< for messages about positions in it

  [[nodiscard]] std::filesystem::path ledger_path() const;
};

/// What a pipeline runs with. Nothing is open yet.
struct pipeline_parts {
  std::unique_ptr<brigade::source> source;
  std::vector<std::unique_ptr<stage_body>> stages;    ///< in the order of `walk`
  std::vector<std::unique_ptr<brigade::sink>> sinks;  ///< likewise
};

/// A file as read.
struct pipeline_text {
  std::string text;
  std::string shown;              ///< the file's name in messages: as the user wrote it
  std::filesystem::path file;     ///< absolute
  std::vector<std::string> sets;  ///< `--set`, in order
  environment lookup;
};

/// A pipeline that was not read from a file, or is no text any more.
struct pipeline_tree {
  yaml_node root;
  place_names names;
  std::filesystem::path file;  ///< absolute; empty: there is none
  std::filesystem::path folder;
};

/// Throws `invalid_pipeline` with everything that is wrong; `problems` are those known by now.
[[nodiscard]] pipeline_config read_tree(const pipeline_tree& input, problem_list& problems,
                                        const registry& known);

/// Throws `invalid_pipeline` with everything that is wrong.
[[nodiscard]] pipeline_config read_pipeline(const pipeline_text& input, const registry& known);

/// The same from a file and this process's environment. An absent file is `invalid_pipeline` too.
[[nodiscard]] pipeline_config load_pipeline(const std::string& file,
                                            const std::vector<std::string>& sets,
                                            const registry& known);

/// Makes the components, and tries `id` and the other expressions as a filter would. Throws
/// `invalid_pipeline` with what the components refuse. Opens nothing. Sets the part of `run` that
/// only the source can tell: how long its run waits for a sink.
[[nodiscard]] pipeline_parts make_parts(pipeline_config& config, const registry& known);

/// Makes and drops what can be made of a file that has other problems, to add the components' own:
/// people want to hear of all of them at once.
void try_parts(const pipeline_config& config, const registry& known, problem_list& problems);

}  // namespace brigade::cli
