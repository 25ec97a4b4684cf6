/// The awaiters of a queue. `Queue` is a basic_queue, which see for what they promise.
#pragma once
#include <brigade/async/detail/queue_core.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/ticket.hpp>

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <source_location>
#include <string>
#include <type_traits>
#include <utility>

namespace brigade {

namespace detail {

template <class Queue>
class [[nodiscard]] take_operation : public getter {
 public:
  using item_type = typename Queue::value_type;
  take_operation(Queue& from, on_cancel mode, std::source_location where)
      : getter(from, where, mode) {}
  ~take_operation() {
    if (state_ != wait_state::idle) leave();
  }
  [[gnu::always_inline]] ticket<item_type> await_resume() {
    if (state_ == wait_state::granted && !core_.aborted_) {
      state_ = wait_state::idle;
      --core_.granted_;
    } else if (state_ != wait_state::idle) {
      return resume_after_wait();
    }
    return static_cast<Queue&>(core_).hand_out(where_);
  }

 private:
  // By itself, so that the short way above has nothing to save and restore.
  [[gnu::noinline]] ticket<item_type> resume_after_wait() {
    const take_end end = finish_wait();
    if (end != take_end::item) return ticket<item_type>(no_item_after(end));
    return static_cast<Queue&>(core_).hand_out(where_);
  }
  [[nodiscard]] no_item no_item_after(take_end end) const {
    if (end == take_end::closed) return no_item::closed;
    if (mode_ == on_cancel::raise) throw_cancelled();
    return no_item::cancelled;
  }
};

template <class Queue>
class [[nodiscard]] get_operation final : public getter {
 public:
  get_operation(Queue& from, std::source_location where) : getter(from, where) {}
  ~get_operation() { leave(); }
  typename Queue::value_type await_resume() {
    if (state_ != wait_state::idle) {
      const take_end end = finish_wait();
      if (end == take_end::cancelled) throw_cancelled();
      if (end == take_end::closed) throw queue_closed(core_.name_);
    }
    ++core_.got_;
    return static_cast<Queue&>(core_).pop();
  }
};

template <class Queue>
class [[nodiscard]] take_batch_operation final : public gatherer {
 public:
  using item_type = typename Queue::value_type;
  take_batch_operation(Queue& from, std::size_t items_max, std::chrono::nanoseconds within,
                       on_cancel mode, std::source_location where)
      : gatherer(from, items_max, within, mode, where) {}
  ~take_batch_operation() { abandon(); }
  batch<item_type> await_resume() {
    if (state_ != wait_state::idle) {
      const take_end end = finish_wait();
      if (end == take_end::cancelled && mode_ == on_cancel::raise) throw_cancelled();
      if (end == take_end::cancelled) return batch<item_type>(no_item::cancelled);
      if (end == take_end::closed) return batch<item_type>(no_item::closed);
    }
    return static_cast<Queue&>(core_).hand_out_batch(items_max(), where_);
  }
};

/// `Held` is T for an item of its own, T& for one that stays with the caller until there is room.
template <class Queue, class Held>
class [[nodiscard]] put_operation : public putter {
 public:
  static constexpr bool owns_item = !std::is_reference_v<Held>;
  put_operation(Queue& to, Held&& item, std::source_location where)
      : putter(to, where), item_(static_cast<Held&&>(item)) {}
  ~put_operation() {
    if (state_ != wait_state::idle) abandon();
  }
  [[gnu::always_inline]] void await_resume() {
    if (state_ == wait_state::idle) {
      queue().put_plainly(std::move(item_));
    } else if (state_ == wait_state::granted && core_.plain_and_open()) {
      state_ = wait_state::idle;
      core_.use_plain_grant();
      queue().put_plainly(std::move(item_));
    } else {
      resume_after_wait();
    }
  }

 private:
  // By itself, so that the short ways above have nothing to save and restore.
  [[gnu::noinline]] void resume_after_wait() {
    if (state_ == wait_state::completed) {
      state_ = wait_state::idle;
    } else {
      finish_wait();
      queue().put_now(std::move(item_));
    }
  }
  [[nodiscard]] Queue& queue() const { return static_cast<Queue&>(core_); }
  [[nodiscard]] std::size_t weight() const noexcept override { return queue().weigh(item_); }
  [[nodiscard]] bool complete() noexcept override {
    if constexpr (owns_item && std::is_nothrow_move_constructible_v<Held>) {
      try {
        queue().put_granted(std::move(item_));
      } catch (...) {
        return false;  // no memory: it stays where it is, and its own turn will say so
      }
      state_ = wait_state::completed;
      return true;
    }
    return false;
  }
  Held item_;
};

template <class Queue>
class [[nodiscard]] reserve_operation final : public putter {
 public:
  using item_type = typename Queue::value_type;
  reserve_operation(Queue& of, std::size_t weight, std::source_location where)
      : putter(of, where), weight_(of.weighed() ? weight : 0) {}
  ~reserve_operation() { abandon(); }
  slot<item_type> await_resume() {
    if (state_ != wait_state::idle) finish_wait();
    // Who drops when it is full drops at the commit, and holds no room until then.
    const bool holds_room = !core_.drops();
    if (holds_room) {
      core_.refuse_unless_fits(weight_);
      core_.reserve(weight_);
    }
    return slot<item_type>(static_cast<Queue&>(core_), weight_, holds_room);
  }
  [[nodiscard]] std::string describe() const override { return core_.describe("reserve"); }

 private:
  [[nodiscard]] std::size_t weight() const noexcept override { return weight_; }
  std::size_t weight_;
};

}  // namespace detail
}  // namespace brigade
