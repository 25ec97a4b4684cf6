// How simulated tasks let time pass.
#pragma once
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <chrono>

namespace brigade::sim {

/// So short that others are often at the same moment.
[[nodiscard]] inline std::chrono::milliseconds short_time(testing::random_source& random) {
  return std::chrono::milliseconds(random.below(3));
}
/// Nothing, a turn or two, or a little time.
task<> pause(testing::random_source& random);
/// Until that task has ended, however that was.
task<> ended(task_handle<> of);

}  // namespace brigade::sim
