#include "sim/pause.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/timeout.hpp>

namespace brigade::sim {

task<> pause(testing::random_source& random) {
  switch (random.below(5)) {
    case 0:
      co_await yield();
      [[fallthrough]];
    case 1:
      co_await yield();
      break;
    case 2:
    case 3: {
      const auto how_long = short_time(random);
      co_await sleep_for(how_long);
      break;
    }
    default:
      break;
  }
}

task<> ended(task_handle<> of) {
  try {
    co_await of.join();
  } catch (const cancelled&) {
  }
}

}  // namespace brigade::sim
