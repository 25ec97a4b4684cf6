// What the stages of a forking world do with texts: shared by the stages and by the model.
#pragma once
#include "sim/fork_scenario.hpp"

#include <brigade/pipeline/stage.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::sim {

[[nodiscard]] std::uint64_t nature_of(const stage_model& model, std::string_view text,
                                      std::uint64_t salt);
[[nodiscard]] bool is_refused(const stage_model& model, std::string_view text);
/// What it becomes; itself alone when it is not split.
[[nodiscard]] std::vector<std::string> parts_of(const stage_model& model, const std::string& text);
/// Which branch; as many as there are: none.
[[nodiscard]] std::size_t way_of(const stage_model& model, std::string_view text);
/// Of `[a;[b;c]]` the texts `a`, `b` and `c`.
[[nodiscard]] std::vector<std::string> members_of(std::string_view text);

/// Chances are 1 in n; 0: never.
struct fork_faults {
  milliseconds delay_max{0};
  std::uint64_t fails_one_in = 0;
  std::uint64_t refuses_one_in = 0;  ///< whatever the text
  std::uint64_t fatal_one_in = 0;
};

[[nodiscard]] std::unique_ptr<stage_body> make_fork_stage(const stage_model& model,
                                                          std::size_t ways,
                                                          const fork_faults& faults,
                                                          std::uint64_t seed);

}  // namespace brigade::sim
