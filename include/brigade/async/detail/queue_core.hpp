/// What every queue has, whatever it holds: counts, waiters, grants, close, join.
///
/// Invariants, checked at both ends of each hand-over:
///   granted <= size          every granted getter has an item waiting for it in the store
///   size + reserved <= capacity   every granted putter has room waiting for it (an item given
///                                 back may exceed the capacity by itself, never by a put;
///                                 in a queue that drops, what is promised does not count)
///   a getter waits  =>  size == granted;   a putter waits  =>  size + reserved >= capacity
///   put == unfinished + done + failed + abandoned + dropped + returned
/// A queue with a weigher, a policy or a list of holders is `odd`: it leaves the short way, which
/// costs the others one test an operation.
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade {

/// What a put does when there is no room.
enum class overflow : std::uint8_t {
  wait,         ///< waits for room
  refuse,       ///< throws `queue_full`
  drop_oldest,  ///< drops what has been here longest and is not on its way to a taker
  drop_newest,  ///< drops the item that is being put
};

/// What a cancelled `take` does: throw `cancelled`, or give an empty ticket.
enum class on_cancel : std::uint8_t { raise, end };

/// What a queue tells of itself. Each item put is unfinished, or counted as one of five ends.
struct queue_statistics {
  std::size_t size = 0;
  std::size_t capacity = 0;
  std::size_t weight = 0;      ///< of what is in it, as its weigher says
  std::size_t weight_max = 0;  ///< 0: it is not weighed
  std::size_t granted = 0;     ///< items promised to takers who have not run since
  std::size_t reserved = 0;    ///< room promised to putters, or held by slots
  std::size_t getters_waiting = 0;
  std::size_t putters_waiting = 0;
  std::uint64_t put = 0;
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
  std::uint64_t abandoned = 0;
  std::uint64_t dropped = 0;   ///< by `overflow::drop_oldest` or `drop_newest`
  std::uint64_t returned = 0;  ///< by `abort`
  std::uint64_t refused = 0;   ///< never put: refused by `overflow::refuse`
  std::uint64_t unfinished = 0;
};

/// A task that took items and has not settled them.
struct item_holder {
  std::string task;
  std::source_location where;  ///< of the take
  std::chrono::nanoseconds held_for{};
  std::size_t items = 1;
};

/// How a `join` with a limit ended: true when everything was settled in time.
struct join_result {
  std::size_t queued = 0;            ///< still in the queue
  std::uint64_t held = 0;            ///< taken and not settled
  std::vector<item_holder> holders;  ///< who holds them, when the queue notes it
  std::string text;                  ///< all of it in words
  [[nodiscard]] explicit operator bool() const { return queued == 0 && held == 0; }
};

namespace detail {

class getter;
class putter;

/// A ticket or a batch that is out, in a queue that notes who has them.
struct holder;

class queue_core {
 public:
  using counter = std::uint64_t queue_core::*;

  queue_core(std::size_t items_max, std::string name);
  virtual ~queue_core();
  queue_core(const queue_core&) = delete;
  queue_core& operator=(const queue_core&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool full() const { return size_ + reserved_ >= capacity_ || overweight(); }
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] std::uint64_t unfinished() const { return unfinished_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] queue_statistics statistics() const;

  // --- for the operations ---
  [[nodiscard]] bool item_to_spare() const { return size_ > granted_; }
  [[nodiscard]] std::size_t items_to_spare() const { return size_ - granted_; }
  /// Finishes the put that has room promised, for a taker who finds nothing. True: now there is an
  /// item to spare.
  [[nodiscard]] bool take_up_offer() noexcept;
  /// Whether any item at all may come in, and nothing else is to be asked: the short way of a put.
  [[nodiscard]] bool room_to_spare() const { return size_ + reserved_ < room_plain_; }
  [[nodiscard]] bool plain_and_open() const { return room_plain_ != 0; }
  /// Whether there is room for an item of this weight. One that is too heavy by itself is let in
  /// alone.
  [[nodiscard]] bool fits(std::size_t weight) const;
  [[nodiscard]] bool closed_and_drained() const { return closed_ && size_ == 0; }
  [[nodiscard]] bool odd() const { return odd_ != 0; }
  [[nodiscard]] bool weighed() const { return weight_max_ != 0; }
  [[nodiscard]] bool waits_when_full() const { return when_full_ == overflow::wait; }
  [[nodiscard]] bool drops() const { return when_full_ >= overflow::drop_oldest; }

  void set_overflow(overflow when_full);
  void set_weight_max(std::size_t weight_max);
  void note_holders();

  void grant_getter() noexcept;
  void grant_putter() noexcept;
  /// As many as there is room for, none before the one in front of it.
  void grant_putters() noexcept;
  [[gnu::always_inline]] void item_arrived() noexcept {
    ++size_;
    ++unfinished_;
    if (!getters_.empty()) grant_getter();
  }
  [[gnu::always_inline]] void item_left() noexcept {
    --size_;
    if (heed_) [[unlikely]]
      heed_item_left();
  }
  void items_left(std::size_t count) noexcept;
  /// Counts an item in again that had been taken.
  void item_came_back() noexcept {
    ++size_;
    if (!getters_.empty() && item_to_spare()) grant_getter();
  }
  void take_back_item_grants(std::size_t count) noexcept;
  void reserve(std::size_t weight) noexcept {
    ++reserved_;
    reserved_weight_ += weight;
  }
  void use_reserved(std::size_t weight) noexcept;
  void use_plain_grant() noexcept {
    --reserved_;
    offer_ = nullptr;
  }
  /// Throws `queue_full`, with `overflow::refuse`.
  void refuse_unless_fits(std::size_t weight);
  void take_back_room_grant(std::size_t weight) noexcept;
  [[gnu::always_inline]] void settle(counter which) noexcept {
    ++(this->*which);
    const auto left = static_cast<std::int64_t>(--unfinished_);
    if (left <= 0) {
      BRIGADE_ASSERT(left == 0, "an item was settled twice");
      nothing_unfinished();
    }
  }
  void settle_many(counter which, std::size_t count) noexcept;
  /// The items of `get()`, which have no ticket.
  void task_done() noexcept;
  void mark_closed() noexcept;
  void forget_all_items() noexcept;
  /// A taker that gathers a batch has to wait no longer.
  void hurry_gatherer() noexcept;
  void nothing_unfinished() noexcept {
    if (!joiners_.empty()) wake_joiners();
  }

  [[nodiscard]] holder* note_taken(std::source_location where, std::size_t items = 1);
  /// Gives the queue the item is from.
  static queue_core& forget_taken(holder* record) noexcept;

  task<> join(std::source_location where);
  task<join_result> join(std::chrono::nanoseconds within, std::source_location where);
  /// "take from queue 'orders' (0 of 19, empty)"
  [[nodiscard]] std::string describe(std::string_view verb) const;

  std::size_t size_ = 0;
  std::size_t granted_ = 0;
  std::size_t reserved_ = 0;
  std::size_t room_plain_;  ///< the capacity; 0 when the queue is odd, or closed
  std::uint64_t unfinished_ = 0;
  /// The one put that has room promised and has not resumed; a taker who would have to wait takes
  /// it up instead, which halves the turns of a queue of one (W1: 437 instructions an item without,
  /// 300 with). Null also when several have room: they go in the order they came.
  putter* offer_ = nullptr;
  link_list getters_;
  link_list putters_;
  link_list joiners_;
  // Not beside unfinished_: g++ adds to both at once, and then waits for what was just stored.
  std::uint64_t done_ = 0;
  bool closed_ = false;
  bool heed_ = false;     ///< it is odd or closed, or somebody waits for room
  bool aborted_ = false;  ///< promises are void, and no new ones are made
  std::uint8_t odd_ = 0;
  overflow when_full_ = overflow::wait;
  std::uint64_t failed_ = 0;
  std::uint64_t abandoned_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t returned_ = 0;
  std::uint64_t refused_ = 0;
  std::uint64_t got_ = 0;  ///< by `get()`, and not done
  std::size_t capacity_;
  std::size_t weight_ = 0;
  std::size_t weight_max_ = 0;
  std::size_t reserved_weight_ = 0;
  std::size_t leaving_ = 0;  ///< who was told of an end and has not resumed: it will look here
  link_list holders_;
  std::string name_;

 private:
  enum oddity : std::uint8_t { is_weighed = 1, has_policy = 2, notes_holders = 4 };
  void make_odd(oddity why) {
    odd_ |= why;
    heed_ = true;
    room_plain_ = 0;
  }
  [[nodiscard]] bool overweight() const {
    return weighed() && weight_ + reserved_weight_ >= weight_max_;
  }
  void heed_item_left() noexcept {
    if (!putters_.empty()) room_was_made();
    if (size_ == 0 && closed_) end_getters();
    heed_ = odd() || closed_ || !putters_.empty();
  }
  void room_was_made() noexcept {
    if (room_to_spare()) {
      grant_putter();
    } else if (odd()) {
      grant_putters();
    }
  }
  void wake_joiners() noexcept;
  void end_getters() noexcept;
  [[nodiscard]] join_result join_ended() const;
};

/// The note of a taker, until a ticket or a batch has it.
class noted_taker {
 public:
  noted_taker(queue_core& of, std::source_location where, std::size_t items)
      : record_(of.note_taken(where, items)) {}
  noted_taker(const noted_taker&) = delete;
  noted_taker& operator=(const noted_taker&) = delete;
  ~noted_taker() {
    if (record_ != nullptr) queue_core::forget_taken(record_);
  }
  [[nodiscard]] holder* release() noexcept { return std::exchange(record_, nullptr); }

 private:
  holder* record_;
};

/// How a wait for an item came to its end.
enum class take_end : std::uint8_t { item, closed, cancelled };

/// Waits for an item. Derived classes leave in their destructors, and hand out in await_resume.
class getter : public waiter {
 public:
  [[gnu::always_inline]] [[nodiscard]] bool await_ready() noexcept {
    if (core_.item_to_spare()) [[likely]]
      return loop::spend();
    return (core_.offer_ != nullptr || core_.closed_) && ready_after_all();
  }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (begin_wait(handle)) return;
    if (core_.item_to_spare()) {
      if (!core_.aborted_) ++core_.granted_;
      wait_granted();
    } else {
      wait_in(core_.getters_);
    }
  }
  [[nodiscard]] std::string describe() const override { return core_.describe("take"); }

 protected:
  getter(queue_core& from, std::source_location where, on_cancel mode = on_cancel::raise,
         bool gathers = false)
      : waiter(where), gathers_(gathers), mode_(mode), core_(from) {}
  ~getter() = default;
  [[nodiscard]] bool end_now() noexcept {
    state_ = wait_state::ended;
    ++core_.leaving_;
    return true;
  }
  [[nodiscard]] bool ready_after_all() noexcept;
  /// For one that waited; the promise it was given is used up.
  [[nodiscard]] take_end finish_wait() noexcept {
    const wait_state how = state_;
    state_ = wait_state::idle;
    if (how == wait_state::granted && !core_.aborted_) {
      --core_.granted_;
      return take_end::item;
    }
    if (how == wait_state::cancelled) return take_end::cancelled;
    if (how == wait_state::ended) --core_.leaving_;
    // The end, unless an item was given back since.
    return core_.item_to_spare() ? take_end::item : take_end::closed;
  }
  void revoke() noexcept override { core_.take_back_item_grants(1); }
  void end_unheard() noexcept final { --core_.leaving_; }

  friend class queue_core;
  // First, where they fill up the base's last word.
  bool gathers_;
  on_cancel mode_;
  queue_core& core_;
};

/// Waits for room, in line with all others who do.
class putter : public waiter {
 public:
  [[gnu::always_inline]] [[nodiscard]] bool await_ready() noexcept {
    if (core_.room_to_spare()) [[likely]]
      return loop::spend();
    if (core_.closed_) return loop::spend() && end_now();
    return core_.odd() && ready_oddly();
  }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (begin_wait(handle)) return;
    if (core_.closed_) {
      wait_granted();  // a turn for the others, who may mend what this task tries again and again
      static_cast<void>(end_now());
    } else if (core_.odd()) {
      suspend_oddly();
    } else if (core_.room_to_spare()) {
      ++core_.reserved_;
      wait_granted();
    } else {
      wait_for_room();
    }
  }
  /// Whoever is behind it in the line may be light enough for the room there is.
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override { return core_.describe("put"); }

 protected:
  putter(queue_core& to, std::source_location where) : waiter(where), core_(to) {}
  ~putter() = default;
  /// Of the item, as the queue's weigher says; 0 when it has none.
  [[nodiscard]] virtual std::size_t weight() const noexcept = 0;
  /// Puts the item into the room it was promised, and ends the wait well: from then on a
  /// cancellation strikes later. False: there is no item, or it cannot go in now.
  [[nodiscard]] virtual bool complete() noexcept { return false; }
  /// For one that waited: gives the room it was promised back to be used now; throws how it ended.
  void finish_wait();
  /// For destructors.
  void abandon() noexcept;
  void revoke() noexcept override;
  void end_unheard() noexcept final { --core_.leaving_; }

  friend class queue_core;
  queue_core& core_;

 private:
  /// Without a wait, but by the long way.
  [[nodiscard]] bool end_now() noexcept {
    state_ = wait_state::ended;
    ++core_.leaving_;
    return true;
  }
  [[nodiscard]] bool ready_oddly() noexcept;
  void suspend_oddly() noexcept;
  void wait_for_room() noexcept {
    wait_in(core_.putters_);
    core_.heed_ = true;
    if (!core_.getters_.empty()) core_.hurry_gatherer();
  }
};

/// Takes as many items as there are, up to a limit; may linger for more. While it does, the items
/// stay in the queue, promised to it.
class gatherer : public getter, private timer {
 public:
  [[nodiscard]] bool await_ready() noexcept;
  void await_suspend(std::coroutine_handle<> handle) noexcept;
  bool cancel() noexcept override;
  [[nodiscard]] std::string describe() const override;

 protected:
  gatherer(queue_core& from, std::size_t items_max, std::chrono::nanoseconds within, on_cancel mode,
           std::source_location where);
  ~gatherer() = default;
  [[nodiscard]] take_end finish_wait() noexcept;
  [[nodiscard]] std::size_t items_max() const { return items_max_; }
  /// For destructors.
  void abandon() noexcept;
  void revoke() noexcept override;

 private:
  friend class queue_core;
  [[nodiscard]] bool need_not_linger(std::size_t items) const;
  void gain() noexcept;
  void hurry() noexcept;
  void start_lingering() noexcept;
  void stop_lingering() noexcept;
  void fire() noexcept override { hurry(); }

  std::size_t items_max_;
  std::chrono::nanoseconds within_;
  std::size_t claims_ = 0;  ///< items in the queue that are promised to it
};

inline void queue_core::grant_getter() noexcept {
  BRIGADE_ASSERT(item_to_spare(), "a getter was granted an item that is not there");
  ++granted_;
  auto* next = static_cast<getter*>(getters_.front());
  if (next->gathers_) {
    static_cast<gatherer*>(next)->gain();
  } else {
    static_cast<waiter*>(next)->wake(wait_state::granted);
  }
}

inline void queue_core::grant_putter() noexcept {
  BRIGADE_ASSERT(room_to_spare(), "a putter was granted room that is not there");
  auto* next = static_cast<putter*>(putters_.front());
  offer_ = reserved_++ == 0 ? next : nullptr;
  static_cast<waiter*>(next)->wake(wait_state::granted);
}

/// Waits until nothing is unfinished.
class join_operation final : public waiter {
 public:
  join_operation(queue_core& target, std::source_location where) : waiter(where), queue_(target) {}
  ~join_operation() { leave(); }
  [[nodiscard]] bool await_ready() const noexcept { return queue_.unfinished_ == 0; }
  void await_suspend(std::coroutine_handle<> handle) noexcept {
    if (!begin_wait(handle)) wait_in(queue_.joiners_);
  }
  void await_resume();
  [[nodiscard]] std::string describe() const override { return queue_.describe("join"); }

 private:
  void revoke() noexcept override { --queue_.leaving_; }
  queue_core& queue_;
};

}  // namespace detail
}  // namespace brigade
