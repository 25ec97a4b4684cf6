/// Typed values out of YAML nodes: each call gives the value, or adds a problem that names the key,
/// says what was expected and what stands there, and gives nothing.
#pragma once
#include "cli/problems.hpp"
#include "cli/units.hpp"
#include "cli/yaml_document.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::cli {

class value_reader {
 public:
  explicit value_reader(problem_list& problems) : problems_(problems) {}

  /// Any scalar: `5` and `true` are text too where text is asked for.
  std::optional<std::string> text(std::string_view key, const yaml_node& node);
  std::optional<std::int64_t> integer(std::string_view key, const yaml_node& node,
                                      std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                                      std::int64_t max = std::numeric_limits<std::int64_t>::max());
  /// `true` or `false`; YAML's `yes` and `on` are refused.
  std::optional<bool> boolean(std::string_view key, const yaml_node& node);
  std::optional<milliseconds> duration(std::string_view key, const yaml_node& node);
  /// A duration of at least a millisecond, or `word`, which gives 0.
  std::optional<milliseconds> duration_or(std::string_view word, std::string_view key,
                                          const yaml_node& node);
  std::optional<std::uint64_t> size(std::string_view key, const yaml_node& node);
  /// At least one byte.
  std::optional<std::uint64_t> size_above_zero(std::string_view key, const yaml_node& node);
  std::optional<duration_range> range(std::string_view key, const yaml_node& node);
  std::optional<std::vector<std::string>> text_list(std::string_view key, const yaml_node& node);
  std::optional<std::map<std::string, std::string>> text_map(std::string_view key,
                                                             const yaml_node& node);
  std::optional<std::string> choice(std::string_view key, const yaml_node& node,
                                    std::span<const std::string_view> choices);

  /// False, and a problem, when the node is not a mapping.
  bool is_map(std::string_view key, const yaml_node& node);
  /// A problem for each key of a mapping that is not `known`. Returns whether all are.
  bool keys_are_known(const yaml_node& map, std::span<const std::string_view> known,
                      std::string_view where);
  void problem(position at, std::string message) { problems_.add(at, std::move(message)); }
  [[nodiscard]] std::size_t problem_count() const { return problems_.size(); }

 private:
  void mismatch(std::string_view key, const yaml_node& node, std::string_view expected);
  template <class Parse>
  auto parsed(std::string_view key, const yaml_node& node, std::string_view expected, Parse parse)
      -> std::optional<decltype(parse(std::string_view{}))>;

  problem_list& problems_;
};

}  // namespace brigade::cli
