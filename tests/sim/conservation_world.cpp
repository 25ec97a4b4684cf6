#include "sim/conservation_world.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <utility>

namespace brigade::sim {

std::string own_name() { return loop::current().running()->name(); }

task<> world::pause() {
  switch (random.below(5)) {
    case 0:
      co_await yield();
      [[fallthrough]];
    case 1:
      co_await yield();
      break;
    case 2:
    case 3: {
      const auto how_long = short_time();
      co_await sleep_for(how_long);
      break;
    }
    default:
      break;
  }
}

task<> world::at_work() {
  co_await pause();
  if (!takers_dawdle) co_return;
  const std::chrono::milliseconds how_long(random.below(8));
  co_await sleep_for(how_long);
}

task<bool> world::in_time(task<> body) {
  const auto limit = short_time();
  try {
    switch (random.below(3)) {
      case 0: {
        co_await timeout(limit, std::move(body));
        break;
      }
      case 1: {
        const auto when = loop::current().now() + limit;
        co_await timeout_at(when, std::move(body));
        break;
      }
      default: {
        const auto later = loop::current().now() + short_time();
        auto moved = [&body, later](timeout_scope& scope) {
          if (!scope.expired()) scope.reschedule(later);
          return std::move(body);
        };
        co_await with_timeout(limit, moved);
      }
    }
  } catch (const timed_out&) {
    saw(feature::timed_out);
    co_return false;
  }
  co_return true;
}

}  // namespace brigade::sim
