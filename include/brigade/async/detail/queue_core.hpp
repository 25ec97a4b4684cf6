/// What every queue has, whatever it holds: counts, waiters, grants, close, join.
///
/// Invariants, checked at both ends of each hand-over:
///   granted <= size          every granted getter has an item waiting for it in the store
///   size + reserved <= capacity   every granted putter has room waiting for it (an item given
///                                 back may exceed the capacity by itself, never by a put)
///   a getter waits  =>  size == granted;   a putter waits  =>  size + reserved >= capacity
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>

namespace brigade {

/// What a queue tells of itself.
struct queue_statistics {
  std::size_t size = 0;
  std::size_t capacity = 0;
  std::size_t getters_waiting = 0;
  std::size_t putters_waiting = 0;
  std::uint64_t put = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t abandoned = 0;
  std::uint64_t unfinished = 0;
};

namespace detail {

class queue_core {
 public:
  queue_core(std::size_t items_max, std::string name);
  ~queue_core();
  queue_core(const queue_core&) = delete;
  queue_core& operator=(const queue_core&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool full() const { return size_ + reserved_ >= capacity_; }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] std::uint64_t unfinished() const { return unfinished_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] queue_statistics statistics() const;

  // --- for the operations ---
  [[nodiscard]] bool item_to_spare() const { return size_ > granted_; }
  [[nodiscard]] bool room_to_spare() const { return size_ + reserved_ < capacity_; }
  [[nodiscard]] bool closed_and_drained() const { return closed_ && size_ == 0; }
  void grant_getter() noexcept {
    BRIGADE_ASSERT(item_to_spare(), "a getter was granted an item that is not there");
    ++granted_;
    static_cast<waiter*>(getters_.front())->wake(wait_state::granted);
  }
  void grant_putter() noexcept {
    BRIGADE_ASSERT(room_to_spare(), "a putter was granted room that is not there");
    ++reserved_;
    static_cast<waiter*>(putters_.front())->wake(wait_state::granted);
  }
  void item_arrived() noexcept {
    ++size_;
    ++put_;
    ++unfinished_;
    if (!getters_.empty() && item_to_spare()) grant_getter();
  }
  void item_left() noexcept {
    --size_;
    if (!putters_.empty() && room_to_spare()) grant_putter();
    if (closed_and_drained()) end_getters();
  }
  void take_back_item_grant() noexcept;
  void take_back_room_grant() noexcept;
  void settle(std::uint64_t queue_core::* counter) noexcept {
    BRIGADE_ASSERT(unfinished_ > 0, "an item was settled twice");
    ++(this->*counter);
    if (--unfinished_ == 0 && !joiners_.empty()) wake_joiners();
  }
  void mark_closed() noexcept;
  void forget_all_items() noexcept;
  [[nodiscard]] std::string describe(std::string_view verb) const;

  std::size_t capacity_;
  std::size_t size_ = 0;
  std::size_t granted_ = 0;
  std::size_t reserved_ = 0;
  bool closed_ = false;
  bool aborted_ = false;  ///< promises are void, and no new ones are made
  std::uint64_t unfinished_ = 0;
  std::uint64_t put_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t abandoned_ = 0;
  link_list getters_;
  link_list putters_;
  link_list joiners_;
  std::string name_;

 private:
  void wake_joiners() noexcept;
  void end_getters() noexcept;
};

/// Waits until nothing is unfinished.
class join_operation final : public waiter {
 public:
  join_operation(queue_core& target, std::source_location where) : waiter(where), queue_(target) {}
  ~join_operation() { leave(); }
  [[nodiscard]] bool await_ready() const noexcept { return queue_.unfinished_ == 0; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (!begin_wait(handle)) wait_in(queue_.joiners_);
  }
  void await_resume() const;
  [[nodiscard]] std::string describe() const override { return queue_.describe("join"); }

 private:
  queue_core& queue_;
};

/// A ring that grows to what it has held at most; the queue bounds it.
template <class T>
class ring {
 public:
  ring() = default;
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring() {
    while (head_ != tail_) drop_front();
    ::operator delete(slots_, std::align_val_t{alignof(T)});
  }
  [[nodiscard]] std::size_t size() const { return tail_ - head_; }
  [[nodiscard]] const T& at(std::size_t index) const { return *slot(head_ + index); }
  void push_back(T&& value) {
    if (size() == room_) grow();
    ::new (static_cast<void*>(slot(tail_))) T(std::move(value));
    ++tail_;
  }
  void push_front(T&& value) {
    if (size() == room_) grow();
    ::new (static_cast<void*>(slot(head_ - 1))) T(std::move(value));
    --head_;
  }
  T pop_front() {
    T value = std::move(*slot(head_));
    drop_front();
    return value;
  }
  T pop_back() {
    --tail_;
    T value = std::move(*slot(tail_));
    slot(tail_)->~T();
    return value;
  }

 private:
  [[nodiscard]] T* slot(std::size_t index) const { return slots_ + (index & (room_ - 1)); }
  void drop_front() {
    slot(head_)->~T();
    ++head_;
  }
  void grow() {
    const std::size_t room = room_ == 0 ? 8 : room_ * 2;
    auto* slots = static_cast<T*>(::operator new(room * sizeof(T), std::align_val_t{alignof(T)}));
    const std::size_t count = size();
    for (std::size_t i = 0; i < count; ++i) {
      ::new (static_cast<void*>(slots + i)) T(std::move(*slot(head_)));
      drop_front();
    }
    ::operator delete(slots_, std::align_val_t{alignof(T)});
    slots_ = slots;
    room_ = room;
    head_ = 0;
    tail_ = count;
  }

  T* slots_ = nullptr;
  std::size_t room_ = 0;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

}  // namespace detail
}  // namespace brigade
