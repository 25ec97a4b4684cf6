/// A bounded first-in first-out hand-over between tasks of one loop.
///
/// Every item put is either taken by exactly one task, still here, or returned by `abort()`.
/// No timeout, cancellation or error ever loses one. A waiting getter is *granted* an item: the
/// item stays in the queue, counted, until that getter has resumed; if it is cancelled before, the
/// next getter is granted it. A waiting putter is granted room; its value stays with it. Newcomers
/// see what is left after the grants, so nobody is overtaken.
///
/// Thread safety: one loop. Lifetime: outlives its waiters and tickets; destroying it while a task
/// waits is a misuse (asserted).
#pragma once
#include <brigade/async/detail/queue_core.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <limits>
#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace brigade {

template <class T>
class queue;

/// Spells that a queue has no bound.
struct unbounded_t {
  explicit unbounded_t() = default;
};
inline constexpr unbounded_t unbounded{};

/// What a cancelled `take` does: throw `cancelled`, or give an empty ticket.
enum class on_cancel : std::uint8_t { raise, end };

/// One item taken from a queue, and the duty to say what became of it.
///
/// Empty once the queue is closed and drained. Settles exactly once: `done` when it leaves scope,
/// `failed` when it leaves by an exception, `abandoned` when it leaves by cancellation or its frame
/// is destroyed; `done()`, `fail()` and `give_back()` say otherwise. Move-only.
template <class T>
class [[nodiscard]] ticket {
 public:
  enum class end : std::uint8_t { none, closed, cancelled };

  explicit ticket(end why) : why_(why) {}
  ticket(queue<T>& from, T&& item) : queue_(&from), item_(std::move(item)) {}
  ticket(ticket&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)),
        item_(std::move(other.item_)),
        why_(other.why_) {}
  ticket& operator=(ticket&&) = delete;
  ~ticket() {
    if (queue_ != nullptr) leave();
  }

  [[nodiscard]] explicit operator bool() const { return item_.has_value(); }
  [[nodiscard]] T& operator*() { return *item_; }
  [[nodiscard]] T* operator->() { return &*item_; }
  /// Why there is no item.
  [[nodiscard]] end why() const { return why_; }

  void done() { settle(&detail::queue_core::done_); }
  void fail() { settle(&detail::queue_core::failed_); }
  /// Puts the item back to the front, as if it had not been taken.
  void give_back();

 private:
  void settle(std::uint64_t detail::queue_core::* counter) {
    BRIGADE_ASSERT(queue_ != nullptr, "a ticket was settled twice");
    std::exchange(queue_, nullptr)->core().settle(counter);
  }
  void leave() noexcept;
  queue<T>* queue_ = nullptr;
  std::optional<T> item_;
  end why_ = end::none;
};

template <class T>
class [[nodiscard]] take_operation final : public detail::waiter {
 public:
  take_operation(queue<T>& from, on_cancel mode, std::source_location where)
      : waiter(where), queue_(from), mode_(mode) {}
  ~take_operation() { leave(); }
  [[nodiscard]] bool await_ready() noexcept {
    if (queue_.core().item_to_spare()) return loop::current().spend();
    return queue_.core().closed_ && end_now();
  }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (begin_wait(handle)) return;
    if (queue_.core().item_to_spare()) {
      ++queue_.core().granted_;
      wait_granted();
    } else {
      wait_in(queue_.core().getters_);
    }
  }
  ticket<T> await_resume();
  [[nodiscard]] std::string describe() const override { return queue_.core().describe("take"); }

 private:
  bool end_now() noexcept {
    state_ = detail::wait_state::ended;
    return true;
  }
  void revoke() noexcept override { queue_.core().take_back_item_grant(); }
  queue<T>& queue_;
  on_cancel mode_;
};

template <class T>
class [[nodiscard]] put_operation final : public detail::waiter {
 public:
  put_operation(queue<T>& to, T&& item, std::source_location where)
      : waiter(where), queue_(to), item_(std::move(item)) {}
  ~put_operation() { leave(); }
  [[nodiscard]] bool await_ready() noexcept {
    if (queue_.core().closed_) return true;
    return queue_.core().room_to_spare() && loop::current().spend();
  }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (begin_wait(handle)) return;
    if (queue_.core().room_to_spare()) {
      ++queue_.core().reserved_;
      wait_granted();
    } else {
      wait_in(queue_.core().putters_);
    }
  }
  void await_resume();
  [[nodiscard]] std::string describe() const override { return queue_.core().describe("put"); }

 private:
  void revoke() noexcept override { queue_.core().take_back_room_grant(); }
  queue<T>& queue_;
  T item_;
};

template <class T>
class queue {
 public:
  /// `items_max` is at least 1 (asserted); the name stands in reports.
  explicit queue(std::size_t items_max, std::string name = "queue")
      : core_(items_max, std::move(name)) {}
  explicit queue(unbounded_t, std::string name = "queue")
      : core_(std::numeric_limits<std::size_t>::max() / 2, std::move(name)) {}

  /// Adds an item at the end, waiting for room; waiters are served in the order they came.
  ///
  /// Completes:  once the item is in the queue.
  /// Cancelled:  throws `cancelled`, the item is not in the queue; room already granted goes to the
  ///             next putter.
  /// Throws:     `queue_closed` when the queue is closed, also while waiting.
  /// Resumes:    through the loop, never inside `take`.
  put_operation<T> put(T item, std::source_location where = std::source_location::current()) {
    return put_operation<T>(*this, std::move(item), where);
  }
  /// Takes the oldest item, waiting for one; waiters are served in the order they came.
  ///
  /// Completes:  with a ticket for the item; with an empty one once the queue is closed and empty.
  /// Cancelled:  throws `cancelled`, or gives an empty ticket with `on_cancel::end`; an item
  /// already
  ///             granted goes to the next getter, or stays.
  /// Resumes:    through the loop, never inside `put`.
  take_operation<T> take(on_cancel mode = on_cancel::raise,
                         std::source_location where = std::source_location::current()) {
    return take_operation<T>(*this, mode, where);
  }
  /// False when there is no room that is not promised to a waiting putter; `item` is then
  /// untouched. Throws `queue_closed`.
  bool try_put(T& item) {
    if (core_.closed_) throw queue_closed(core_.name_);
    if (!core_.room_to_spare()) return false;
    push(std::move(item));
    return true;
  }
  /// Nothing when there is no item that is not promised to a waiting getter.
  std::optional<ticket<T>> try_take() {
    if (!core_.item_to_spare()) return std::nullopt;
    return ticket<T>(*this, pop());
  }

  /// Refuses new items; what is here is still delivered. Idempotent.
  void close() noexcept { core_.mark_closed(); }
  /// Closes, and gives back what nobody has taken, oldest first.
  [[nodiscard]] std::vector<T> abort() {
    std::vector<T> left;
    core_.mark_closed();
    while (store_.size() != 0) left.push_back(store_.pop_front());
    core_.forget_all_items();
    return left;
  }
  /// Completes when every item ever put is settled; checks again after each wake.
  task<> join(std::source_location where = std::source_location::current()) {
    while (core_.unfinished_ != 0) {
      detail::join_operation wait(core_, where);
      co_await wait;
    }
  }

  [[nodiscard]] std::size_t size() const { return core_.size(); }
  [[nodiscard]] std::size_t capacity() const { return core_.capacity(); }
  [[nodiscard]] bool empty() const { return core_.empty(); }
  [[nodiscard]] bool full() const { return core_.full(); }
  [[nodiscard]] bool closed() const { return core_.closed(); }
  [[nodiscard]] std::uint64_t unfinished() const { return core_.unfinished(); }
  [[nodiscard]] const std::string& name() const { return core_.name(); }
  [[nodiscard]] queue_statistics statistics() const { return core_.statistics(); }
  /// Looks at what is queued, oldest first, without taking it.
  [[nodiscard]] const T& peek(std::size_t index) const { return store_.at(index); }

  [[nodiscard]] detail::queue_core& core() { return core_; }

 private:
  friend class ticket<T>;
  friend class take_operation<T>;
  friend class put_operation<T>;
  void push(T&& item) {
    store_.push_back(std::move(item));
    core_.item_arrived();
  }
  T pop() {
    T item = store_.pop_front();
    core_.item_left();
    return item;
  }
  void take_back(T&& item) {
    store_.push_front(std::move(item));
    ++core_.size_;
    if (!core_.getters_.empty() && core_.item_to_spare()) core_.grant_getter();
  }
  detail::queue_core core_;
  detail::ring<T> store_;
};

template <class T>
ticket<T> take_operation<T>::await_resume() {
  using detail::wait_state;
  const wait_state how = std::exchange(state_, wait_state::idle);
  if (how == wait_state::ended) return ticket<T>(ticket<T>::end::closed);
  if (how == wait_state::cancelled) {
    if (mode_ == on_cancel::end) return ticket<T>(ticket<T>::end::cancelled);
    task_->throw_cancelled();
  }
  if (how == wait_state::granted) {
    // An abort took the items of those granted before it.
    if (queue_.core().granted_ == 0) return ticket<T>(ticket<T>::end::closed);
    --queue_.core().granted_;
  }
  return ticket<T>(queue_, queue_.pop());
}

template <class T>
void put_operation<T>::await_resume() {
  using detail::wait_state;
  const wait_state how = std::exchange(state_, wait_state::idle);
  if (how == wait_state::granted) --queue_.core().reserved_;
  if (how == wait_state::cancelled) task_->throw_cancelled();
  if (how == wait_state::ended || queue_.core().closed_) throw queue_closed(queue_.name());
  queue_.push(std::move(item_));
}

template <class T>
void ticket<T>::leave() noexcept {
  if (detail::frames_being_destroyed > 0) {
    settle(&detail::queue_core::abandoned_);
  } else if (std::uncaught_exceptions() == 0) {
    settle(&detail::queue_core::done_);
  } else {
    const detail::task_state* running = loop::current().running();
    const bool by_cancel = running != nullptr && running->cancellation_in_flight();
    settle(by_cancel ? &detail::queue_core::abandoned_ : &detail::queue_core::failed_);
  }
}

template <class T>
void ticket<T>::give_back() {
  BRIGADE_ASSERT(queue_ != nullptr, "a ticket was settled twice");
  std::exchange(queue_, nullptr)->take_back(std::move(*item_));
}

}  // namespace brigade
