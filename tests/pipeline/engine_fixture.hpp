/// What tests of the engine share: numbers to work on, and runs on a virtual loop.
#pragma once
#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

namespace brigade::test {

/// 1 to `count`.
inline std::vector<int> numbers(int count) {
  std::vector<int> result;
  for (int i = 1; i <= count; ++i) result.push_back(i);
  return result;
}

inline report run_on(loop& where, pipeline_plan plan) {
  engine own(std::move(plan), nullptr);
  auto main = [&]() -> task<report> { co_return co_await own.execute({}); };
  return where.run(main());
}

/// The same, drained after some time as by a first signal; `before` is called just before that.
inline report run_and_drain(
    loop& where, pipeline_plan plan, std::chrono::milliseconds after,
    const std::function<void()>& before = [] {}) {
  engine own(std::move(plan), nullptr);
  auto stopper = [&]() -> task<> {
    co_await sleep_for(after);
    before();
    own.drain();
  };
  auto main = [&]() -> task<report> {
    auto stopping = spawn(stopper);
    report result = co_await own.execute({});
    co_await stopping;
    co_return result;
  };
  return where.run(main());
}

}  // namespace brigade::test
