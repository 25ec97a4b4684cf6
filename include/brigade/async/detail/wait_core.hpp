/// The waiting of `wait`, whatever the types of what it waits for.
#pragma once
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/timer.hpp>
#include <brigade/async/detail/waiter.hpp>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <vector>

namespace brigade {

/// When `wait` has waited enough.
enum class return_when : std::uint8_t {
  all_completed,    ///< every one has ended, however
  first_completed,  ///< one has ended, however
  first_exception,  ///< one has failed, by more than being cancelled; else as all_completed
};

}  // namespace brigade

namespace brigade::detail {

class wait_core;

struct wait_member final : end_watcher {
  void target_ended() noexcept override;
  wait_core* core = nullptr;
  completion* target = nullptr;
};

/// Cancelled, it fails at once and leaves those it waits for alone.
class wait_core : public waiter, private timer {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return enough(); }
  /// The default argument is the line of the `co_await`.
  void await_suspend(std::coroutine_handle<> handle,
                     std::source_location where = std::source_location::current());
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override;
  void add_blockers(std::vector<const task_state*>& blockers) const override;

 protected:
  wait_core(return_when mode, std::optional<std::chrono::nanoseconds> timeout);
  ~wait_core();
  void watch(std::span<completion* const> targets);
  /// For destructors of derived classes, which hold what is watched.
  void stop_watching() noexcept { members_.reset(); }
  void finish();

 private:
  friend struct wait_member;
  void fire() noexcept override;
  void member_ended(const completion& target) noexcept;
  [[nodiscard]] bool enough() const noexcept;

  std::unique_ptr<wait_member[]> members_;
  std::size_t count_ = 0;
  std::size_t to_go_ = 0;
  std::optional<std::chrono::nanoseconds> timeout_;
  return_when mode_;
  bool met_ = false;  ///< the first of what the mode looks for is there
};

}  // namespace brigade::detail
