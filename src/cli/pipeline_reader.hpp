/// Reads a pipeline file's tree into a `pipeline_config`, going on after each problem.
#pragma once
#include "cli/pipeline_config.hpp"
#include "cli/value_reader.hpp"

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::cli {

class pipeline_reader {
 public:
  pipeline_reader(const registry& known, problem_list& problems, pipeline_config& config)
      : known_(known), reader_(problems), config_(config) {}

  void read(const yaml_node& root);

 private:
  /// A source, stage or sink as found: which component, and what to call it in messages.
  struct part {
    const yaml_node* node = nullptr;
    const yaml_entry* entry = nullptr;  ///< the component's; null: there is none to read
    const component* what = nullptr;
    std::string given_name;  ///< empty: none
    position name_at;
    std::string owner;  ///< `stage 'charge'`, for messages
  };

  struct found_branch;
  struct found_stage {
    part self;
    std::vector<found_branch> branches;
  };
  struct found_chain {
    std::vector<found_stage> stages;
    part sink;  ///< its `node` is null: there is none
  };
  struct found_branch {
    std::optional<located_text> when;
    bool required = true;
    position at;
    found_chain chain;
  };

  void read_name(const yaml_node& root);
  void read_state(const yaml_node& root);
  void read_source(const yaml_node& root);
  void read_flow(const yaml_node& root);
  void read_chain(const found_chain& found, chain_config& chain);
  void read_stage(const found_stage& found, chain_config& chain);
  void read_sink(const part& found, sink_config& sink);

  // pipeline_forks.cpp
  found_stage find_stage(const yaml_node& node, const std::string& fallback_owner);
  const yaml_node* branches_of(const part& found);
  void find_routes(const yaml_node& list, found_stage& stage);
  void find_route(const yaml_node& node, found_stage& stage);
  void find_tees(const yaml_node& list, found_stage& stage);
  found_branch find_way(const yaml_node& to, const std::string& owner);
  void take_given_names(const found_chain& found);
  void check_never_ends_the_run(const chain_config& chain);
  void check_files_apart();
  void check_ways(const chain_config& chain, bool has_something_behind);
  void check_route(const stage_config& stage, const chain_config& chain, std::size_t number,
                   bool has_something_behind);
  void check_tee(const stage_config& stage, bool leads_on);
  void check_order(const stage_config& stage, bool leads_on);

  part find_part(component_kind kind, const yaml_node& node, std::string_view fallback_owner);
  void find_component(component_kind kind, part& found);
  void report_stranger(component_kind kind, const yaml_entry& entry, const part& found);
  void read_given_name(component_kind kind, part& found);
  void check_refused(const part& found);
  std::string take_name(const part& found);
  component_use start_use(const part& found, std::string name) const;
  std::vector<std::string_view> component_names(component_kind kind) const;
  std::optional<located_text> expression(const yaml_node& map, std::string_view key);

  const registry& known_;
  value_reader reader_;
  pipeline_config& config_;
  std::vector<std::string> names_;  // of stages and sinks, taken
  std::deque<yaml_node> own_;       // nodes without what is not the component's
};

}  // namespace brigade::cli
