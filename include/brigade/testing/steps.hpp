/// for_each_step: dies at every step. The cheapest test of teardown there is.
///
///     for_each_step([](virtual_loop& loop) {
///       census items;                     // asserts at its end that nothing is left
///       queue<counted> jobs(2);           // outlives the tasks
///       loop.run(work(jobs, items));
///     });
///
/// Thread safety: none.
#pragma once
#include <brigade/testing/virtual_loop.hpp>

#include <cstdint>
#include <functional>
#include <optional>

namespace brigade::testing {

/// Runs `scenario` once to its end, counting its steps, and then as often as there were steps,
/// killing all tasks before the first, after the first, and so on: each frame is destroyed where it
/// waits. What the tasks share has to outlive `loop.run`, which throws `cancelled` when killed.
/// With a seed the tasks run in the order drawn from it. Returns the number of steps.
///
/// Throws when a killed run leaves a task or a timer, and what the scenario throws, with the step.
std::uint64_t for_each_step(const std::function<void(virtual_loop&)>& scenario,
                            std::optional<std::uint64_t> seed = std::nullopt);

}  // namespace brigade::testing
