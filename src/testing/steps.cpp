#include <brigade/async/cancel.hpp>
#include <brigade/async/error.hpp>
#include <brigade/testing/steps.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace brigade::testing {

namespace {

// How many steps it were.
std::uint64_t run_until(std::optional<std::uint64_t> death,
                        const std::function<void(virtual_loop&)>& scenario,
                        std::optional<std::uint64_t> seed) {
  const auto loop = seed ? std::make_unique<virtual_loop>(*seed) : std::make_unique<virtual_loop>();
  if (death) loop->kill_after(*death + 2);  // two steps are the killer's own
  try {
    scenario(*loop);
  } catch (const cancelled&) {
    if (!loop->killed()) throw;
  }
  if (loop->task_count() != 0) throw std::runtime_error("tasks are left");
  if (!loop->timers().empty()) throw std::runtime_error("timers are left");
  return loop->steps();
}

}  // namespace

std::uint64_t for_each_step(const std::function<void(virtual_loop&)>& scenario,
                            std::optional<std::uint64_t> seed) {
  const std::uint64_t steps = run_until(std::nullopt, scenario, seed);
  for (std::uint64_t death = 0; death < steps; ++death) {
    try {
      run_until(death, scenario, seed);
    } catch (...) {
      throw std::runtime_error("killed after step " + std::to_string(death) + " of " +
                               std::to_string(steps) + ": " + error_text(std::current_exception()));
    }
  }
  return steps;
}

}  // namespace brigade::testing
