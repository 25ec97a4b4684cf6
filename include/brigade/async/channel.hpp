/// channel<T>: a queue that is held by its ends. Whoever sends holds a `sender`, whoever receives a
/// `receiver`; a copy of a handle is another one, and they are counted.
///
///     auto [to_cooks, orders] = channel<order>(8, "orders");
///     while (auto next = co_await orders.receive()) co_await cook(*next);
///
/// When the last sender is gone, receivers get what is left and then an empty result: nobody has to
/// know which of many producers is the last. When the last receiver is gone, `send` throws
/// `channel_broken`, also for those who wait. A handle is given up by its destructor or by `close`,
/// and an operation that waits counts as a handle, so that none is left behind.
///
/// What is left when the last receiver goes will never be received. `receiver::close` gives it
/// back; the destructor destroys it: behind the senders' end, so that an item may itself hold a
/// sender of this channel. (Else such an item would keep itself alive.) The error of the senders
/// counts them.
///
/// Handing over is the queue's: grants, nobody overtaken, nothing lost to a cancellation. There are
/// no tickets: an item that was received is the receiver's.
///
/// Thread safety: one loop. Lifetime: of the handles, whichever ends last.
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/detail/frame_pool.hpp>
#include <brigade/async/queue.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade {

/// Nobody will receive what is sent.
class channel_broken : public std::runtime_error {
 public:
  channel_broken(std::string_view channel_name, std::uint64_t items_destroyed);
};

struct channel_statistics {
  queue_statistics items;
  std::size_t senders = 0;
  std::size_t receivers = 0;
  std::uint64_t destroyed = 0;  ///< never received
};

template <class T>
class sender;
template <class T>
class receiver;

namespace detail {

/// Who is at the ends of a channel.
class channel_ends {
 public:
  [[nodiscard]] std::size_t senders() const { return senders_; }
  [[nodiscard]] std::size_t receivers() const { return receivers_; }

 protected:
  std::size_t senders_ = 0;
  std::size_t receivers_ = 0;
  std::size_t references_ = 0;
  std::uint64_t destroyed_ = 0;
};

template <class T>
class channel_state final : public channel_ends, public pooled {
 public:
  explicit channel_state(queue_options<T>&& how) : items(std::move(how)) {}

  void add_sender() noexcept {
    ++senders_;
    ++references_;
  }
  void drop_sender() noexcept {
    if (--senders_ == 0) items.close();
    drop_reference();
  }
  void add_receiver() noexcept {
    ++receivers_;
    ++references_;
  }
  void drop_receiver() noexcept {
    if (--receivers_ == 0) {
      // Counted and gone from here before the first is destroyed: one may hold our last sender.
      const std::vector<T> left = items.abort();
      destroyed_ += left.size();
    }
    drop_reference();
  }
  [[nodiscard]] channel_statistics statistics() const {
    channel_statistics result;
    result.items = items.statistics();
    result.senders = senders_;
    result.receivers = receivers_;
    result.destroyed = destroyed_;
    return result;
  }
  [[noreturn]] void throw_broken() const { throw channel_broken(items.name(), destroyed_); }

  queue<T> items;

 private:
  void drop_reference() noexcept {
    if (--references_ == 0) delete this;
  }
};

/// The base of an operation that keeps its handle: constructed before it, destroyed after it.
template <class Handle>
class keeps_handle {
 protected:
  explicit keeps_handle(const Handle& handle) : kept_(handle) {}
  Handle kept_;
};

template <class T>
using channel_store = basic_queue<T, fifo_store<T>>;

template <class T, class Held>
class [[nodiscard]] send_operation final : private keeps_handle<sender<T>>,
                                           public put_operation<channel_store<T>, Held> {
  using base = put_operation<channel_store<T>, Held>;

 public:
  send_operation(const sender<T>& from, channel_state<T>& through, Held&& item,
                 std::source_location where)
      : keeps_handle<sender<T>>(from), base(through.items, static_cast<Held&&>(item), where) {}
  void await_resume() {
    try {
      base::await_resume();
    } catch (const queue_closed&) {  // a channel with a sender is closed for want of a receiver
      this->kept_.state().throw_broken();
    }
  }
};

template <class T>
class [[nodiscard]] receive_operation final : private keeps_handle<receiver<T>>,
                                              public take_operation<channel_store<T>> {
  using base = take_operation<channel_store<T>>;

 public:
  receive_operation(const receiver<T>& by, channel_state<T>& through, std::source_location where)
      : keeps_handle<receiver<T>>(by), base(through.items, on_cancel::raise, where) {}
  std::optional<T> await_resume() {
    ticket<T> got = base::await_resume();
    if (!got) return std::nullopt;
    std::optional<T> item(std::move(*got));
    got.done();
    return item;
  }
};

}  // namespace detail

/// The end of a channel that items go in at.
template <class T>
class sender {
 public:
  sender(const sender& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->add_sender();
  }
  sender(sender&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  sender& operator=(sender other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~sender() { close(); }

  /// Completes:  once the item is in the channel.
  /// Cancelled:  throws `cancelled`; the item is not in the channel.
  /// Throws:     `channel_broken` once nobody can receive, also while waiting. The item is then
  ///             gone; `send_from` leaves it.
  /// Resumes:    through the loop, never inside `receive`.
  auto send(T item, std::source_location where = std::source_location::current()) {
    return detail::send_operation<T, T>(*this, state(), std::move(item), where);
  }
  /// The same for an item that stays where it is until it goes in; for a `select`.
  auto send_from(T& item, std::source_location where = std::source_location::current()) {
    return detail::send_operation<T, T&>(*this, state(), item, where);
  }
  /// False when there is no room; `item` is then untouched. Throws `channel_broken`.
  bool try_send(T& item) {
    if (broken()) state().throw_broken();
    return state().items.try_put(item);
  }
  /// Whether nobody can receive any more.
  [[nodiscard]] bool broken() const { return state().receivers() == 0; }
  /// Gives this handle up; using it then is a misuse (asserted).
  void close() noexcept {
    if (state_ != nullptr) std::exchange(state_, nullptr)->drop_sender();
  }
  [[nodiscard]] channel_statistics statistics() const { return state().statistics(); }

  // --- for the operations ---
  explicit sender(detail::channel_state<T>& state) noexcept : state_(&state) {
    state_->add_sender();
  }
  [[nodiscard]] detail::channel_state<T>& state() const {
    BRIGADE_ASSERT(state_ != nullptr, "a sender was used after its close");
    return *state_;
  }

 private:
  detail::channel_state<T>* state_;
};

/// The end of a channel that items come out at.
template <class T>
class receiver {
 public:
  receiver(const receiver& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->add_receiver();
  }
  receiver(receiver&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  receiver& operator=(receiver other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~receiver() {
    if (state_ != nullptr) std::exchange(state_, nullptr)->drop_receiver();
  }

  /// Completes:  with the oldest item; with nothing once the last sender is gone and all is
  ///             received.
  /// Cancelled:  throws `cancelled`; an item already granted goes to the next receiver, or stays.
  /// Resumes:    through the loop, never inside `send`.
  auto receive(std::source_location where = std::source_location::current()) {
    return detail::receive_operation<T>(*this, state(), where);
  }
  /// Nothing when there is no item that is not promised to a waiting receiver.
  std::optional<T> try_receive() {
    std::optional<ticket<T>> got = state().items.try_take();
    if (!got) return std::nullopt;
    std::optional<T> item(std::move(**got));
    got->done();
    return item;
  }
  /// Whether the last sender is gone and all is received.
  [[nodiscard]] bool ended() const { return state().items.closed() && state().items.empty(); }
  /// Gives this handle up; using it then is a misuse (asserted). From the last one: what nobody has
  /// received, oldest first.
  [[nodiscard]] std::vector<T> close() {
    std::vector<T> left;
    if (state().receivers() == 1) left = state().items.abort();
    std::exchange(state_, nullptr)->drop_receiver();
    return left;
  }
  [[nodiscard]] channel_statistics statistics() const { return state().statistics(); }

  // --- for the operations ---
  explicit receiver(detail::channel_state<T>& state) noexcept : state_(&state) {
    state_->add_receiver();
  }
  [[nodiscard]] detail::channel_state<T>& state() const {
    BRIGADE_ASSERT(state_ != nullptr, "a receiver was used after its close");
    return *state_;
  }

 private:
  detail::channel_state<T>* state_;
};

/// A new channel, with all that a queue may be told.
template <class T>
[[nodiscard]] std::pair<sender<T>, receiver<T>> channel(queue_options<T> how) {
  auto* state = new detail::channel_state<T>(std::move(how));
  return {sender<T>(*state), receiver<T>(*state)};
}
/// At most `items_max` items on their way, at least 1 (asserted); the name stands in reports.
template <class T>
[[nodiscard]] std::pair<sender<T>, receiver<T>> channel(std::size_t items_max,
                                                        std::string name = "channel") {
  return channel<T>(queue_options<T>(items_max).name(std::move(name)));
}
template <class T>
[[nodiscard]] std::pair<sender<T>, receiver<T>> channel(unbounded_t, std::string name = "channel") {
  return channel<T>(queue_options<T>(unbounded).name(std::move(name)));
}

}  // namespace brigade
