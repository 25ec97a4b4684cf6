/// Task groups: children that do not outlive the block that started them.
///
/// `co_await with_group([&](task_group& group) { group.spawn(work, 1); group.spawn(work, 2); });`
/// The body may be a plain function or a coroutine; it counts as a child, and its value is the
/// group's. A `task_group` of one's own, `co_await group.run(body)`, can be cancelled before, and
/// asked afterwards.
///
/// Errors: the first one cancels the other children and the body; when all have ended, the errors
/// come out as one `exception_group`, always a group, in the order they came. A child that ends by
/// cancellation is no error. An error of a child belongs to the group, also when its handle is
/// awaited.
/// Cancelled from outside: children and body are cancelled, their end is waited for, then
/// `cancelled` leaves. Errors win over it; what a `task.cancel()` asked for then strikes at the
/// next wait. A group with nothing to wait for is no point of cancellation.
/// Cancelled by `cancel`: the same, but nothing leaves.
///
/// What children share must outlive the group, so it stands outside the body.
///
/// Thread safety: one loop. Lifetime: a `task_group` outlives its run; what is spawned before or
/// after it is a misuse (asserted).
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/detail/waiter.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/ready_signal.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace brigade {

/// `spawn` found as many children running as the group's limit allows.
class group_full : public std::runtime_error {
 public:
  group_full(std::string_view group_name, std::size_t limit);
};

struct task_group_statistics {
  std::size_t running = 0;
  std::size_t waiting_for_room = 0;
  std::size_t limit = 0;
  std::uint64_t spawned = 0;
  std::uint64_t failed = 0;
  std::uint64_t cancelled = 0;
};

class task_group;

/// Runs `body` and all children it starts to their end; see above for errors and cancellation.
template <std::invocable<task_group&> Body>
[[nodiscard]] auto with_group(Body body, std::string name = "task group",
                              std::source_location where = std::source_location::current());

class task_group {
 public:
  static constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

  explicit task_group(std::string name = "task group",
                      std::source_location where = std::source_location::current());
  ~task_group();
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;

  /// Runs `body`, a callable of `task_group&`, and all children it starts, to their end; once.
  ///
  /// Completes:  with the body's value, when the body and all children have ended.
  /// Cancelled:  passed on to body and children, see above.
  /// Throws:     `exception_group`; `invalid_state` when the group was cancelled before a body that
  ///             gives a value gave it.
  template <std::invocable<task_group&> Body>
  [[nodiscard]] auto run(Body body) {
    return run_in<task_group&, Body>(*this, std::move(body));
  }

  /// Starts a child. In a group that is being cancelled the child runs to its first wait.
  /// Throws `group_full` at the limit.
  template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, eager_t>)
  auto spawn(F&& function, Args&&... args) {
    refuse_when_full();
    return adopt({}, false, std::forward<F>(function), std::forward<Args>(args)...);
  }
  /// The same; it runs up to its first wait inside the call.
  template <class F, class... Args>
  auto spawn(eager_t, F&& function, Args&&... args) {
    refuse_when_full();
    return adopt({}, true, std::forward<F>(function), std::forward<Args>(args)...);
  }
  /// The same with a name, for reports.
  template <class F, class... Args>
    requires(!std::same_as<std::remove_cvref_t<F>, eager_t>)
  auto spawn_named(std::string name, F&& function, Args&&... args) {
    refuse_when_full();
    return adopt(name, false, std::forward<F>(function), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
  auto spawn_named(std::string name, eager_t, F&& function, Args&&... args) {
    refuse_when_full();
    return adopt(name, true, std::forward<F>(function), std::forward<Args>(args)...);
  }

  /// Starts a child as soon as fewer than the limit run; those who wait are served in the order
  /// they came, and nobody overtakes them.
  ///
  /// Completes:  with the child's handle, once it is started.
  /// Cancelled:  throws `cancelled`, nothing was started; room already granted goes to the next.
  template <class F, class... Args>
  auto spawn_when_room(F&& function, Args&&... args) {
    return spawn_operation<std::decay_t<F>, std::decay_t<Args>...>(
        *this, where_, std::forward<F>(function), std::forward<Args>(args)...);
  }

  /// Starts a child and waits until it says that it is ready. The child gets a `ready_signal<T>`
  /// before the other arguments: `task<> serve(ready_signal<int> ready, int port)`. Waits for room
  /// first. `T` has to be spelled, `start<int>(f)`, when `f` is overloaded or generic.
  ///
  /// Completes:  with the value given to `ready.set`; the child goes on in the group.
  /// Cancelled:  the child is cancelled and its end waited for, then throws `cancelled`.
  /// Throws:     what a child threw that failed before it was ready, which is then no error of the
  ///             group; `never_ready` when it ended without an error.
  template <class T = detail::deduced_t, class F, class... Args>
  [[nodiscard]] auto start(F&& function, Args&&... args) {
    using value = typename detail::ready_value<T, F>::type;
    return start_child<value, std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(function),
                                                                      std::forward<Args>(args)...);
  }

  /// How many may run at once, at least 1 (asserted); the body is not counted. What runs already is
  /// left alone.
  void set_limit(std::size_t running_max);
  /// Whether `spawn` would go through: below the limit, and nobody waits for room.
  [[nodiscard]] bool has_room() const {
    return alive_ + reserved_ < limit_ && room_waiters_.empty();
  }

  /// Ends the group early, without an error: children and body are cancelled. Idempotent; before
  /// the run it strikes at its beginning, after it does nothing.
  void cancel(std::string_view reason = "group cancelled");
  /// Cancelled by hand or by an error.
  [[nodiscard]] bool cancel_called() const { return cancelled_; }
  /// How many children run.
  [[nodiscard]] std::size_t size() const { return alive_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] task_group_statistics statistics() const;

 private:
  template <std::invocable<task_group&> Body>
  friend auto with_group(Body body, std::string name, std::source_location where);
  friend class detail::task_state;

  enum class phase : std::uint8_t { created, running, ended };

  /// What a group is while it runs: a local of the coroutine that is the run.
  class entry {
   public:
    explicit entry(task_group& of);
    ~entry();
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;

   private:
    friend class task_group;
    void destroy_children() noexcept;
    task_group& of_;
    cancel_scope scope_;
  };

  /// A wait that cancellation does not end: it is passed on to those who are waited for.
  class patient_wait : public detail::waiter {
   public:
    explicit patient_wait(std::source_location where) : waiter(where) {}
    void await_suspend(std::coroutine_handle<> handle) noexcept;
    bool cancel() noexcept final;

   protected:
    ~patient_wait() { leave(); }
    virtual void pass_on(std::string_view reason) noexcept = 0;
    bool asked_ = false;    ///< cancellation came while it waited
    bool request_ = false;  ///< it was a one-shot request, which this wait has used up
    bool look_for_circle_ = true;
  };

  class all_ended final : public patient_wait {
   public:
    explicit all_ended(task_group& group) : patient_wait(group.where_), group_(group) {
      group.waiter_ = this;
    }
    ~all_ended() { group_.waiter_ = nullptr; }
    [[nodiscard]] bool await_ready() const noexcept { return group_.at_rest(); }
    void await_suspend(std::coroutine_handle<> handle) noexcept;
    void await_resume() noexcept { state_ = detail::wait_state::idle; }
    [[nodiscard]] std::string describe() const override;
    void add_blockers(std::vector<const detail::task_state*>& blockers) const override;

   private:
    void pass_on(std::string_view reason) noexcept override;
    task_group& group_;
  };

  /// A starter's, from before its child begins.
  class ready_wait final : public patient_wait {
   public:
    ready_wait(std::shared_ptr<detail::ready_core> core, std::source_location where)
        : patient_wait(where), core_(std::move(core)) {}
    ~ready_wait();
    void set_child(const task_handle<>& child) { child_ = child; }
    [[nodiscard]] bool await_ready() const noexcept { return core_->settled(); }
    void await_suspend(std::coroutine_handle<> handle) noexcept {
      core_->starter_ = this;
      patient_wait::await_suspend(handle);
    }
    void await_resume();
    [[nodiscard]] std::string describe() const override;
    void add_blockers(std::vector<const detail::task_state*>& blockers) const override;

   private:
    void pass_on(std::string_view reason) noexcept override;
    std::shared_ptr<detail::ready_core> core_;
    std::optional<task_handle<>> child_;
  };

  class room_wait : public detail::waiter {
   public:
    room_wait(task_group& group, std::source_location where) : waiter(where), group_(group) {}
    [[nodiscard]] bool await_ready() const noexcept {
      return group_.has_room() && loop::current().spend();
    }
    void await_suspend(std::coroutine_handle<> handle) noexcept;
    [[nodiscard]] std::string describe() const override;

   protected:
    ~room_wait() { leave(); }
    /// Throws when the wait was cancelled; otherwise the room is the caller's to use at once.
    void enter();
    task_group& group_;

   private:
    void revoke() noexcept override;
  };

  template <class F, class... Args>
  class [[nodiscard]] spawn_operation final : public room_wait {
   public:
    template <class... Given>
    spawn_operation(task_group& group, std::source_location where, Given&&... given)
        : room_wait(group, where), call_(std::forward<Given>(given)...) {}
    auto await_resume() {
      enter();
      return std::apply(
          [this](auto&... call) { return group_.adopt({}, false, std::move(call)...); }, call_);
    }

   private:
    std::tuple<F, Args...> call_;
  };

  struct settings {
    settings(std::string called, std::source_location at) : name(std::move(called)), where(at) {}
    std::string name;
    std::source_location where;
  };
  explicit task_group(const settings& given) : task_group(given.name, given.where) {}

  /// The value of a body: what its task gives, or what it returns itself.
  template <class Result>
  struct body_value {
    using type = std::remove_cvref_t<Result>;
  };
  template <class T>
  struct body_value<task<T>> {
    using type = T;
  };
  template <class Body>
  using value_of = typename body_value<std::invoke_result_t<Body&, task_group&>>::type;

  template <class Given, class Body>
  static task<value_of<Body>> run_in(Given given, Body body);
  template <class T, class F, class... Args>
  task<T> start_child(F function, Args... args);
  template <class F, class... Args>
  auto adopt(std::string_view name, bool eagerly, F&& function, Args&&... args) {
    assert_running();
    return detail::spawn_call(
        owner_->owner(), &entry_->scope_, [this](detail::task_state& child) { take_in(child); },
        name, eagerly, std::forward<F>(function), std::forward<Args>(args)...);
  }
  void assert_running() const;
  void refuse_when_full() const {
    if (!has_room()) throw group_full(name_, limit_);
  }
  void take_in(detail::task_state& child);
  void child_ended(detail::task_state& child) noexcept;
  void cancel_now(std::string_view reason);
  void body_ended(std::exception_ptr error);
  [[nodiscard]] bool at_rest() const { return alive_ == 0 && reserved_ == 0; }
  void room_changed() noexcept;
  all_ended wait_for_all() { return all_ended(*this); }
  void finish();
  [[noreturn]] void throw_without_value() const;

  std::string name_;
  std::source_location where_;
  entry* entry_ = nullptr;
  detail::task_state* owner_ = nullptr;
  all_ended* waiter_ = nullptr;
  detail::link_list room_waiters_;
  std::size_t alive_ = 0;
  std::size_t reserved_ = 0;  ///< room granted to those who have not resumed yet
  std::size_t limit_ = no_limit;
  std::uint64_t spawned_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t ended_cancelled_ = 0;
  std::vector<std::exception_ptr> errors_;
  std::exception_ptr body_cancelled_;
  std::string reason_;
  phase phase_ = phase::created;
  bool cancelled_ = false;
  bool struck_ = false;           ///< cancellation came while it waited
  bool cancelled_alone_ = false;  ///< the body was, and the group was not
  bool outer_request_ = false;    ///< a one-shot request arrived while it waited
};

template <class Given, class Body>
task<task_group::value_of<Body>> task_group::run_in(Given given, Body body) {
  using started = std::invoke_result_t<Body&, task_group&>;
  using value = value_of<Body>;
  constexpr bool gives_value = !std::is_void_v<value>;
  constexpr bool own = std::is_reference_v<Given>;
  std::conditional_t<own, task_group&, task_group> group(given);
  std::optional<std::conditional_t<is_task<started>, started, bool>> inside;
  std::optional<std::conditional_t<gives_value, value, bool>> result;
  std::exception_ptr failed;
  entry open(group);  // after the body's frame, so that a destroyed frame ends the children first
  try {
    if constexpr (is_task<started>) {
      inside.emplace(std::invoke(body, group));
      if constexpr (gives_value) {
        auto given_value = co_await std::move(*inside);
        result.emplace(std::move(given_value));
      } else {
        co_await std::move(*inside);
      }
    } else if constexpr (gives_value) {
      result.emplace(std::invoke(body, group));
    } else {
      std::invoke(body, group);
    }
  } catch (...) {
    failed = std::current_exception();
  }
  inside.reset();
  group.body_ended(failed);
  // Again when somebody started another child between the last one's end and this task's turn.
  while (!group.at_rest()) co_await group.wait_for_all();
  group.finish();
  if constexpr (gives_value) {
    if (!result) group.throw_without_value();
    co_return std::move(*result);
  }
}

template <class T, class F, class... Args>
task<T> task_group::start_child(F function, Args... args) {
  auto core = std::make_shared<detail::ready_state<T>>();
  ready_wait wait(core, where_);
  const auto root = &detail::run_until_ready<T, F, Args...>;
  auto when_room = spawn_when_room(root, core, std::move(function), std::move(args)...);
  auto child = co_await when_room;
  wait.set_child(child);
  co_await wait;
  if constexpr (!std::is_void_v<T>) co_return std::move(*core->value);
}

template <std::invocable<task_group&> Body>
auto with_group(Body body, std::string name, std::source_location where) {
  return task_group::run_in<task_group::settings, Body>(
      task_group::settings(std::move(name), where), std::move(body));
}

}  // namespace brigade
