/// future<T> and promise<T>: one value that somebody will set, awaited by any number of tasks.
///
///   promise<int> answer("answer");
///   spawn(asks, answer.get_future());
///   answer.set_value(42);
///
/// It ends once: by a value, by an error, or cancelled; a promise dropped before that ends it by
/// `broken_promise`. A second end, and reading one that is pending, throw `invalid_state`.
/// An error that nobody has read when the last future goes is reported (`loop::on_unhandled`).
///
/// `co_await future` treats it as a call: cancelling who awaits cancels the future, for all who
/// await it (as in asyncio). `co_await future.wait()` only waits: cancelled, the wait ends and the
/// future stays pending. Awaiting one that is done does not suspend; otherwise the task resumes
/// through the loop, never inside `set_value`.
///
/// Thread safety: one loop's thread; `make_thread_future` gives a promise for another thread.
/// Lifetime: counted. It may outlive its loop; then nothing calls back and nothing is reported.
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/detail/future_state.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace brigade {

/// Nobody is left who could set the value.
class broken_promise : public std::runtime_error {
 public:
  explicit broken_promise(std::string_view future_name);
};

/// What a future calls when it is done. Copies are the same callback: one removes the other.
class done_callback {
 public:
  template <class F>
    requires(std::invocable<F&> && !std::same_as<std::remove_cvref_t<F>, done_callback>)
  done_callback(F&& work)  // NOLINT(google-explicit-constructor): a lambda will do
      : work_(std::make_shared<const std::function<void()>>(std::forward<F>(work))) {}

 private:
  template <class T>
  friend class future;
  detail::callback work_;
};

struct future_statistics {
  std::size_t waiting = 0;    ///< tasks that await it
  std::size_t callbacks = 0;  ///< to be called when it is done
  bool done = false;
};

namespace detail {

template <class T>
class future_value final : public future_state {
 public:
  using future_state::future_state;
  template <class... Value>
  void set(Value&&... value) {
    require_pending();
    value_.emplace(std::forward<Value>(value)...);
    end(nullptr);
  }
  /// Copied where that can be, else moved out, once. Only of one that ended well.
  T result() {
    if constexpr (std::is_void_v<T>) {
      return;
    } else {
      if (!value_) throw invalid_state("the value of " + describe() + " was moved out before");
      if constexpr (std::copy_constructible<T>) return *value_;
      T result = std::move(*value_);
      value_.reset();
      return result;
    }
  }

 private:
  std::optional<std::conditional_t<std::is_void_v<T>, std::monostate, T>> value_;
};

}  // namespace detail

/// Refers to a value to come. Copyable; a value that can be copied is copied for each who asks, one
/// that cannot is moved out, once.
template <class T = void>
class future {
 public:
  explicit future(detail::future_value<T>& state) : state_(&state) { state_->retain(); }
  future(const future& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->retain();
  }
  future(future&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  future& operator=(future other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~future() {
    if (state_ != nullptr) state_->release();
  }
  friend bool operator==(const future& a, const future& b) { return a.state_ == b.state_; }

  /// Ends it, for all who await it; false when it is done already.
  bool cancel(std::string_view reason = "cancelled") { return state_->cancel(reason); }
  [[nodiscard]] bool done() const { return state_->done(); }
  [[nodiscard]] bool cancelled() const { return state_->ended_cancelled(); }
  /// The value, or throws the error or `cancelled`; `invalid_state` while it is pending.
  [[nodiscard]] T result() const {
    state_->require_done();
    if (const auto outcome = state_->see_outcome()) std::rethrow_exception(outcome);
    return state_->result();
  }
  /// The error it ended by; null when there is none, a `cancelled` when it was cancelled. Throws
  /// `invalid_state` while it is pending.
  [[nodiscard]] std::exception_ptr error() const {
    state_->require_done();
    return state_->see_outcome();
  }

  /// Completes:  with the value; throws the error it ended by, or `cancelled`.
  /// Cancelled:  cancels the future, and throws `cancelled`.
  auto operator co_await() const { return awaiter(*state_, detail::on_waiter_cancel::pass_on); }
  /// Cancelled:  throws `cancelled`; the future stays pending.
  auto wait() const { return awaiter(*state_, detail::on_waiter_cancel::leave); }

  /// Calls `callback` on a later turn of the loop once it is done, in the order they were added; on
  /// a later turn, too, when it is done already. What it throws goes to `loop::on_unhandled`.
  void add_done_callback(done_callback callback) {
    state_->add_callback(std::move(callback.work_));
  }
  /// How many were there and will not be called; none of one that is done.
  std::size_t remove_done_callback(const done_callback& callback) {
    return state_->remove_callback(callback.work_);
  }

  [[nodiscard]] const std::string& name() const { return state_->name(); }
  [[nodiscard]] future_statistics statistics() const {
    return future_statistics{state_->waiting(), state_->callback_count(), state_->done()};
  }
  [[nodiscard]] detail::future_state& record() const { return *state_; }

 private:
  class awaiter {
   public:
    awaiter(detail::future_value<T>& state, detail::on_waiter_cancel mode)
        : state_(state), waiter_(state, mode) {}
    [[nodiscard]] bool await_ready() const noexcept { return waiter_.await_ready(); }
    /// The default argument is the line of the `co_await`.
    void await_suspend(std::coroutine_handle<> handle,
                       std::source_location where = std::source_location::current()) noexcept {
      waiter_.await_suspend(handle, where);
    }
    T await_resume() {
      waiter_.await_resume();
      return state_.result();
    }

   private:
    detail::future_value<T>& state_;
    detail::future_waiter waiter_;
  };
  detail::future_value<T>* state_;
};

/// Whoever has it sets the value. Movable, not copyable.
template <class T = void>
class promise {
 public:
  /// Of the loop that runs; the name is for people.
  explicit promise(std::string name = "future") : promise(loop::current(), std::move(name)) {}
  explicit promise(loop& owner, std::string name = "future")
      : state_(new detail::future_value<T>(owner, std::move(name))) {}
  promise(promise&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  promise& operator=(promise other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~promise() {
    if (state_ == nullptr) return;
    if (state_->shared()) state_->promise_dropped();  // nobody misses what nobody holds
    state_->release();
  }

  [[nodiscard]] future<T> get_future() const { return future<T>(state()); }
  /// True once it has its value or error, or was cancelled by whoever awaited it.
  [[nodiscard]] bool done() const { return state().done(); }
  [[nodiscard]] bool cancelled() const { return state().ended_cancelled(); }

  /// Wakes all who wait. Throws `invalid_state` when the future is done, cancelled included.
  template <class U = T>
    requires(!std::is_void_v<T> && std::constructible_from<T, U &&>)
  void set_value(U&& value) {
    state().set(std::forward<U>(value));
  }
  void set_value()
    requires std::is_void_v<T>
  {
    state().set();
  }
  /// The same; false, and nothing happens, when the future is done.
  template <class... U>
  bool try_set_value(U&&... value) {
    if (done()) return false;
    set_value(std::forward<U>(value)...);
    return true;
  }
  /// Ends it by `error` (not null). Throws `invalid_state` when the future is done.
  void set_error(std::exception_ptr error) { state().fail(std::move(error)); }
  bool try_set_error(std::exception_ptr error) {
    if (done()) return false;
    set_error(std::move(error));
    return true;
  }
  /// False when it is done already.
  bool cancel(std::string_view reason = "cancelled") { return state().cancel(reason); }

 private:
  [[nodiscard]] detail::future_value<T>& state() const {
    BRIGADE_ASSERT(state_ != nullptr, "a promise was used after it was moved from");
    return *state_;
  }
  detail::future_value<T>* state_;
};

/// A promise for another thread. Movable; one thread at a time. It holds nothing of the loop's: it
/// may outlive loop and future, and is then set in vain.
template <class T = void>
class thread_promise {
 public:
  thread_promise(std::shared_ptr<detail::thread_link> link, std::shared_ptr<detail::mailbox> to)
      : link_(std::move(link)), to_(std::move(to)), stop_(link_->stop.get_token()) {}
  thread_promise(thread_promise&&) noexcept = default;
  thread_promise& operator=(thread_promise&& other) noexcept {
    drop();
    link_ = std::move(other.link_);
    to_ = std::move(other.to_);
    stop_ = std::move(other.stop_);
    return *this;
  }
  ~thread_promise() { drop(); }

  /// Reaches the future on its loop's thread, soon; a future that is done by then, cancelled say,
  /// keeps its outcome. Throws `invalid_state` the second time.
  template <class U = T>
    requires(!std::is_void_v<T> && std::constructible_from<T, U &&>)
  void set_value(U&& value) {
    // Shared since a function is copyable and the value need not be.
    auto carried = std::make_shared<T>(std::forward<U>(value));
    deliver([carried](future_value& target) { target.set(std::move(*carried)); });
  }
  void set_value()
    requires std::is_void_v<T>
  {
    deliver([](future_value& target) { target.set(); });
  }
  void set_error(std::exception_ptr error) {
    deliver([error](future_value& target) { target.fail(error); });
  }
  /// Stop is requested when the future is cancelled.
  [[nodiscard]] std::stop_token stop_token() const { return stop_; }

 private:
  using future_value = detail::future_value<T>;
  template <class Act>
  void deliver(Act act) {
    if (!link_) throw invalid_state("the promise of a thread was settled before");
    to_->post([link = std::move(link_), act] {
      if (link->target != nullptr) act(static_cast<future_value&>(*link->target));
    });
    link_.reset();
  }
  void drop() noexcept {
    if (!link_) return;
    to_->post([link = std::move(link_)] {
      if (link->target != nullptr) link->target->promise_dropped();
    });
    link_.reset();
  }
  std::shared_ptr<detail::thread_link> link_;
  std::shared_ptr<detail::mailbox> to_;
  std::stop_token stop_;
};

/// A future of the running loop, and the promise to hand to a thread. Until it is set, the loop
/// counts on that thread: waiting for it is no deadlock.
template <class T = void>
std::pair<thread_promise<T>, future<T>> make_thread_future(std::string name = "future") {
  loop& here = loop::current();
  auto* state = new detail::future_value<T>(here, std::move(name));
  future<T> result(*state);
  state->release();
  return {thread_promise<T>(state->lend_to_thread(), here.mailbox()), std::move(result)};
}

}  // namespace brigade
