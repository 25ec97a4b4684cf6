#include "sim/conservation_world.hpp"

#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/timeout.hpp>

#include <exception>
#include <utility>

namespace brigade::sim {

namespace {
constexpr std::uint64_t steps_max = 50'000;
}  // namespace

queue_options<parcel> options_for(const queue_terms& terms) {
  using options = queue_options<parcel>;
  options how =
      terms.items_max == queue_terms::no_bound ? options(unbounded) : options(terms.items_max);
  how.name(terms.name).when_full(terms.when_full);
  if (terms.notes_holders) how.note_holders();
  if (terms.weight_max != 0) {
    how.weight(terms.weight_max, [](const parcel& item) { return item->weight; });
  }
  return how;
}

std::string own_name() { return loop::current().running()->name(); }

void world::play(testing::virtual_loop& loop, std::uint64_t dies_after, task<> life,
                 std::function<void()> check) {
  loop.before_each_step(std::move(check));
  loop.kill_after(dies_after != 0 ? dies_after : steps_max);
  try {
    loop.run(std::move(life));
  } catch (const cancelled&) {
    if (dies_after == 0) judge.problem("it did not come to its end");
    saw(feature::killed);
  } catch (const std::exception& error) {
    judge.problem(error.what());
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
