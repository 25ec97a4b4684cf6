/// The stages of a pipeline file that are no work on one item: `route`, `tee` and `batch`. What
/// their branches hold is read and made where the file is (pipeline_forks.cpp, pipeline_parts.cpp).
#pragma once
#include <brigade/pipeline/registry.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace brigade::cli {

void register_forks(registry& to);

[[nodiscard]] bool is_route(const component& what);
[[nodiscard]] bool is_tee(const component& what);
[[nodiscard]] inline bool is_fork(const component& what) { return is_route(what) || is_tee(what); }
[[nodiscard]] bool is_batch(const component& what);

/// The conditions of its branches in order; an empty one always holds.
[[nodiscard]] std::unique_ptr<stage_body> make_route(const std::vector<std::string>& conditions);
/// `ways` counts what stands behind the tee.
[[nodiscard]] std::unique_ptr<stage_body> make_tee(std::size_t ways);
[[nodiscard]] batch_policy batch_rules(const settings& values);

}  // namespace brigade::cli
