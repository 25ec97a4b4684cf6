#include "cli/then_reader.hpp"

#include <array>

namespace brigade::cli {
namespace {

then_config::condition condition_called(std::string_view word) {
  using enum then_config::condition;
  return word == "success" ? success : word == "failure" ? failure : always;
}

}  // namespace

std::optional<then_config> read_then(value_reader& reader, const yaml_entry& entry) {
  static constexpr std::array<std::string_view, 2> keys = {"if", "exec"};
  static constexpr std::array<std::string_view, 3> conditions = {"success", "failure", "always"};
  const std::size_t problems_before = reader.problem_count();
  if (!reader.is_map("then", entry.value)) return std::nullopt;
  reader.keys_are_known(entry.value, keys, "'then'");
  then_config step;
  if (const yaml_entry* const when = entry.value.find("if")) {
    if (const auto word = reader.choice("if", when->value, conditions)) {
      step.when = condition_called(*word);
    }
  } else {
    reader.problem(entry.at, "'then' needs 'if': success, failure or always");
  }
  if (const yaml_entry* const exec = entry.value.find("exec")) {
    step.at = exec->value.at;
    step.command = reader.text_list("exec", exec->value).value_or(std::vector<std::string>{});
    step.spelled = as_spelled(exec->value);
    const bool is_list = exec->value.what == yaml_node::kind::list;
    if (is_list && (exec->value.items.empty() || exec->value.items.front().text.empty())) {
      reader.problem(exec->value.at, "'exec' is empty: write it as [program, argument, ...]");
    }
  } else {
    reader.problem(entry.at, "'then' needs 'exec', such as [./publish-results]");
  }
  if (reader.problem_count() != problems_before) return std::nullopt;
  return step;
}

}  // namespace brigade::cli
