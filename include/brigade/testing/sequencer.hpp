/// sequencer: makes parts of several tasks run one after the other, in an order the test fixes.
///
///     sequencer seq;
///     { auto turn = co_await seq(0); ... }        // in one task
///     { auto turn = co_await seq(1); ... }        // in another; or just: co_await seq(1);
///
/// Thread safety: one loop. Lifetime: outlives its waiters and turns (asserted).
#pragma once
#include <brigade/async/detail/waiter.hpp>

#include <coroutine>
#include <cstddef>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

namespace brigade::testing {

/// A task was cancelled at its position, so that the later ones never come.
class sequence_broken : public std::runtime_error {
 public:
  explicit sequence_broken(std::size_t position);
};

class sequencer {
 public:
  sequencer() = default;
  ~sequencer();
  sequencer(const sequencer&) = delete;
  sequencer& operator=(const sequencer&) = delete;

  /// The position's turn; the next one comes when it goes.
  class turn {
   public:
    turn(turn&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    turn& operator=(turn&&) = delete;
    ~turn() {
      if (owner_ != nullptr) owner_->next_position();
    }

   private:
    friend class sequencer;
    explicit turn(sequencer& owner) : owner_(&owner) {}
    sequencer* owner_;
  };

  class [[nodiscard]] turn_operation final : public detail::waiter {
   public:
    turn_operation(sequencer& owner, std::size_t position, std::source_location where)
        : waiter(where), owner_(owner), position_(position) {}
    ~turn_operation();
    [[nodiscard]] bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> handle) noexcept;
    turn await_resume();
    bool cancel() noexcept override;
    [[nodiscard]] std::string describe() const override;

   private:
    friend class sequencer;
    sequencer& owner_;
    std::size_t position_;
  };

  /// Waits for the turn of `position`; each is for one task, once (asserted).
  ///
  /// Completes:  when those before it have been and gone.
  /// Cancelled:  throws `cancelled`; all later positions throw `sequence_broken`.
  turn_operation operator()(std::size_t position,
                            std::source_location where = std::source_location::current()) {
    return turn_operation(*this, position, where);
  }

 private:
  void next_position() noexcept;
  void break_off() noexcept;
  [[nodiscard]] turn_operation* find(std::size_t position) noexcept;
  std::size_t next_ = 0;
  bool taken_ = false;  ///< the turn of `next_` was given to a task
  bool broken_ = false;
  detail::link_list waiters_;
};

}  // namespace brigade::testing
