/// Bounded hand-overs between tasks of one loop: `queue` (first in, first out), `lifo_queue` (last
/// in, first out) and `priority_queue` (smallest first; equal ones in the order they came).
///
/// Every item put is either taken by exactly one task, still here, returned by `abort()`, or
/// dropped because the queue was told to. No timeout, cancellation or error ever loses one. A
/// waiting getter is *granted* an item: the item stays in the queue, counted, until that getter has
/// resumed; if it is cancelled before, the next getter is granted it. A waiting putter is granted
/// room; its value stays with it until it resumes, or, with `put`, until a taker who finds nothing
/// else takes it up: from then on that put has succeeded, and a cancellation strikes at the next
/// wait. Newcomers see what is left after the grants, so nobody is overtaken; waiters are served in
/// the order they came, a heavy item at the head of the line is not passed by light ones.
///
/// Capacity 0 is a misuse (asserted); `unbounded` is spelled. The name stands in reports.
///
/// Thread safety: one loop. Lifetime: outlives its waiters, tickets, batches and slots; destroying
/// it before them is a misuse (asserted), also before a task that was woken and has not run since.
#pragma once
#include <brigade/async/detail/queue_core.hpp>
#include <brigade/async/detail/queue_operations.hpp>
#include <brigade/async/detail/queue_store.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>
#include <brigade/async/ticket.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

/// Spells that a queue has no bound.
struct unbounded_t {
  explicit unbounded_t() = default;
};
inline constexpr unbounded_t unbounded{};

/// What a queue may be told besides its capacity:
/// `queue<order> orders(queue<order>::options(64).name("orders").when_full(overflow::refuse));`
template <class T>
class queue_options {
 public:
  using weigher = std::function<std::size_t(const T&)>;

  explicit queue_options(std::size_t items_max) : items_max_(items_max) {}
  explicit queue_options(unbounded_t) : items_max_(std::numeric_limits<std::size_t>::max() / 2) {}

  queue_options& name(std::string text) {
    name_ = std::move(text);
    return *this;
  }
  /// Waits, when nothing else is said. Dropped items count as finished for `join`.
  queue_options& when_full(overflow what) {
    when_full_ = what;
    return *this;
  }
  /// A second limit, on the sum of what `weigh` says of the items queued, in its unit (bytes). It
  /// must not throw, nor change its mind about an item that is here. An item heavier than
  /// `weight_max` is let in when the queue is empty, alone.
  queue_options& weight(std::size_t weight_max, weigher weigh) {
    weight_max_ = weight_max;
    weigh_ = std::move(weigh);
    return *this;
  }
  /// Notes who takes what, so that `join` with a limit can name who holds a ticket. Costs 20 ns a
  /// ticket.
  queue_options& note_holders() {
    note_holders_ = true;
    return *this;
  }

 private:
  template <class U, class Store>
  friend class basic_queue;
  std::size_t items_max_;
  std::string name_ = "queue";
  overflow when_full_ = overflow::wait;
  std::size_t weight_max_ = 0;
  weigher weigh_;
  bool note_holders_ = false;
};

/// The queue over a store; use `queue`, `lifo_queue` or `priority_queue`.
template <class T, class Store>
class basic_queue : protected detail::queue_of<T> {
  using core_type = detail::queue_core;

 public:
  using value_type = T;
  using options = queue_options<T>;

  explicit basic_queue(std::size_t items_max, std::string title = "queue", Store store = Store())
      : detail::queue_of<T>(items_max, std::move(title)), store_(std::move(store)) {}
  explicit basic_queue(unbounded_t, std::string title = "queue", Store store = Store())
      : basic_queue(std::numeric_limits<std::size_t>::max() / 2, std::move(title),
                    std::move(store)) {}
  explicit basic_queue(options how, Store store = Store())
      : basic_queue(how.items_max_, std::move(how.name_), std::move(store)) {
    this->set_overflow(how.when_full_);
    if (how.weigh_) this->set_weight_max(how.weight_max_);
    if (how.note_holders_) core_type::note_holders();
    weigh_ = std::move(how.weigh_);
  }

  // --- putting ---

  /// Adds an item, waiting for room unless `when_full` says otherwise.
  ///
  /// Completes:  once the item is in the queue (or dropped, with `overflow::drop_*`).
  /// Cancelled:  throws `cancelled`, the item is not in the queue; room already granted goes to the
  ///             next putter.
  /// Throws:     `queue_closed` when the queue is closed, also while waiting; `queue_full` with
  ///             `overflow::refuse`. The item is then gone; `put_from` and `reserve` leave it.
  /// Resumes:    through the loop, never inside `take`. A taker may have the item before that:
  ///             what must be done before anybody has it comes before the put, or is a `put_from`.
  auto put(T item, std::source_location where = std::source_location::current()) {
    return detail::put_operation<basic_queue, T>(*this, std::move(item), where);
  }
  /// The same for an item that stays where it is, whole, unless and until it goes into the queue;
  /// which it does when this resumes, so nobody has it before the next line. This is the put for a
  /// `select`.
  auto put_from(T& item, std::source_location where = std::source_location::current()) {
    return detail::put_operation<basic_queue, T&>(*this, item, where);
  }
  /// Waits for room without an item: reserve, produce, `commit`. In line with the puts. `weight` is
  /// what the item will weigh at most, in a queue with a weigher.
  ///
  /// Completes:  with a slot, which holds the room until it is used or dropped. (With
  ///             `overflow::drop_*` at once; the policy acts at the commit.)
  /// Cancelled, throws, resumes: as `put`.
  auto reserve(std::size_t weight = 0,
               std::source_location where = std::source_location::current()) {
    return detail::reserve_operation<basic_queue>(*this, weight, where);
  }
  /// False when there is no room that is not promised to a waiting putter; `item` is then
  /// untouched. With `overflow::drop_*` always true. Throws `queue_closed`.
  bool try_put(T& item) {
    if (this->closed_) throw queue_closed(this->name_);
    if (!this->room_to_spare() && !(this->odd() && may_enter(item))) return false;
    put_now(std::move(item));
    return true;
  }

  // --- taking ---

  /// Takes the next item, waiting for one; waiters are served in the order they came.
  ///
  /// Completes:  with a ticket for the item; with an empty one once the queue is closed and empty.
  /// Cancelled:  throws `cancelled`, or gives an empty ticket with `on_cancel::end`; an item
  ///             already granted goes to the next getter, or stays.
  /// Resumes:    through the loop, never inside `put`.
  auto take(on_cancel mode = on_cancel::raise,
            std::source_location where = std::source_location::current()) {
    return detail::take_operation<basic_queue>(*this, mode, where);
  }
  /// Takes up to `items_max` items at once: waits for the first, then takes what is there. With
  /// `within` it lingers: until it has `items_max`, or that long after the first, or until the
  /// queue is full (nothing more can come), somebody waits for room, or it is closed. Those who
  /// came to take after it wait behind it.
  ///
  /// Completes:  with a batch, in the order of taking; empty once the queue is closed and empty.
  /// Throws:     what an item throws when it is moved; it and those taken before it have failed.
  /// Cancelled:  throws, or gives an empty batch with `on_cancel::end`. Nothing is taken: while it
  ///             lingers, its items stay in the queue, and then go to the next getters.
  /// Resumes:    through the loop.
  auto take_batch(std::size_t items_max, std::chrono::nanoseconds within = {},
                  on_cancel mode = on_cancel::raise,
                  std::source_location where = std::source_location::current()) {
    return detail::take_batch_operation<basic_queue>(*this, items_max, within, mode, where);
  }
  /// Nothing when there is no item that is not promised to a waiting getter.
  std::optional<ticket<T>> try_take(std::source_location where = std::source_location::current()) {
    if (!this->item_to_spare()) return std::nullopt;
    return hand_out(where);
  }
  /// Makes room: takes out what would give way to `newcomer` with `overflow::drop_oldest`, whatever
  /// the queue does when it is full. Nothing when that outranks `newcomer`, or when all that is
  /// here is on its way to takers. It counts as dropped; those who wait for room get it first.
  [[nodiscard]] std::optional<T> displace(const T& newcomer);
  /// asyncio's `get`: the item without a ticket; `task_done()` must follow, once for each.
  ///
  /// Completes:  with the item. Throws `queue_closed` once the queue is closed and empty.
  /// Cancelled:  throws; as `take`.
  auto get(std::source_location where = std::source_location::current()) {
    return detail::get_operation<basic_queue>(*this, where);
  }
  /// Nothing when there is no item to spare; throws `queue_closed` once closed and empty.
  std::optional<T> try_get() {
    if (this->item_to_spare()) {
      ++this->got_;
      return pop();
    }
    if (this->closed_and_drained()) throw queue_closed(this->name_);
    return std::nullopt;
  }
  /// An item of `get` is done. Once too often is a misuse (asserted); tickets do not count.
  void task_done() { core_type::task_done(); }

  // --- the end ---

  /// Refuses new items; what is here is still delivered. Idempotent.
  void close() noexcept { this->mark_closed(); }
  /// Closes, and gives back what nobody has taken, in the order it would have been taken.
  [[nodiscard]] std::vector<T> abort() {
    std::vector<T> left;
    left.reserve(store_.size());  // what fails here has lost nothing
    this->mark_closed();
    while (store_.size() != 0) left.push_back(store_.pop());
    this->forget_all_items();
    return left;
  }
  /// Completes when every item ever put is settled; checks again after each wake. A queue that was
  /// closed is no exception, nor is an aborted one: what was taken has to be settled. When nobody
  /// will, the loop's report of a deadlock says of which queue, and how many.
  task<> join(std::source_location where = std::source_location::current()) {
    return core_type::join(where);
  }
  /// The same for at most `within`; the result is false when that was not enough, and says what is
  /// unfinished, and by whom if the queue notes its holders.
  [[nodiscard]] task<join_result> join(
      std::chrono::nanoseconds within,
      std::source_location where = std::source_location::current()) {
    return core_type::join(within, where);
  }

  // --- what it tells ---

  using core_type::capacity;
  using core_type::closed;
  using core_type::empty;
  using core_type::full;
  using core_type::name;
  using core_type::size;
  using core_type::statistics;
  using core_type::unfinished;
  /// Looks at what is queued without taking it; 0 is what is taken next. The others come in the
  /// order of taking, but in a priority queue in none.
  [[nodiscard]] const T& peek(std::size_t index) const { return store_.at(index); }

  [[nodiscard]] core_type& core() { return *this; }

 private:
  friend class detail::take_operation<basic_queue>;
  friend class detail::get_operation<basic_queue>;
  friend class detail::take_batch_operation<basic_queue>;
  friend class detail::put_operation<basic_queue, T>;
  friend class detail::put_operation<basic_queue, T&>;
  friend class detail::reserve_operation<basic_queue>;

  [[nodiscard]] std::size_t weigh(const T& item) const noexcept {
    return weigh_ ? weigh_(item) : 0;
  }
  [[gnu::always_inline]] void put_plainly(T&& item) {
    store_.push(std::move(item));
    this->item_arrived();
  }
  void put_granted(T&& item) {
    store_.push(std::move(item));
    this->use_plain_grant();
    this->item_arrived();
  }
  void put_now(T&& item) {
    if (this->odd()) return put_oddly(std::move(item));
    put_plainly(std::move(item));
  }
  [[gnu::noinline]] void put_oddly(T&& item) {
    this->refuse_unless_fits(weigh(item));
    enter_oddly(std::move(item));
  }
  void enter_oddly(T&& item);
  [[nodiscard]] bool may_enter(const T& item);
  bool drop_oldest_for(const T& item);
  [[gnu::always_inline]] ticket<T> hand_out(const std::source_location& where) {
    if (this->heed_ && this->odd()) return hand_out_oddly(where);
    T item = store_.pop();
    this->item_left();
    return ticket<T>(*this, std::move(item));
  }
  [[gnu::noinline]] ticket<T> hand_out_oddly(std::source_location where) {
    detail::noted_taker by(*this, where, 1);  // first: it may fail, and then nothing is taken
    T item = pop();
    return ticket<T>(*this, std::move(item), by.release());
  }
  batch<T> hand_out_batch(std::size_t items_max, std::source_location where);
  [[gnu::always_inline]] T pop() {
    T item = store_.pop();
    if (this->odd()) lighten(item);
    this->item_left();
    return item;
  }
  void lighten(const T& item) {
    const std::size_t weight = weigh(item);
    BRIGADE_ASSERT(this->weight_ >= weight, "a weigher gave one item two weights");
    this->weight_ -= weight;
  }
  void take_back(T&& item) override {
    this->weight_ += weigh(item);
    store_.put_back(std::move(item));
    this->item_came_back();
  }
  void put_reserved(T&& item, std::size_t weight, bool holds_room) override;

  Store store_;
  typename options::weigher weigh_;
};

/// First in, first out.
template <class T>
class queue final : public basic_queue<T, detail::fifo_store<T>> {
 public:
  using basic_queue<T, detail::fifo_store<T>>::basic_queue;
};

/// Last in, first out. An item that is given back is the next to be taken.
template <class T>
class lifo_queue final : public basic_queue<T, detail::lifo_store<T>> {
 public:
  using basic_queue<T, detail::lifo_store<T>>::basic_queue;
};

/// The smallest item first, as `Compare` says; those that compare equal in the order they came. An
/// item that is given back goes before its equals. With `overflow::drop_oldest` the least urgent
/// gives way, of these the oldest; one less urgent than all that are here is dropped itself.
/// T is move-assignable. `Compare` must not throw.
template <class T, class Compare = std::less<T>>
class priority_queue final : public basic_queue<T, detail::priority_store<T, Compare>> {
 public:
  using basic_queue<T, detail::priority_store<T, Compare>>::basic_queue;
};

// --- the long way, of queues with a weigher, a policy or a list of holders ---

template <class T, class Store>
bool basic_queue<T, Store>::may_enter(const T& item) {
  if (this->drops()) return true;
  if (this->putters_.empty() && this->fits(weigh(item))) return true;
  if (!this->waits_when_full()) ++this->refused_;
  return false;
}

template <class T, class Store>
void basic_queue<T, Store>::enter_oddly(T&& item) {
  const std::size_t weight = weigh(item);
  // With a taker waiting, all that is here is on its way out: the item may come in its place.
  while (this->drops() && !this->fits(weight) && this->getters_.empty()) {
    const bool the_oldest = this->when_full_ == overflow::drop_oldest;
    if (the_oldest && !this->item_to_spare()) break;
    if (!the_oldest || !drop_oldest_for(item)) {
      [[maybe_unused]] const T dropped = std::move(item);
      ++this->dropped_;
      return;
    }
  }
  store_.push(std::move(item));
  this->weight_ += weight;
  this->item_arrived();
}

template <class T, class Store>
bool basic_queue<T, Store>::drop_oldest_for(const T& item) {
  const auto where = store_.victim(this->granted_);
  if (store_.stays(where, item)) return false;
  const T dropped = store_.remove(where);
  lighten(dropped);
  --this->size_;
  this->settle(&core_type::dropped_);
  return true;
}

template <class T, class Store>
std::optional<T> basic_queue<T, Store>::displace(const T& newcomer) {
  if (!this->item_to_spare()) return std::nullopt;
  const auto where = store_.victim(this->granted_);
  if (store_.stays(where, newcomer)) return std::nullopt;
  std::optional<T> gone(store_.remove(where));
  if (this->odd()) lighten(*gone);
  this->item_left();
  this->settle(&core_type::dropped_);
  return gone;
}

template <class T, class Store>
batch<T> basic_queue<T, Store>::hand_out_batch(std::size_t items_max, std::source_location where) {
  const std::size_t count = std::min(items_max, this->items_to_spare());
  detail::noted_taker by(*this, where, count);
  detail::ring<T> items;
  items.make_room(count);
  std::size_t popped = 0;
  try {
    while (popped < count) {
      T item = store_.pop();
      ++popped;
      if (this->odd()) lighten(item);
      items.push_back(std::move(item));
    }
  } catch (...) {  // an item that throws when it is moved, and those that are with it
    this->items_left(popped);
    this->settle_many(&core_type::failed_, popped);
    throw;
  }
  this->items_left(count);
  return batch<T>(*this, std::move(items), by.release());
}

template <class T, class Store>
void basic_queue<T, Store>::put_reserved(T&& item, std::size_t weight, bool holds_room) {
  if (holds_room) {
    BRIGADE_ASSERT(weigh(item) <= weight, "an item is heavier than what was reserved for it");
    this->use_reserved(weight);
  }
  enter_oddly(std::move(item));
  if (this->odd()) this->grant_putters();  // it may be lighter
}

}  // namespace brigade
