/// select: waits for the first of several operations, and undoes the others.
///
///     auto which = co_await select(orders.take(), urgent.take(), stop.wait());
///     if (which.index() == 2) co_return;
///
/// The arms are operations of queues (`take`, `take_batch`, `get`, `put_from`, `reserve`),
/// channels, events, locks and semaphores, sleeps, and whatever else waits by the same core and can
/// be withdrawn at once. No arm: a `put`, whose item would go with it when another arm wins
/// (`put_from` and `reserve` leave it); an operation of Asio, which goes on until it has ended; a
/// condition's `wait`, which would have to come back with its lock. Put these into a task.
///
/// Completes:  with the result of one arm; that arm alone has happened. The others are withdrawn in
///             the same step: an item or room that one of them was promised goes to the next who
///             waits for it. Several ready at once: each first in turn, so that an arm that is
///             always ready does not keep the others from being served.
/// Cancelled:  throws `cancelled`; no arm has happened.
/// Throws:     what the arm that won throws (`queue_closed` of a `put_from`).
/// Resumes:    through the loop, unless an arm is ready. Allocates nothing.
///
/// Thread safety: one loop. Lifetime: the arms are referred to, so it is awaited in the expression
/// that makes them, or after them.
#pragma once
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/loop.hpp>

#include <array>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace brigade {

/// Which arm of a `select` has won (from 0), and its result: std::monostate for none.
template <class... Results>
class [[nodiscard]] selected {
 public:
  using value_type = std::variant<Results...>;
  explicit selected(value_type&& value) : value_(std::move(value)) {}
  [[nodiscard]] std::size_t index() const { return value_.index(); }
  /// The result of that arm; asking for another one's throws std::bad_variant_access.
  template <std::size_t Arm>
  [[nodiscard]] auto& get() {
    return std::get<Arm>(value_);
  }
  /// Null when that arm has not won.
  template <std::size_t Arm>
  [[nodiscard]] auto* get_if() {
    return std::get_if<Arm>(&value_);
  }

 private:
  value_type value_;
};

namespace detail {

template <class Arm>
concept selectable = std::derived_from<Arm, waiter> && requires(Arm& arm) {
  { arm.await_ready() } -> std::same_as<bool>;
  { arm.await_suspend(std::coroutine_handle<>()) } -> std::same_as<void>;
  arm.await_resume();
};
template <class Arm>
concept takes_its_item_along = Arm::owns_item;
template <class Arm>
concept ends_in_its_own_time = Arm::ends_in_its_own_time;
template <class Result>
using select_result = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

/// What is the same for all arms. It waits beside its arms, which are linked wherever they wait;
/// the first of them that the loop runs resumes the task.
class select_waiter : public waiter {
 public:
  bool cancel() noexcept override;
  [[nodiscard]] bool outside() const override;
  [[nodiscard]] std::string describe() const override;

 protected:
  select_waiter(std::span<waiter* const> arms) : waiter(arms.front()->where()), arms_(arms) {}
  ~select_waiter() = default;
  /// The arm that is asked first this time.
  [[nodiscard]] std::size_t first_in_turn() const noexcept;
  /// Whether the arm waits now, and the next one is to be started.
  [[nodiscard]] bool still_waits(std::size_t arm) const;
  void wait_beside(std::coroutine_handle<> handle) noexcept;
  /// Ends the wait of all arms but the one that won, and names that.
  [[nodiscard]] std::size_t finish_wait();
  /// For destructors.
  void abandon() noexcept;

 private:
  void withdraw(waiter& arm) noexcept;
  void withdraw_all() noexcept;
  std::span<waiter* const> arms_;
};

template <std::size_t Count>
struct select_arms {
  std::array<waiter*, Count> arms;
};

template <selectable... Arms>
class [[nodiscard]] select_operation final : private select_arms<sizeof...(Arms)>,
                                             public select_waiter {
  static constexpr std::size_t count = sizeof...(Arms);
  using indices = std::index_sequence_for<Arms...>;
  using result = selected<select_result<decltype(std::declval<Arms&>().await_resume())>...>;

 public:
  explicit select_operation(Arms&... arms)
      : select_arms<count>{{&arms...}}, select_waiter(select_arms<count>::arms) {}
  ~select_operation() { abandon(); }

  [[nodiscard]] bool await_ready() {
    const std::size_t first = first_in_turn();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = (first + i) % count;
      if (ready(at, indices{})) {
        winner_ = at;
        return true;
      }
    }
    return false;
  }
  void await_suspend(std::coroutine_handle<> handle) {
    if (begin_wait(handle)) return;
    const std::size_t first = first_in_turn();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = (first + i) % count;
      suspend(at, handle, indices{});
      if (!still_waits(at)) break;
    }
    wait_beside(handle);
  }
  result await_resume() {
    if (state_ != wait_state::idle) winner_ = finish_wait();
    return take_result(indices{});
  }

 private:
  template <std::size_t Index>
  [[nodiscard]] auto& arm() {
    using type = std::tuple_element_t<Index, std::tuple<Arms...>>;
    return static_cast<type&>(*select_arms<count>::arms[Index]);
  }
  template <std::size_t... Index>
  [[nodiscard]] bool ready(std::size_t at, std::index_sequence<Index...>) {
    bool yes = false;
    static_cast<void>(((at == Index && (yes = arm<Index>().await_ready(), true)) || ...));
    return yes;
  }
  template <std::size_t... Index>
  void suspend(std::size_t at, std::coroutine_handle<> handle, std::index_sequence<Index...>) {
    static_cast<void>(((at == Index && (arm<Index>().await_suspend(handle), true)) || ...));
  }
  template <std::size_t Index>
  result result_of() {
    using value_type = typename result::value_type;
    if constexpr (std::is_void_v<decltype(arm<Index>().await_resume())>) {
      arm<Index>().await_resume();
      return result(value_type(std::in_place_index<Index>));
    } else {
      return result(value_type(std::in_place_index<Index>, arm<Index>().await_resume()));
    }
  }
  template <std::size_t Index, std::size_t... More>
  result take_result(std::index_sequence<Index, More...>) {
    if constexpr (sizeof...(More) == 0) {
      return result_of<Index>();
    } else {
      if (winner_ == Index) return result_of<Index>();
      return take_result(std::index_sequence<More...>{});
    }
  }

  std::size_t winner_ = 0;
};

}  // namespace detail

template <class... Arms>
auto select(Arms&&... arms) {
  static_assert(sizeof...(Arms) > 0, "select needs something to wait for");
  static_assert((detail::selectable<std::remove_reference_t<Arms>> && ...),
                "an arm of select is an operation that waits, like queue.take() or event.wait()");
  static_assert(!(detail::takes_its_item_along<std::remove_reference_t<Arms>> || ...),
                "select(queue.put(item)) would lose the item when another arm wins: "
                "use queue.put_from(item) or queue.reserve()");
  static_assert(
      !(detail::ends_in_its_own_time<std::remove_reference_t<Arms>> || ...),
      "an operation of Asio or a wait for a condition cannot be withdrawn at once: put it "
      "into a task, which tells of its end by an event or a queue");
  return detail::select_operation<std::remove_reference_t<Arms>...>(arms...);
}

}  // namespace brigade
