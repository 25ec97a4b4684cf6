/// gate: lets work in until it is closed, and tells when the last one has left.
///
///     auto inside = orders_gate.enter();       // in each piece of work
///     co_await orders_gate.close();            // refuses new work, waits for what is inside
///
/// Thread safety: one loop. Lifetime: outlives its passes and those who close it (asserted).
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

/// Thrown to those who want to enter after `close`.
class gate_closed : public std::runtime_error {
 public:
  explicit gate_closed(std::string_view gate_name);
};

struct gate_statistics {
  bool closed = false;
  std::size_t inside = 0;
  std::size_t closers_waiting = 0;
  std::uint64_t entered = 0;
  std::uint64_t refused = 0;
};

class gate {
 public:
  /// The name stands in reports.
  explicit gate(std::string name = "gate") : name_(std::move(name)) {}
  ~gate();
  gate(const gate&) = delete;
  gate& operator=(const gate&) = delete;

  /// Being inside, while it is not empty. Leaves when it goes.
  class [[nodiscard]] pass {
   public:
    pass() = default;
    pass(pass&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    pass& operator=(pass&& other) noexcept {
      if (this == &other) return *this;
      if (owner_ != nullptr) leave();
      owner_ = std::exchange(other.owner_, nullptr);
      return *this;
    }
    ~pass() {
      if (owner_ != nullptr) leave();
    }
    /// Leaves now; an empty pass is a misuse (asserted).
    void leave() noexcept;
    [[nodiscard]] explicit operator bool() const { return owner_ != nullptr; }

   private:
    friend class gate;
    explicit pass(gate& owner) : owner_(&owner) {}
    gate* owner_ = nullptr;
  };

  class [[nodiscard]] close_operation final : public detail::waiter {
   public:
    close_operation(gate& target, std::source_location where) : waiter(where), gate_(target) {}
    ~close_operation() { leave(); }
    [[nodiscard]] bool await_ready() const noexcept { return gate_.inside_ == 0; }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      if (!begin_wait(handle)) wait_in(gate_.closers_);
    }
    void await_resume();
    [[nodiscard]] std::string describe() const override;

   private:
    gate& gate_;
  };

  /// Throws `gate_closed` once `close` was called.
  pass enter();
  /// An empty pass once `close` was called.
  pass try_enter() noexcept;
  /// From this call on nobody gets in; the wait is for those inside. Any number may close it.
  ///
  /// Completes:  when the last one has left; at once when nobody is inside.
  /// Cancelled:  throws `cancelled`; the gate stays closed.
  close_operation close(std::source_location where = std::source_location::current()) {
    closed_ = true;
    return close_operation(*this, where);
  }
  [[nodiscard]] bool closed() const { return closed_; }
  /// How many are inside.
  [[nodiscard]] std::size_t count() const { return inside_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] gate_statistics statistics() const;

 private:
  void one_left() noexcept;
  std::string name_;
  detail::link_list closers_;
  std::size_t inside_ = 0;
  std::uint64_t entered_ = 0;
  std::uint64_t refused_ = 0;
  bool closed_ = false;
};

}  // namespace brigade
