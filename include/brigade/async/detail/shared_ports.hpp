/// The typed half of a shared queue: where its items are.
#pragma once
#include <brigade/async/detail/queue_core.hpp>
#include <brigade/async/detail/queue_store.hpp>
#include <brigade/async/detail/shared_core.hpp>
#include <brigade/async/error.hpp>

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

namespace brigade::detail {

/// What a ticket counts as when its owner said nothing.
[[nodiscard]] own_count shared_port::* how_left() noexcept;

template <class T>
class shared_port_of final : public shared_port {
 public:
  using shared_port::shared_port;

  /// By the loop. False: no room to spare, or closed; `item` is untouched.
  bool put_now(T& item) {
    if (!putters_.empty()) return false;
    if (room_.get() == 0) fetch_room_in_plenty();
    bool wake = false;
    {
      const std::lock_guard own(lock_);
      if (room_.get() == 0 || core_.closed()) return false;
      room_.subtract(1);
      wake = store(std::move(item));
    }
    if (wake) wake_getter();
    return true;
  }
  bool reserve_now() {
    if (!putters_.empty()) return false;
    const std::lock_guard own(lock_);
    if (room_.get() == 0) return false;
    room_.subtract(1);
    ++reserved_;
    return true;
  }
  /// False: closed meanwhile.
  bool put_promised(T& item) {
    bool wake = false;
    {
      const std::lock_guard own(lock_);
      --reserved_;
      if (core_.closed()) {
        add_room(1);
        return false;
      }
      wake = store(std::move(item));
    }
    if (wake) wake_getter();
    return true;
  }

  /// By the loop, or for the threads with the mutex held. False: nothing to spare.
  bool take_now(std::optional<T>& item) {
    if (foreign_quota_ != 0 && (foreign_is_next_ = !foreign_is_next_)) {
      --foreign_quota_;
      if (take_from_others(item)) return true;
    }
    if (!getters_.empty() || spare_items() == 0) return false;
    room_use freed{};
    {
      const std::lock_guard own(lock_);
      if (spare_items() == 0) return false;
      freed = pop(item);
    }
    after_take(freed);
    return true;
  }
  bool promise_now() {
    if (!getters_.empty()) return false;
    const std::lock_guard own(lock_);
    if (spare_items() == 0) return false;
    granted_.add();
    return true;
  }
  /// Leaves `item` empty when an abort has voided the promise.
  void take_promised(std::optional<T>& item) {
    room_use freed{};
    {
      const std::lock_guard own(lock_);
      if (fetched_ != 0) {
        --fetched_;
        item.emplace(from_others_.pop_front().item);
        freed = free_place();
      } else {
        if (granted_.get() != 0) granted_.subtract(1);
        if (spare_items() == 0) return;
        freed = pop(item);
      }
    }
    after_take(freed);
  }
  /// Not waited for, whatever turn it is: the first item another loop has to spare.
  bool take_from_others(std::optional<T>& item) {
    const std::lock_guard lock(core_.mutex_);
    for (shared_port* other : others()) {
      if (static_cast<shared_port_of*>(other)->give_away(item)) return true;
    }
    return false;
  }
  /// With the mutex held, by anybody.
  bool give_away(std::optional<T>& item) {
    {
      const std::lock_guard own(lock_);
      if (spare_items() == 0) return false;
      item.emplace(store_.pop_front());
      out_.add();
      add_room(1);
    }
    if (putters_waiting_.get() != 0) {
      call();
    } else if (core_.hungry_for_room_.load() != 0) {
      core_.wake_hungry_for_room();
    }
    if (core_.closed() && core_.is_drained()) core_.call_all();
    return true;
  }
  void take_back(T&& item) {
    bool wake = false;
    {
      const std::lock_guard own(lock_);
      store_.push_front(std::move(item));
      out_.subtract(1);
      take_place_back();
      wake = promise_first();
    }
    if (wake) wake_getter();
    if (core_.hungry_for_items_.load() == 0) return;
    const std::lock_guard lock(core_.mutex_);
    core_.wake_hungry_for_items(1);
  }
  /// With the mutex held and under `lock_`: everything that nobody has taken.
  void throw_out(std::vector<T>& left) {
    const std::uint64_t count = items() + fetched_;
    while (store_.size() != 0) left.push_back(store_.pop_front());
    while (from_others_.size() != 0) left.push_back(std::move(from_others_.pop_front().item));
    out_.add(items());
    granted_.subtract(granted_.get());
    fetched_ = 0;
    add_room(count);
  }
  /// Under `lock_`. True: the first getter has been promised it.
  bool store(T&& item) {
    store_.push_back(std::move(item));
    in_.add();
    put_.add();
    return promise_first();
  }

 private:
  struct foreign {
    T item;
    shared_port_of* origin;
  };

  bool promise_first() {
    if (getters_.empty() || spare_items() == 0) return false;
    granted_.add();
    return true;
  }
  room_use pop(std::optional<T>& item) {
    item.emplace(store_.pop_front());
    out_.add();
    return free_place();
  }
  void move_front_of(shared_port& from, std::uint64_t count) override {
    auto& origin = static_cast<shared_port_of&>(from);
    for (; count != 0; --count) {
      from_others_.push_back(foreign{origin.store_.pop_front(), &origin});
    }
  }
  shared_port& send_last_back() override {
    std::optional<foreign> last;
    {
      const std::lock_guard own(lock_);
      --fetched_;
      last.emplace(from_others_.pop_back());
    }
    const std::lock_guard theirs(last->origin->lock_);
    last->origin->store_.push_front(std::move(last->item));
    last->origin->out_.subtract(1);
    return *last->origin;
  }

  ring<T> store_;
  ring<foreign> from_others_;  ///< each promised to a getter of this loop
};

enum class blocking_result : std::uint8_t { taken, at_end, timed_out };

template <class T>
class shared_core_of final : public shared_core {
 public:
  shared_core_of(std::size_t items_max, std::string name)
      : shared_core(items_max, std::move(name)) {
    open_for_threads();
  }
  [[nodiscard]] shared_port_of<T>& port(loop& own) {
    return static_cast<shared_port_of<T>&>(here(own));
  }
  [[nodiscard]] shared_port_of<T>& port_of_threads() {
    return static_cast<shared_port_of<T>&>(threads_port());
  }

  std::vector<T> abort() {
    std::vector<T> left;
    const std::lock_guard lock(mutex_);
    closed_.store(true);
    aborted_.store(true);
    for (const auto& port : ports_) {
      const std::lock_guard own(port->lock_);
      static_cast<shared_port_of<T>&>(*port).throw_out(left);
    }
    thrown_out_ += left.size();
    call_all();
    return left;
  }
  /// Its owner destroys it. Loops that used it keep what is left until they next look.
  void go() {
    assert_unused();
    const std::vector<T> left = abort();
    const std::lock_guard lock(mutex_);
    BRIGADE_ASSERT(thread_ends_ == 0, "a shared queue was destroyed while a thread has an end");
    gone_ = true;
  }

  void thread_came() {
    const std::lock_guard lock(mutex_);
    ++thread_ends_;
  }
  void thread_went() {
    const std::lock_guard lock(mutex_);
    --thread_ends_;
    // Nobody may be left to act: loops that wait for this one look again.
    if (thread_ends_ == 0) call_all();
  }
  void put_blocking(T item) {
    const want_mark wanted(hungry_for_room_);
    std::unique_lock lock(mutex_);
    shared_port_of<T>& own = port_of_threads();
    while (!closed() && own.room_.get() == 0 && own.fetch_room(1) == 0) {
      const blocked_thread waiting(*this, putters_);
      putters_.woken.wait(lock);
    }
    {
      const std::lock_guard stored(own.lock_);
      if (closed()) throw queue_closed(name_);
      own.room_.subtract(1);
      own.store(std::move(item));
    }
    wake_hungry_for_items(1);
  }
  blocking_result take_blocking(
      std::optional<T>& item,
      const std::optional<std::chrono::steady_clock::time_point>& deadline) {
    const want_mark wanted(hungry_for_items_);
    std::unique_lock lock(mutex_);
    for (bool in_time = true;;) {
      for (const auto& port : ports_) {
        if (static_cast<shared_port_of<T>&>(*port).give_away(item)) return blocking_result::taken;
      }
      if (closed() && is_drained()) return blocking_result::at_end;
      if (!in_time) return blocking_result::timed_out;
      const blocked_thread waiting(*this, takers_);
      if (deadline) {
        in_time = takers_.woken.wait_until(lock, *deadline) == std::cv_status::no_timeout;
      } else {
        takers_.woken.wait(lock);
      }
    }
  }

 private:
  std::unique_ptr<shared_port> make_port(bool for_threads) override {
    return std::make_unique<shared_port_of<T>>(*this, for_threads);
  }
};

class shared_join_operation final : public waiter {
 public:
  shared_join_operation(shared_core& target, std::source_location where)
      : waiter(where), core_(target) {}
  ~shared_join_operation() { leave(); }
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume();
  [[nodiscard]] std::string describe() const override { return core_.describe("join"); }
  [[nodiscard]] bool outside() const override { return true; }

 private:
  shared_core& core_;
};

}  // namespace brigade::detail
