/// A loop whose time is virtual and whose order is seeded: tests that never sleep and repeat
/// exactly.
///
/// Time stands still while tasks run and jumps to the next timer when all of them wait. With a seed
/// the next task is drawn from the ready ones, so that no test relies on an order nobody promised.
/// `kill_after(n)` ends a run after n steps as a crash would: frames are destroyed where they wait,
/// and `run` throws `cancelled`. `co_await wait_all_tasks_blocked()` gives the others all the turns
/// they need. And a test can drive the loop by hand, from outside any task: `start`, `step`,
/// `run_until_idle`, `advance`.
///
/// Thread safety: none. Real threads and descriptors do not work on it.
#pragma once
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
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

class virtual_time;

class [[nodiscard]] all_blocked_operation final : public detail::waiter {
 public:
  all_blocked_operation(virtual_time& time, std::source_location where)
      : waiter(where), time_(time) {}
  ~all_blocked_operation();
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept;
  void await_resume();
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override { return "all other tasks to wait"; }

 private:
  friend class virtual_time;
  void stop_waiting() noexcept;
  virtual_time& time_;
  bool waits_ = false;
};

/// Completes:  when every other task of this virtual loop waits and none of them can go on before
///             time does; time stands still. Of several tasks that wait so, the first.
/// Cancelled:  throws `cancelled`.
all_blocked_operation wait_all_tasks_blocked(
    std::source_location where = std::source_location::current());

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
  friend class all_blocked_operation;
  /// False: no task waits for the others to wait.
  bool wake_who_waits_for_all() noexcept;
  detail::link_list wait_for_all_;
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
  /// Ends, as `finish` does, what was started by hand; what those tasks use has to outlive it.
  ~virtual_loop();
  void before_each_step(std::function<void()> check) { time().before_step = std::move(check); }
  /// To be called before `run`, at most once; at least one step.
  void kill_after(std::uint64_t steps);
  /// True once the run was killed.
  [[nodiscard]] bool killed() const { return killed_; }

  // --- by hand, instead of `run`, from outside any task ---
  static constexpr std::uint64_t steps_max = 1'000'000;

  /// Starts a task; nothing runs before the next step.
  template <class T>
  task_handle<T> start(task<T> body, std::string name = {}) {
    return spawn_on(*this, std::move(body), std::move(name));
  }
  /// One step of one task; false when none is ready.
  bool step();
  /// At most `count` steps; how many it were.
  std::uint64_t run_steps(std::uint64_t count);
  /// Runs until all tasks wait. Time stands still. How many steps it were; more than `steps_max`
  /// are taken for a loop without end (asserted).
  std::uint64_t run_until_idle();
  /// Lets `duration` pass: each timer in it fires in its time, and what is ready then runs.
  void advance(std::chrono::nanoseconds duration);
  /// What `run` does at its end: cancels what is left and waits for it, in virtual time. After it
  /// only `run` begins anew.
  void finish();

 private:
  class entry;
  std::uint64_t run_ready();
  virtual_time& time() { return static_cast<virtual_time&>(world()); }
  task<> kill_when_told();
  bool killed_ = false;
};

}  // namespace brigade::testing
