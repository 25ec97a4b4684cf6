/// The waiting of `as_completed`, whatever the types of what it waits for.
///
/// An end is granted, not given: it stays in the list until the waiter it is promised to has
/// resumed and takes the oldest one there. Cancelling that waiter passes the grant on.
#pragma once
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/detail/waiter.hpp>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <vector>

namespace brigade::detail {

class as_completed_core;

struct completion_member final : end_watcher {
  void target_ended() noexcept override;
  as_completed_core* core = nullptr;
  completion* target = nullptr;
  std::size_t index = 0;
};

class as_completed_core : private timer {
 public:
  as_completed_core(const as_completed_core&) = delete;
  as_completed_core& operator=(const as_completed_core&) = delete;

  /// Those not given out yet.
  [[nodiscard]] std::size_t left() const { return count_ - taken_; }

 protected:
  explicit as_completed_core(std::optional<std::chrono::nanoseconds> timeout);
  ~as_completed_core();
  void watch(std::span<completion* const> targets);
  /// For destructors of derived classes, which hold what is watched.
  void stop_watching() noexcept { members_.reset(); }

  class next_wait : public waiter {
   public:
    explicit next_wait(as_completed_core& core) : waiter(std::source_location{}), core_(core) {}
    [[nodiscard]] bool await_ready() const noexcept { return core_.ready_for_one_more(); }
    /// The default argument is the line of the `co_await`.
    void await_suspend(std::coroutine_handle<> handle,
                       std::source_location where = std::source_location::current()) noexcept;
    [[nodiscard]] std::string describe() const override;
    void add_blockers(std::vector<const task_state*>& blockers) const override;

   protected:
    ~next_wait() { leave(); }
    /// Which one has ended; none when all were given out. Throws `cancelled` or `timed_out`.
    std::optional<std::size_t> take_index();

   private:
    void revoke() noexcept override;
    as_completed_core& core_;
  };

 private:
  friend struct completion_member;
  void fire() noexcept override;
  void member_ended(std::size_t index);
  void grant_one() noexcept;
  [[nodiscard]] std::size_t available() const { return ended_.size() - taken_ - granted_; }
  [[nodiscard]] bool ready_for_one_more() const noexcept;
  std::size_t take() noexcept;
  void end_waiters() noexcept;

  std::unique_ptr<completion_member[]> members_;
  std::size_t count_ = 0;
  std::vector<std::size_t> ended_;  ///< in the order they ended; has room for all
  std::size_t taken_ = 0;           ///< of those, from the front
  std::size_t granted_ = 0;         ///< of the others, to waiters that have not resumed
  link_list waiters_;
  std::optional<std::chrono::nanoseconds> timeout_;
  loop* loop_;
  bool expired_ = false;
};

}  // namespace brigade::detail
