/// What a queue hands out: a ticket (one item), a batch (several), a slot (room for one).
///
/// Each item taken settles exactly once: `done` when its ticket leaves scope, `failed` when that
/// leaves by an exception, `abandoned` when it leaves by cancellation or its frame is destroyed;
/// `done()`, `fail()` and `give_back()` say otherwise. One that is the parameter of a coroutine
/// counts as that has ended. Settling twice is a misuse (asserted).
///
/// Thread safety: one loop. Lifetime: a ticket, a batch or a slot ends before its queue (asserted).
#pragma once
#include <brigade/async/detail/probe.hpp>
#include <brigade/async/detail/queue_core.hpp>
#include <brigade/async/detail/queue_store.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

namespace detail {

/// What tickets and slots know of their queue: not in which order it keeps its items.
template <class T>
class queue_of : public queue_core {
 public:
  /// As if it had not been taken: the next take finds it.
  virtual void take_back(T&& item) = 0;
  /// Puts into room that was reserved for this.
  virtual void put_reserved(T&& item, std::size_t weight, bool holds_room) = 0;

 protected:
  using queue_core::queue_core;
  ~queue_of() = default;
};

/// As what an item counts whose ticket goes without a word.
[[nodiscard]] queue_core::counter unsaid_end() noexcept;

/// False: this scope is left in peace. True: perhaps not.
[[nodiscard]] inline bool left_in_trouble() noexcept {
  return frames_being_destroyed != 0 || *uncaught_count != 0;
}

}  // namespace detail

/// Why there is no item.
enum class no_item : std::uint8_t { none, closed, cancelled };

/// One item taken from a queue, and the duty to say what became of it. Empty once the queue is
/// closed and drained. Move-only.
template <class T>
class [[nodiscard]] ticket {
 public:
  using end = no_item;

  explicit ticket(end why) : state_(static_cast<word>(why)), nothing_() {}
  ticket(detail::queue_of<T>& from, T&& item, detail::holder* record = nullptr)
    requires std::is_nothrow_move_constructible_v<T>
      : state_(open(from, record)), item_(std::move(item)) {}
  /// An item that throws when it is moved in here has failed.
  ticket(detail::queue_of<T>& from, T&& item, detail::holder* record = nullptr)
      : state_(open(from, record)), nothing_() {
    try {
      std::construct_at(&item_, std::move(item));
    } catch (...) {
      fail();
      throw;
    }
  }
  ticket(ticket&& other) noexcept : state_(other.state_), nothing_() {
    if (state_ < settled) return;
    std::construct_at(&item_, std::move(other.item_));
    other.state_ = settled;
  }
  ticket& operator=(ticket&&) = delete;
  [[gnu::always_inline]] ~ticket() {
    if (state_ > settled) leave();
    if (state_ >= settled) std::destroy_at(&item_);
  }

  [[nodiscard]] explicit operator bool() const { return state_ >= settled; }
  [[nodiscard]] T& operator*() {
    BRIGADE_ASSERT(state_ >= settled, "an empty ticket was asked for its item");
    return item_;
  }
  [[nodiscard]] T* operator->() { return &**this; }
  /// Why there is no item.
  [[nodiscard]] end why() const { return state_ >= settled ? end::none : static_cast<end>(state_); }

  void done() { settle(&detail::queue_core::done_); }
  void fail() { settle(&detail::queue_core::failed_); }
  /// Puts the item back to the front (of its rank), as if it had not been taken.
  void give_back() {
    detail::queue_of<T>& from = queue();
    state_ = settled;
    from.take_back(std::move(item_));
  }

 private:
  using word = std::uintptr_t;
  static constexpr word settled = 3;  ///< below it: why there is no item
  static constexpr word noted = 1;

  static word open(detail::queue_of<T>& from, detail::holder* record) {
    return record == nullptr ? reinterpret_cast<word>(&from)
                             : reinterpret_cast<word>(record) | noted;
  }
  void settle(detail::queue_core::counter which) {
    detail::queue_core& from = queue();
    if (detail::probe::stands(detail::probe::guard::settle_once)) state_ = settled;
    from.settle(which);
  }
  /// In its destructor: nobody reads it any more.
  [[gnu::always_inline]] void leave() noexcept {
    detail::queue_core& from = queue();
    if (detail::left_in_trouble()) {
      from.settle(detail::unsaid_end());
    } else {
      from.settle(&detail::queue_core::done_);
    }
  }
  /// Of an item that is not settled; its holder is forgotten.
  [[gnu::always_inline]] detail::queue_of<T>& queue() {
    BRIGADE_ASSERT(state_ > settled, "a ticket was settled twice");
    if ((state_ & noted) != 0) [[unlikely]]
      forget();
    return *reinterpret_cast<detail::queue_of<T>*>(state_);
  }
  void forget() noexcept {
    auto* record = reinterpret_cast<detail::holder*>(state_ - noted);
    detail::queue_core& from = detail::queue_core::forget_taken(record);
    state_ = reinterpret_cast<word>(&static_cast<detail::queue_of<T>&>(from));
  }

  /// While the item is not settled the queue or, odd, who is noted to hold it. In one word, for
  /// where a task waits there is room for a ticket in its frame (bytes: 16 so, 32 otherwise).
  word state_;
  union {
    char nothing_;
    T item_;  ///< there from `settled` on
  };
};

/// Several items taken at once. They settle one by one (`done(2)`), or together: `done()`, `fail()`
/// and `give_back()` speak for all that are not settled yet, and so does leaving the scope, as with
/// a ticket. Empty once the queue is closed and drained. Move-only.
template <class T>
class [[nodiscard]] batch {
 public:
  explicit batch(no_item why) : why_(why) {}
  batch(detail::queue_of<T>& from, detail::ring<T>&& items, detail::holder* record)
      : queue_(&from), items_(std::move(items)), open_(items_.size()), record_(record) {}
  batch(batch&& other) noexcept
      : queue_(other.queue_),
        items_(std::move(other.items_)),
        settled_(std::move(other.settled_)),
        open_(std::exchange(other.open_, 0)),
        record_(std::exchange(other.record_, nullptr)),
        why_(other.why_) {}
  batch& operator=(batch&&) = delete;
  ~batch() {
    if (open_ != 0) leave();
  }

  [[nodiscard]] explicit operator bool() const { return items_.size() != 0; }
  [[nodiscard]] std::size_t size() const { return items_.size(); }
  /// How many are not settled yet.
  [[nodiscard]] std::size_t unsettled() const { return open_; }
  [[nodiscard]] T& operator[](std::size_t index) { return items_.at(index); }
  [[nodiscard]] T* begin() { return size() == 0 ? nullptr : &items_.at(0); }
  [[nodiscard]] T* end() { return begin() + size(); }
  [[nodiscard]] no_item why() const { return why_; }

  void done() { settle_rest(&detail::queue_core::done_); }
  void fail() { settle_rest(&detail::queue_core::failed_); }
  /// Back to the front, in the order they had.
  void give_back() {
    for (std::size_t i = size(); i > 0; --i) {
      if (!is_settled(i - 1)) give_back(i - 1);
    }
  }
  void done(std::size_t index) { settle(index, &detail::queue_core::done_); }
  void fail(std::size_t index) { settle(index, &detail::queue_core::failed_); }
  void give_back(std::size_t index) {
    mark_settled(index);
    queue_->take_back(std::move(items_.at(index)));
  }
  /// Gives one of them a ticket of its own.
  [[nodiscard]] ticket<T> split(std::size_t index,
                                std::source_location where = std::source_location::current()) {
    mark_settled(index);
    return ticket<T>(*queue_, std::move(items_.at(index)), queue_->note_taken(where));
  }

 private:
  [[nodiscard]] bool is_settled(std::size_t index) const {
    return !settled_.empty() && settled_[index];
  }
  void mark_settled(std::size_t index) {
    BRIGADE_ASSERT(index < size(), "a batch was asked for an item it has not");
    BRIGADE_ASSERT(open_ != 0 && !is_settled(index), "an item of a batch was settled twice");
    if (settled_.empty()) settled_.resize(size());
    settled_[index] = true;
    if (--open_ == 0) forget();
  }
  void settle(std::size_t index, detail::queue_core::counter which) {
    mark_settled(index);
    queue_->settle(which);
  }
  void settle_rest(detail::queue_core::counter which) {
    const std::size_t rest = std::exchange(open_, 0);
    if (rest == 0) return;
    forget();
    queue_->settle_many(which, rest);
  }
  void leave() noexcept { settle_rest(detail::unsaid_end()); }
  void forget() noexcept {
    if (record_ != nullptr) detail::queue_core::forget_taken(std::exchange(record_, nullptr));
  }

  detail::queue_of<T>* queue_ = nullptr;
  detail::ring<T> items_;
  std::vector<bool> settled_;  ///< empty while none was settled by itself
  std::size_t open_ = 0;
  detail::holder* record_ = nullptr;
  no_item why_ = no_item::none;
};

/// Room for one item, in hand before the item is: reserve, produce, commit. Dropping it gives the
/// room to the next putter. Move-only.
template <class T>
class [[nodiscard]] slot {
 public:
  slot(detail::queue_of<T>& of, std::size_t weight, bool holds_room)
      : queue_(&of), weight_(weight), holds_room_(holds_room) {}
  slot(slot&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)),
        weight_(other.weight_),
        holds_room_(other.holds_room_) {}
  slot& operator=(slot&&) = delete;
  ~slot() { drop(); }

  /// Whether it is still to be used.
  [[nodiscard]] explicit operator bool() const { return queue_ != nullptr; }

  /// Puts `item` into the room held. Throws `queue_closed` when the queue was closed meanwhile: the
  /// item then stays with the caller, and the slot is used up all the same. In a queue with a
  /// weigher the item is no heavier than what was reserved (asserted).
  void commit(T&& item) {
    BRIGADE_ASSERT(queue_ != nullptr, "a slot was used twice");
    if (queue_->closed()) {
      const detail::queue_core& of = *queue_;
      drop();
      throw queue_closed(of.name());
    }
    std::exchange(queue_, nullptr)->put_reserved(std::move(item), weight_, holds_room_);
  }
  void commit(T& item) { commit(std::move(item)); }
  /// Gives the room up.
  void drop() noexcept {
    if (queue_ == nullptr) return;
    detail::queue_core& of = *std::exchange(queue_, nullptr);
    if (holds_room_) of.take_back_room_grant(weight_);
  }

 private:
  detail::queue_of<T>* queue_;
  std::size_t weight_;
  bool holds_room_;
};

}  // namespace brigade
