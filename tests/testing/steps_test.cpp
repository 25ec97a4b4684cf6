#include <brigade/async/group.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/counted.hpp>
#include <brigade/testing/steps.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade::testing {
namespace {

using namespace std::chrono_literals;

task<> walks(std::vector<int>& log, int steps) {
  for (int i = 0; i < steps; ++i) {
    log.push_back(i);
    co_await yield();
  }
}

TEST(steps, the_scenario_dies_after_each_step_in_turn) {
  std::vector<std::vector<int>> lives;
  int finished = 0;
  const std::uint64_t steps = for_each_step([&](virtual_loop& loop) {
    lives.emplace_back();
    loop.run(walks(lives.back(), 4));
    ++finished;
  });
  EXPECT_EQ(steps, 5U);
  ASSERT_EQ(lives.size(), 1 + steps);
  EXPECT_EQ(lives[0].size(), 4U);
  for (std::size_t death = 0; death < steps; ++death) {
    EXPECT_EQ(lives[1 + death].size(), death) << death;
  }
  EXPECT_EQ(finished, 1);
}

TEST(steps, whatever_was_in_a_frame_is_gone_in_any_order) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    for_each_step(
        [](virtual_loop& loop) {
          census items;
          auto holds = [&](int depth) -> task<> {
            const counted here(items, depth);
            co_await sleep_for(1ms);
            co_await yield();
          };
          auto main = [&]() -> task<> {
            co_await with_group([&](task_group& group) {
              for (int i = 0; i < 3; ++i) group.spawn(std::ref(holds), i);
            });
          };
          loop.run(main());
        },
        seed);
  }
}

TEST(steps, an_error_comes_out_with_the_step) {
  std::string text;
  int runs = 0;
  try {
    for_each_step([&](virtual_loop& loop) {
      std::vector<int> log;
      if (++runs == 4) throw std::logic_error("burnt");
      loop.run(walks(log, 4));
    });
  } catch (const std::runtime_error& error) {
    text = error.what();
  }
  EXPECT_EQ(text, "killed after step 2 of 5: burnt");
}

}  // namespace
}  // namespace brigade::testing
