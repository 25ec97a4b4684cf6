/// A loop whose time is virtual and whose order is seeded: tests that never sleep and repeat
/// exactly.
///
/// Time stands still while tasks run and jumps to the next timer when all of them wait. With a seed
/// the next task is drawn from the ready ones, so that no test relies on an order nobody promised.
/// `kill_after(n)` ends a run after n steps as a crash would: frames are destroyed where they wait,
/// and `run` throws `cancelled`.
///
/// Thread safety: none. Real threads and descriptors do not work on it.
#pragma once
#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace brigade::testing {

/// A small fast generator with a seed that fits in a failure message.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, below).
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : next() % limit; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

/// The driver of a virtual loop: `loop test(std::make_unique<virtual_time>(seed));`
class virtual_time final : public detail::driver {
 public:
  virtual_time() = default;
  explicit virtual_time(std::uint64_t seed) : random_(random_source(seed)) {}
  /// Called before each step: where invariants are checked.
  std::function<void()> before_step;
  [[nodiscard]] detail::time_point now() override { return now_; }
  void poll() override {}
  void wait_until(detail::time_point deadline) override;
  void wake() noexcept override {}
  std::size_t choose(std::size_t ready) override;

 private:
  friend class virtual_loop;
  detail::time_point now_{std::chrono::hours(1)};
  std::optional<random_source> random_;
  std::uint64_t steps_to_live_ = 0;  ///< 0: for ever
  event time_to_kill_{"time to kill"};
};

class virtual_loop : public loop {
 public:
  /// First in, first out.
  virtual_loop() : loop(std::make_unique<virtual_time>()) {}
  explicit virtual_loop(std::uint64_t seed) : loop(std::make_unique<virtual_time>(seed)) {}
  void before_each_step(std::function<void()> check) { time().before_step = std::move(check); }
  /// To be called before `run`, at most once; at least one step.
  void kill_after(std::uint64_t steps);
  /// True once the run was killed.
  [[nodiscard]] bool killed() const { return killed_; }

 private:
  virtual_time& time() { return static_cast<virtual_time&>(world()); }
  task<> kill_when_told();
  bool killed_ = false;
};

}  // namespace brigade::testing
