/// A bounded hand-over between many loops, and threads that have none.
///
/// The queue of queue.hpp in the scope of a process: the same verbs and tickets, the same promises.
/// Every item put is taken by exactly one task or thread, still here, or returned by `abort()`. The
/// items of one producer are taken in the order it put them; between producers of different loops
/// there is no order. An item that is given back, or whose taker is cancelled between the promise
/// of another loop's item and its turn, may come after later ones.
///
/// A loop's tasks take what tasks of the same loop have put without looking further. What waits
/// longer than a turn of its loop, or finds nobody there, goes to the loops whose tasks wait. A
/// loop that sleeps is woken only then.
///
/// A wait here counts as one for something outside the loop. Among loops started by `run_threads`
/// it does so only while another of them, or a thread that holds a `blocking_end`, may still act:
/// when none may, each of the loops finds a deadlock.
///
/// Thread safety: any loop; `close`, `abort` and the questions: any thread. A ticket stays on the
/// loop that took it. Lifetime: outlives its waiters, tickets and ends (asserted).
#pragma once
#include <brigade/async/detail/shared_core.hpp>
#include <brigade/async/detail/shared_ports.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/queue.hpp>
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

namespace brigade {

/// One item taken from a shared queue, and the duty to say what became of it; see `ticket`.
template <class T>
class [[nodiscard]] shared_ticket {
 public:
  enum class end : std::uint8_t { none, closed, cancelled };

  explicit shared_ticket(end why) : why_(why) {}
  shared_ticket(detail::shared_port_of<T>& from, T&& item) : port_(&from), item_(std::move(item)) {}
  shared_ticket(shared_ticket&& other) noexcept
      : port_(std::exchange(other.port_, nullptr)),
        item_(std::move(other.item_)),
        why_(other.why_) {}
  shared_ticket& operator=(shared_ticket&&) = delete;
  ~shared_ticket() {
    if (port_ != nullptr) settle(detail::how_left());
  }

  [[nodiscard]] explicit operator bool() const { return item_.has_value(); }
  [[nodiscard]] T& operator*() { return *item_; }
  [[nodiscard]] T* operator->() { return &*item_; }
  /// Why there is no item.
  [[nodiscard]] end why() const { return why_; }

  void done() { settle(&detail::shared_port::done_); }
  void fail() { settle(&detail::shared_port::failed_); }
  /// Puts the item back to the front of this loop's, as if it had not been taken.
  void give_back() {
    BRIGADE_ASSERT(port_ != nullptr, "a ticket was settled twice");
    std::exchange(port_, nullptr)->take_back(std::move(*item_));
  }

 private:
  void settle(detail::own_count detail::shared_port::* counter) {
    BRIGADE_ASSERT(port_ != nullptr, "a ticket was settled twice");
    std::exchange(port_, nullptr)->settle(counter);
  }
  detail::shared_port_of<T>* port_ = nullptr;
  std::optional<T> item_;
  end why_ = end::none;
};

/// What `take` and `take_batch` have in common: one wait for one item.
template <class T>
class shared_take_wait : public detail::waiter {
 public:
  shared_take_wait(detail::shared_core_of<T>& from, on_cancel mode, std::source_location where)
      : waiter(where), core_(from), mode_(mode) {}
  [[nodiscard]] bool await_ready() {
    loop& own = loop::current();
    port_ = &core_.port(own);
    if (!own.spend()) return false;
    if (port_->take_now(item_)) return true;
    if (!core_.at_end()) return false;
    state_ = detail::wait_state::ended;
    return true;
  }
  void await_suspend(std::coroutine_handle<> handle) {
    if (begin_wait(handle)) return;
    if (port_->promise_now()) {
      wait_granted();
    } else if (core_.at_end()) {
      wait_granted();
      state_ = detail::wait_state::ended;
    } else {
      port_->getters_waiting_.add();
      wait_in(port_->getters_);
    }
  }
  bool cancel() noexcept override {
    not_in_line();
    return waiter::cancel();
  }
  [[nodiscard]] std::string describe() const override { return core_.describe("take"); }
  [[nodiscard]] bool outside() const override { return true; }

 protected:
  ~shared_take_wait() {
    not_in_line();
    leave();
  }
  /// Why there is no item, once there is none.
  typename shared_ticket<T>::end resume() {
    using detail::wait_state;
    using end = typename shared_ticket<T>::end;
    const wait_state how = std::exchange(state_, wait_state::idle);
    if (item_) return end::none;
    if (how == wait_state::cancelled) {
      if (mode_ == on_cancel::end) return end::cancelled;
      task_->throw_cancelled();
    }
    if (how == wait_state::granted) {
      port_->take_promised(item_);
    } else {
      port_->take_now(item_);  // the end, unless an item was given back since
    }
    return item_ ? end::none : end::closed;
  }
  detail::shared_core_of<T>& core_;
  detail::shared_port_of<T>* port_ = nullptr;
  std::optional<T> item_;

 private:
  void not_in_line() noexcept {
    if (state_ == detail::wait_state::waiting) port_->getters_waiting_.subtract(1);
  }
  void revoke() noexcept override { port_->take_back_item_grant(); }
  on_cancel mode_;
};

template <class T>
class [[nodiscard]] shared_take_operation final : public shared_take_wait<T> {
 public:
  using shared_take_wait<T>::shared_take_wait;
  shared_ticket<T> await_resume() {
    const auto why = this->resume();
    if (!this->item_) return shared_ticket<T>(why);
    return shared_ticket<T>(*this->port_, std::move(*this->item_));
  }
};

template <class T>
class [[nodiscard]] shared_take_batch_operation final : public shared_take_wait<T> {
 public:
  shared_take_batch_operation(detail::shared_core_of<T>& from, std::size_t items_max,
                              std::source_location where)
      : shared_take_wait<T>(from, on_cancel::raise, where), items_max_(items_max) {
    BRIGADE_ASSERT(items_max > 0, "a batch of no items");
  }
  std::vector<shared_ticket<T>> await_resume() {
    std::vector<shared_ticket<T>> batch;
    static_cast<void>(this->resume());
    while (this->item_) {
      batch.emplace_back(*this->port_, std::move(*this->item_));
      this->item_.reset();
      if (batch.size() == items_max_) break;
      if (!this->port_->take_now(this->item_)) this->port_->take_from_others(this->item_);
    }
    return batch;
  }

 private:
  std::size_t items_max_;
};

template <class T>
class [[nodiscard]] shared_put_operation final : public detail::waiter {
 public:
  static constexpr bool owns_item = true;  ///< and so is no arm of a select
  shared_put_operation(detail::shared_core_of<T>& to, T&& item, std::source_location where)
      : waiter(where), core_(to), item_(std::move(item)) {}
  ~shared_put_operation() {
    not_in_line();
    leave();
  }
  [[nodiscard]] bool await_ready() {
    if (core_.closed()) return true;
    loop& own = loop::current();
    port_ = &core_.port(own);
    return own.spend() && (stored_ = port_->put_now(item_));
  }
  void await_suspend(std::coroutine_handle<> handle) {
    if (begin_wait(handle)) return;
    if (port_->reserve_now()) {
      wait_granted();
    } else if (core_.closed()) {
      wait_granted();
      state_ = detail::wait_state::ended;
    } else {
      port_->putters_waiting_.add();
      wait_in(port_->putters_);
    }
  }
  void await_resume() {
    using detail::wait_state;
    const wait_state how = std::exchange(state_, wait_state::idle);
    if (stored_) return;
    if (how == wait_state::cancelled) task_->throw_cancelled();
    if (how == wait_state::granted && port_->put_promised(item_)) return;
    throw queue_closed(core_.name_);
  }
  bool cancel() noexcept override {
    not_in_line();
    return waiter::cancel();
  }
  [[nodiscard]] std::string describe() const override { return core_.describe("put"); }
  [[nodiscard]] bool outside() const override { return true; }

 private:
  void not_in_line() noexcept {
    if (state_ == detail::wait_state::waiting) port_->putters_waiting_.subtract(1);
  }
  void revoke() noexcept override { port_->take_back_room_grant(); }
  detail::shared_core_of<T>& core_;
  detail::shared_port_of<T>* port_ = nullptr;
  T item_;
  bool stored_ = false;
};

template <class T>
class shared_queue {
 public:
  /// `items_max` is at least 1 (asserted); the name stands in reports.
  explicit shared_queue(std::size_t items_max, std::string name = "shared queue")
      : core_(std::make_shared<detail::shared_core_of<T>>(items_max, std::move(name))) {}
  ~shared_queue() { core_->go(); }
  shared_queue(const shared_queue&) = delete;
  shared_queue& operator=(const shared_queue&) = delete;

  /// Adds an item, waiting for room; waiters of one loop are served in the order they came, and
  /// none starves for the sake of another loop's.
  ///
  /// Completes:  once the item is in the queue.
  /// Cancelled:  throws `cancelled`, the item is not in the queue; room already promised goes on.
  /// Throws:     `queue_closed` when the queue is closed, also while waiting.
  /// Resumes:    through the loop.
  shared_put_operation<T> put(T item,
                              std::source_location where = std::source_location::current()) {
    return shared_put_operation<T>(*core_, std::move(item), where);
  }
  /// Takes an item, waiting for one.
  ///
  /// Completes:  with a ticket for the item; with an empty one once the queue is closed and empty,
  ///             in all loops.
  /// Cancelled:  throws `cancelled`, or gives an empty ticket with `on_cancel::end`; an item
  ///             already promised goes to the next getter of this loop, or back.
  /// Resumes:    through the loop.
  shared_take_operation<T> take(on_cancel mode = on_cancel::raise,
                                std::source_location where = std::source_location::current()) {
    return shared_take_operation<T>(*core_, mode, where);
  }
  /// Takes what there is, at most `items_max` items; waits for the first. None: closed and empty.
  /// Cancelled:  throws `cancelled`; nothing was taken.
  shared_take_batch_operation<T> take_batch(
      std::size_t items_max, std::source_location where = std::source_location::current()) {
    return shared_take_batch_operation<T>(*core_, items_max, where);
  }
  /// False when there is no room that is not promised; `item` is then untouched. On a loop. Throws
  /// `queue_closed`.
  bool try_put(T& item) {
    if (core_->closed()) throw queue_closed(core_->name_);
    return core_->port(loop::current()).put_now(item);
  }
  /// Nothing when there is no item that is not promised, in any loop. On a loop.
  std::optional<shared_ticket<T>> try_take() {
    detail::shared_port_of<T>& port = core_->port(loop::current());
    std::optional<T> item;
    if (!port.take_now(item) && !port.take_from_others(item)) return std::nullopt;
    return shared_ticket<T>(port, std::move(*item));
  }

  /// Refuses new items; what is here is still delivered. Idempotent.
  void close() { core_->close(); }
  /// Closes, and gives back what nobody has taken: for each loop, oldest first.
  [[nodiscard]] std::vector<T> abort() { return core_->abort(); }
  /// Completes when every item ever put is settled; checks again after each wake. On a loop.
  task<> join(std::source_location where = std::source_location::current()) {
    const detail::want_mark counted(core_->joining_);
    while (core_->unfinished() != 0) {
      detail::shared_join_operation wait(*core_, where);
      co_await wait;
    }
  }

  // What these say may be past when it is read: other threads go on.
  [[nodiscard]] std::size_t size() const { return core_->size(); }
  [[nodiscard]] std::size_t capacity() const { return core_->capacity_; }
  [[nodiscard]] bool closed() const { return core_->closed(); }
  [[nodiscard]] std::uint64_t unfinished() const { return core_->unfinished(); }
  [[nodiscard]] const std::string& name() const { return core_->name_; }
  [[nodiscard]] queue_statistics statistics() const { return core_->statistics(); }
  /// Items whose taker went before its turn, and that went back to another loop.
  [[nodiscard]] std::uint64_t sent_back() const {
    const std::lock_guard lock(core_->mutex_);
    return core_->sent_back_;
  }

  /// The queue for one thread that runs no loop: its calls block it. As long as it exists, and
  /// does not block, somebody may still act on this queue.
  ///
  /// Thread safety: one thread at a time; each thread has its own. Tickets settle on any thread.
  class blocking_end {
   public:
    explicit blocking_end(shared_queue& of) : core_(of.core_) { core_->thread_came(); }
    ~blocking_end() { core_->thread_went(); }
    blocking_end(const blocking_end&) = delete;
    blocking_end& operator=(const blocking_end&) = delete;

    /// Blocks until the item is in the queue. Throws `queue_closed`.
    void put(T item) { core_->put_blocking(std::move(item)); }
    /// Blocks until there is an item; an empty ticket: the queue is closed and empty.
    shared_ticket<T> take() { return *take_until(std::nullopt); }
    /// The same for a while; nothing when it has passed.
    std::optional<shared_ticket<T>> take_for(std::chrono::nanoseconds while_) {
      return take_until(detail::later(detail::loop_clock::now(), while_));
    }

   private:
    using time = std::optional<std::chrono::steady_clock::time_point>;
    std::optional<shared_ticket<T>> take_until(const time& deadline) {
      std::optional<T> item;
      switch (core_->take_blocking(item, deadline)) {
        case detail::blocking_result::taken:
          return shared_ticket<T>(core_->port_of_threads(), std::move(*item));
        case detail::blocking_result::at_end:
          return shared_ticket<T>(shared_ticket<T>::end::closed);
        case detail::blocking_result::timed_out:
          break;
      }
      return std::nullopt;
    }
    std::shared_ptr<detail::shared_core_of<T>> core_;
  };

 private:
  std::shared_ptr<detail::shared_core_of<T>> core_;
};

}  // namespace brigade
