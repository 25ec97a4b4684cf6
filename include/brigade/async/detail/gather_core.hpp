/// The waiting of `gather`, whatever the types: who has ended, when that is enough, who is
/// cancelled.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/own_tasks.hpp>
#include <brigade/async/detail/waiter.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::detail {

class gather_core;

enum class gather_mode : std::uint8_t {
  cancel_siblings,  ///< the first error cancels the tasks gather started, and waits for them
  keep_running,     ///< the first error leaves at once
  collect,          ///< errors are values
};

class gather_member final : public end_watcher {
 public:
  gather_member() = default;
  void target_ended() noexcept override;

 private:
  friend class gather_core;
  gather_core* core_ = nullptr;
  completion* target_ = nullptr;
  bool own_ = false;
};

class gather_core : public waiter {
 public:
  [[nodiscard]] bool await_ready() const noexcept { return enough(); }
  /// The default argument is the line of the `co_await`.
  void await_suspend(std::coroutine_handle<> handle,
                     std::source_location where = std::source_location::current()) noexcept;
  /// Passed on to the members; the wait for them goes on.
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override;
  void add_blockers(std::vector<const task_state*>& blockers) const override;

  /// Cancels every member that has not ended, and with them the gather; false when all have.
  bool cancel_all(std::string_view reason = "cancelled");

 protected:
  explicit gather_core(gather_mode mode) : waiter(std::source_location{}), mode_(mode) {}
  ~gather_core() { leave(); }
  /// For destructors of derived classes, whose members these are.
  void drop_members() noexcept;
  /// The scope in which to start a task of one's own: null for the loop's.
  [[nodiscard]] cancel_scope* scope();
  void add(gather_member& member, completion& target, bool own);
  /// Once all are added.
  void begin(std::span<gather_member> members);
  /// Throws what the gather ends by; else every member ended well, or errors are values.
  void finish();

 private:
  friend class gather_member;
  void member_ended(gather_member& member) noexcept;
  void pass_on() noexcept;
  [[nodiscard]] bool enough() const noexcept;

  own_scope scope_;
  std::span<gather_member> members_;
  std::size_t to_go_ = 0;
  std::size_t own_to_go_ = 0;
  gather_member* first_failed_ = nullptr;
  gather_mode mode_;
  bool cancelled_ = false;
  bool in_circle_ = false;                      ///< a member waits for who gathers
  std::optional<std::string> asked_to_cancel_;  ///< by `cancel_all`
};

}  // namespace brigade::detail
