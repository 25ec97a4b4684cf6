/// What ends once - a task, a future - and who wants to hear of it.
///
/// Two kinds listen. Joiners are waiters of this one end: they are woken. Watchers belong to a wait
/// for several ends and decide for themselves whether that wait is over.
#pragma once
#include <brigade/async/detail/waiter.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace brigade {
class loop;
}

namespace brigade::detail {

class task_state;

class end_watcher : public runnable {
 public:
  end_watcher(const end_watcher&) = delete;
  end_watcher& operator=(const end_watcher&) = delete;
  /// Called once, inside the call that brought the end about, with the watcher in no list. It may
  /// wake waiters and cancel others.
  virtual void target_ended() noexcept = 0;

 protected:
  end_watcher() { task_ = nullptr; }  // which tells it from a joiner
  ~end_watcher() {
    if (linked()) unlink();
  }
};

class completion {
 public:
  completion() : listeners_() {}
  completion(const completion&) = delete;
  completion& operator=(const completion&) = delete;

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] bool ended_cancelled() const { return ended_cancelled_; }
  [[nodiscard]] bool failed() const { return done_ && error_ != nullptr; }
  /// Null while it goes on and when it ended well; reading it counts as having seen it.
  [[nodiscard]] std::exception_ptr see_error() noexcept {
    error_seen_ = true;
    return done_ ? error_ : nullptr;
  }
  /// Whatever error it ends with is not reported.
  void expect_error() noexcept { error_seen_ = true; }
  /// Of something done: null, its error, or a `cancelled`; it counts as seen.
  [[nodiscard]] std::exception_ptr see_outcome() noexcept;

  /// False: it is done already.
  virtual bool cancel(std::string_view reason) = 0;
  [[nodiscard]] virtual std::string cancel_reason() const = 0;
  /// For people: "task 'main'".
  [[nodiscard]] virtual std::string describe() const = 0;
  [[nodiscard]] virtual const task_state* as_task() const noexcept { return nullptr; }
  [[nodiscard]] virtual bool belongs_to(const loop& here) const = 0;
  /// Throws `invalid_state` when the running task would wait for it for ever: for itself, or for
  /// what another thread ends.
  void require_awaitable() const;
  /// Not for what is done.
  void watch(end_watcher& who) noexcept { listeners_.push_back(&who); }

  void retain() noexcept { ++references_; }
  void release() noexcept {
    if (--references_ == 0) delete this;
  }

 protected:
  virtual ~completion();
  /// Makes it done, and whoever listens the caller's to tell.
  void settle(std::exception_ptr error, link_list& listeners) noexcept {
    listeners.append(listeners_);
    std::construct_at(&error_, std::move(error));
    done_ = true;
  }
  /// The joiners first.
  static void tell_end(link_list& listeners) noexcept {
    if (!listeners.empty()) tell_all(listeners);
  }
  [[nodiscard]] std::size_t joiners() const;

  union {
    link_list listeners_;       ///< while it is not done: joiners and watchers as they came
    std::exception_ptr error_;  ///< from then on; null when it has none
  };
  bool done_ = false;
  bool ended_cancelled_ = false;
  bool error_seen_ = false;
  std::uint32_t references_ = 1;

 private:
  static void tell_all(link_list& listeners) noexcept;
};

}  // namespace brigade::detail
