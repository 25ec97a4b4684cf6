/// What a child started with `task_group::start` says "ready" with.
///
/// `task<> serve(ready_signal<int> ready, int port) { ...; ready.set(actual_port); ... }`, and in
/// the group `const int port = co_await group.start(serve, 0);`. The starter resumes through the
/// loop, with the value. When the starter is gone, nobody hears it, and that is no error.
///
/// Thread safety: one loop. Lifetime: copyable, its copies speak for the same start.
#pragma once
#include <brigade/async/assert.hpp>
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace brigade {

class task_group;

/// A child of `task_group::start` ended without an error before it said that it is ready.
class never_ready : public std::runtime_error {
 public:
  explicit never_ready(std::string_view task_name);
};

namespace detail {

/// Between a starter and its child.
class ready_core {
 public:
  /// Wakes the starter; asserts that it is the first time.
  void announce();
  /// For the child's last moment: true when `error` is the starter's to throw.
  bool take_over(std::exception_ptr error) noexcept;
  void child_gone() noexcept;
  /// The starter was cancelled: now it waits for the child's end.
  void cancel_child(std::string_view reason);
  void child_began(cancel_scope& scope);

  [[nodiscard]] bool ready() const { return ready_; }
  void wake_if_settled() noexcept;
  [[nodiscard]] bool settled() const { return (ready_ && !child_needed_) || gone_; }

 private:
  friend class brigade::task_group;
  waiter* starter_ = nullptr;  ///< suspended
  cancel_scope* child_scope_ = nullptr;
  std::string cancel_reason_;
  bool starter_present_ = true;
  bool child_needed_ = false;
  bool ready_ = false;
  bool gone_ = false;
  std::exception_ptr error_;
};

template <class T>
struct ready_state : ready_core {
  std::optional<T> value;
};
template <>
struct ready_state<void> : ready_core {};

}  // namespace detail

/// The right to say "ready", once.
template <class T = void>
class ready_signal {
 public:
  explicit ready_signal(std::shared_ptr<detail::ready_state<T>> core) : core_(std::move(core)) {}
  /// A second time is a misuse (asserted).
  void set(T value) {
    core_->value.emplace(std::move(value));  // first: it may throw
    core_->announce();
  }
  [[nodiscard]] bool is_set() const { return core_->ready(); }

 private:
  std::shared_ptr<detail::ready_state<T>> core_;
};

template <>
class ready_signal<void> {
 public:
  explicit ready_signal(std::shared_ptr<detail::ready_state<void>> core) : core_(std::move(core)) {}
  void set() { core_->announce(); }
  [[nodiscard]] bool is_set() const { return core_->ready(); }

 private:
  std::shared_ptr<detail::ready_state<void>> core_;
};

namespace detail {

/// Which `ready_signal<T>` a callable takes first.
template <class F>
struct ready_argument;
template <class R, class T, class... Args>
struct ready_argument<R(ready_signal<T>, Args...)> {
  using type = T;
};
template <class R, class... Args>
struct ready_argument<R (*)(Args...)> : ready_argument<R(Args...)> {};
template <class C, class R, class... Args>
struct ready_argument<R (C::*)(Args...)> : ready_argument<R(Args...)> {};
template <class C, class R, class... Args>
struct ready_argument<R (C::*)(Args...) const> : ready_argument<R(Args...)> {};
template <class F>
  requires std::is_class_v<F>
struct ready_argument<F> : ready_argument<decltype(&F::operator())> {};

struct deduced_t {};
template <class T, class F>
struct ready_value : std::type_identity<T> {};
template <class F>
struct ready_value<deduced_t, F> : ready_argument<std::decay_t<F>> {};

/// The root of such a child: sees to it that the starter hears of its end, however it comes.
template <class T, class F, class... Args>
task<> run_until_ready(std::shared_ptr<ready_state<T>> core, F function, Args... args) {
  cancel_scope scope;
  struct course {
    course(ready_core& of, cancel_scope& in) : core(of) { core.child_began(in); }
    ~course() { core.child_gone(); }
    ready_core& core;
  };
  const course guard(*core, scope);
  std::exception_ptr failed;
  try {
    co_await std::invoke(function, ready_signal<T>(core),
                         static_cast<std::unwrap_reference_t<Args>&&>(args)...);
  } catch (const cancelled&) {
    throw;
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed && !core->take_over(failed)) std::rethrow_exception(failed);
}

}  // namespace detail

}  // namespace brigade
