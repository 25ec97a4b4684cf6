/// barrier: a fixed number of tasks wait for one another, round after round.
///
/// The last to arrive lets all of them through; who arrives while they are leaving waits for the
/// next round. A task that is cancelled while it waits just leaves: the others wait for one more.
/// `reset` and `abort` end the wait of those present with `broken_barrier`; after `reset` the
/// barrier is as new once they have gone, after `abort` it refuses everybody until a `reset`.
///
/// Thread safety: one loop. Lifetime: outlives its waiters (asserted).
#pragma once
#include <brigade/async/detail/waiter.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace brigade {

/// The barrier was reset or aborted.
class broken_barrier : public std::runtime_error {
 public:
  explicit broken_barrier(std::string_view barrier_name);
};

enum class barrier_state : std::uint8_t {
  filling,    ///< some have yet to arrive
  draining,   ///< all have arrived, some have yet to leave
  resetting,  ///< those present are leaving, by an exception
  broken,     ///< aborted
};

struct barrier_statistics {
  barrier_state state = barrier_state::filling;
  std::size_t parties = 0;
  std::size_t arrived = 0;   ///< and not left yet
  std::size_t early = 0;     ///< waiting for the next round
  std::uint64_t rounds = 0;  ///< completed
};

class barrier {
 public:
  /// `parties` is at least 1 (asserted). The name stands in reports.
  explicit barrier(std::ptrdiff_t parties, std::string name = "barrier");
  ~barrier();
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  class [[nodiscard]] arrive_operation final : public detail::waiter {
   public:
    arrive_operation(barrier& at, std::source_location where) : waiter(where), barrier_(at) {}
    ~arrive_operation();
    [[nodiscard]] bool await_ready() noexcept;
    void await_suspend(std::coroutine_handle<> handle) noexcept;
    std::size_t await_resume();
    bool cancel() noexcept override;
    [[nodiscard]] std::string describe() const override { return barrier_.describe(early_); }

   private:
    friend class barrier;
    barrier& barrier_;
    std::size_t index_ = 0;
    bool counted_ = false;  ///< among those who have arrived
    bool early_ = false;    ///< waits for the next round to begin
  };

  /// Waits until all parties have arrived.
  ///
  /// Completes:  with this task's place in the order of arrival, 0 to parties - 1, each given to
  ///             one task; the last to arrive goes through at once.
  /// Cancelled:  throws `cancelled`; the barrier waits for another.
  /// Throws:     `broken_barrier` when it is aborted, or is reset while the task is present.
  /// Resumes:    through the loop, never inside another's arrival.
  arrive_operation arrive_and_wait(std::source_location where = std::source_location::current()) {
    return arrive_operation(*this, where);
  }
  /// Sends away those present, and mends the barrier. Those who wait for the next round stay.
  void reset() noexcept;
  /// Sends away everybody, now and from now on.
  void abort() noexcept;

  [[nodiscard]] std::size_t parties() const { return parties_; }
  /// How many have arrived and wait for the others.
  [[nodiscard]] std::size_t waiting() const {
    return state_ == barrier_state::filling ? present_ : 0;
  }
  [[nodiscard]] barrier_state state() const { return state_; }
  [[nodiscard]] bool broken() const { return state_ == barrier_state::broken; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] barrier_statistics statistics() const;

 private:
  void arrive(arrive_operation& entry) noexcept;
  void let_all_through() noexcept;
  void one_left() noexcept;
  void admit_the_early() noexcept;
  [[nodiscard]] std::string describe(bool early) const;

  std::size_t parties_;
  std::size_t present_ = 0;  ///< have arrived and not left
  barrier_state state_ = barrier_state::filling;
  std::uint64_t rounds_ = 0;
  detail::link_list arrived_;
  detail::link_list early_;
  std::string name_;
};

}  // namespace brigade
