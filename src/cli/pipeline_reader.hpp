/// Reads a pipeline file's tree into a `pipeline_config`, going on after each problem.
#pragma once
#include "cli/pipeline_config.hpp"
#include "cli/value_reader.hpp"

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

  void read_name(const yaml_node& root);
  void read_state(const yaml_node& root);
  void read_source(const yaml_node& root);
  void read_stages(const yaml_node& root);
  void read_sink(const yaml_node& root);
  void read_stage(const part& found);

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
  std::vector<std::string> names_;  // of stages and sink, taken
};

}  // namespace brigade::cli
