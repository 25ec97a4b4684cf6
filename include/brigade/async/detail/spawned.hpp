/// The record of a spawned task with its result, and with the callable it was spawned from.
#pragma once
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/task.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace brigade::detail {

template <class T>
struct result_of_task {
  std::optional<T> value_;
};
template <>
struct result_of_task<void> {};

template <class T>
class spawned : public task_state, private result_of_task<T> {
 public:
  spawned(loop& owner, cancel_scope* outer, std::string_view name)
      : task_state(owner, outer, name) {}
  ~spawned() override { spawned::destroy_frame(); }

  void run(task<T> body, bool eagerly) {
    const auto frame = body.release();
    frame.promise().tell_end_to(*this);
    start(frame, eagerly);
  }
  /// Copied where that can be, else moved out, once. Only of a task that ended well.
  T result() {
    if constexpr (std::is_void_v<T>) {
      return;
    } else {
      std::optional<T>& value = this->value_;
      if (!value) throw invalid_state("the result of task '" + name() + "' was moved out before");
      if constexpr (std::copy_constructible<T>) return *value;
      T result = std::move(*value);
      value.reset();
      return result;
    }
  }
  void destroy_frame() noexcept override {
    const task<T> gone(typed(std::exchange(frame_, nullptr)));
  }

 private:
  using handle = typename task<T>::handle;
  static handle typed(std::coroutine_handle<> frame) {
    return handle::from_address(frame.address());
  }
  std::exception_ptr collect() noexcept override {
    if (!frame_) return std::make_exception_ptr(cancelled("its frame was destroyed"));
    promise<T>& ended = typed(frame_).promise();
    if constexpr (!std::is_void_v<T>) {
      try {
        if (ended.value) this->value_.emplace(std::move(*ended.value));
      } catch (...) {
        return std::current_exception();  // of the result's move
      }
    }
    return std::move(ended.error);
  }
};

/// Keeps callable and arguments as long as the frame that may refer to them.
template <class T, class F, class... Args>
class spawned_call final : public spawned<T> {
 public:
  template <class... Given>
  spawned_call(loop& owner, cancel_scope* outer, std::string_view name, Given&&... given)
      : spawned<T>(owner, outer, name), call_(std::in_place, std::forward<Given>(given)...) {}
  // The frame goes first, here too.
  ~spawned_call() override { spawned_call::destroy_frame(); }

  task<T> call() {
    return std::apply(
        [](F& function, Args&... args) {  // coroutine_lint: this closure is no coroutine's
          return std::invoke(function, static_cast<std::unwrap_reference_t<Args>&&>(args)...);
        },
        *call_);
  }
  void destroy_frame() noexcept override {
    spawned<T>::destroy_frame();
    call_.reset();
  }

 private:
  std::optional<std::tuple<F, Args...>> call_;
};

template <class... Args>
struct given {};
/// Whether nothing of a call is referred to once it has returned: the parameters are values, which
/// are in the coroutine's frame, or refer to what `std::ref` named.
template <class Function, class Given>
inline constexpr bool keeps_itself = false;
template <class R, class... Params, class... Args>
  requires(sizeof...(Params) == sizeof...(Args))
inline constexpr bool keeps_itself<R (*)(Params...), given<Args...>> =
    ((!std::is_reference_v<Params> || !std::same_as<std::unwrap_reference_t<Args>, Args>) && ...);
template <class R, class... Params, class... Args>
inline constexpr bool keeps_itself<R (*)(Params...) noexcept, given<Args...>> =
    keeps_itself<R (*)(Params...), given<Args...>>;

template <class Arg>
decltype(auto) unwrapped(Arg&& argument) {
  if constexpr (std::same_as<std::unwrap_ref_decay_t<Arg>, std::decay_t<Arg>>) {
    return std::forward<Arg>(argument);
  } else {
    return argument.get();
  }
}

template <class F, class... Args>
using spawn_result = std::invoke_result_t<F&, std::unwrap_reference_t<Args>&&...>;

template <class T>
auto handle_of(spawned<T>& record);

/// Starts f(args...) as a task of `owner` under `outer` (null: the loop's) and gives its handle.
/// `prepare`, where there is one, sees the record before its first step.
template <class Prepare, class F, class... Args>
auto spawn_call(loop& owner, cancel_scope* outer, Prepare prepare, std::string_view name,
                bool eagerly, F&& function, Args&&... args) {
  using result = spawn_result<std::decay_t<F>, std::decay_t<Args>...>;
  static_assert(is_task<result>, "spawn takes a coroutine: a callable that returns task<T>");
  using T = typename result::value_type;
  const auto begin = [&](spawned<T>* record, auto&& call) {
    auto handle = handle_of<T>(*record);
    record->release();
    task<T> body = call();
    if constexpr (!std::same_as<Prepare, std::nullptr_t>) prepare(*record);
    record->run(std::move(body), eagerly);
    return handle;
  };
  if constexpr (keeps_itself<std::decay_t<F>, given<std::decay_t<Args>...>>) {
    return begin(new spawned<T>(owner, outer, name),
                 [&] { return function(unwrapped(std::forward<Args>(args))...); });
  } else {
    auto* record = new spawned_call<T, std::decay_t<F>, std::decay_t<Args>...>(
        owner, outer, name, std::forward<F>(function), std::forward<Args>(args)...);
    return begin(record, [record] { return record->call(); });
  }
}

}  // namespace brigade::detail
