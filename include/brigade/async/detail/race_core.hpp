/// The waiting of `staggered_race`, whatever the type of the value.
#pragma once
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/own_tasks.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace brigade::detail {

class race_core;

struct race_member final : end_watcher {
  race_member(race_core& in, task_ref of, std::size_t at)
      : race(&in), runner(std::move(of)), index(at) {}
  [[nodiscard]] task_state& target() const { return runner.record(); }
  void target_ended() noexcept override;
  race_core* race;
  task_ref runner;  ///< kept: the record may go with the last handle
  std::size_t index;
};

/// Cancelled, it cancels the attempts and goes on waiting.
class [[nodiscard]] race_wait final : public waiter, private timer {
 public:
  race_wait(race_core& race, bool for_all, std::optional<std::chrono::nanoseconds> delay)
      : waiter(std::source_location{}), race_(race), for_all_(for_all), delay_(delay) {}
  ~race_wait();
  [[nodiscard]] bool await_ready() const noexcept;
  /// The default argument is the line of the `co_await`.
  void await_suspend(std::coroutine_handle<> handle,
                     std::source_location where = std::source_location::current());
  void await_resume() noexcept;
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override;
  void add_blockers(std::vector<const task_state*>& blockers) const override;

 private:
  friend class race_core;
  void fire() noexcept override;
  race_core& race_;
  bool for_all_;
  std::optional<std::chrono::nanoseconds> delay_;
};

class race_core {
 public:
  race_core() = default;
  ~race_core();
  race_core(const race_core&) = delete;
  race_core& operator=(const race_core&) = delete;

  template <class T>
  task_handle<T> start(task<T> attempt) {
    task_handle<T> runner = start_in(&scope_, std::move(attempt));
    started(runner);
    return runner;
  }
  race_wait until_next(std::optional<std::chrono::nanoseconds> delay) {
    return race_wait(*this, false, delay);
  }
  race_wait until_all_ended() { return race_wait(*this, true, std::nullopt); }
  /// No attempt starts any more.
  [[nodiscard]] bool over() const { return winner_.has_value() || cancelled_; }
  [[nodiscard]] std::optional<std::size_t> winner() const { return winner_; }
  /// Throws `cancelled` when who waited was.
  void finish();

 private:
  friend struct race_member;
  friend class race_wait;
  void started(const task_ref& attempt);
  void ended(const race_member& member) noexcept;

  own_scope scope_;
  std::vector<std::unique_ptr<race_member>> members_;
  std::size_t running_ = 0;
  std::optional<std::size_t> winner_;
  race_wait* waiting_ = nullptr;
  bool newest_failed_ = false;
  bool cancelled_ = false;
};

}  // namespace brigade::detail
