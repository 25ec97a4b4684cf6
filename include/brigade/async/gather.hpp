/// gather: several tasks at a time, their results in the order of the arguments.
///
///   auto [user, orders] = co_await gather(load_user(id), load_orders(id));   // a tuple
///   std::vector<int> sizes = co_await gather(std::move(tasks));              // a range of one
///   type
///
/// It takes tasks, which it starts in the call, and handles and futures, which somebody else
/// started. The first error, or member that was cancelled, fails the whole:
///   gather(...)                  cancels the tasks it started itself, waits for their end and
///                                throws the error; what somebody else started goes on.
///   gather(keep_running, ...)    throws at once, and everything goes on (asyncio's way).
///   gather(collect_errors, ...)  never fails by a member: gives a `gathered<T>` for each.
/// Errors of the others, then and later, count as seen and are not reported.
///
/// Cancelling who awaits cancels every member, each once, and the wait lasts until all have ended;
/// then an error comes out, else `cancelled`. Once the result is there it is given, and the
/// cancellation strikes at the next wait. In a cancelled scope the tasks started here are in it.
///
/// A gather that is dropped before its end, with the frame that awaits it say, destroys the tasks
/// it started where they wait (`keep_running` leaves them to the loop).
///
/// `void` members give `std::monostate`; if all are `void`, nothing is given.
///
/// Thread safety: one loop. Resumes: through the loop, unless all have ended before.
#pragma once
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/gather_core.hpp>
#include <brigade/async/detail/own_tasks.hpp>
#include <brigade/async/error.hpp>
#include <brigade/async/future.hpp>
#include <brigade/async/gathered.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace brigade {

/// Spells that the first error leaves the others running.
struct keep_running_t {
  explicit keep_running_t() = default;
};
inline constexpr keep_running_t keep_running{};

namespace detail {

/// A task handle or a future.
template <class Handle>
concept result_handle = requires(const Handle& handle) {
  { handle.record() } -> std::convertible_to<completion&>;
  handle.result();
};
template <class Handle>
using result_type = decltype(std::declval<const Handle&>().result());

template <class Member>
concept gatherable =
    is_task<std::remove_cvref_t<Member>> || result_handle<std::remove_cvref_t<Member>>;

template <class Member>
struct handle_for {
  using type = Member;
};
template <class Member>
  requires is_task<Member>
struct handle_for<Member> {
  using type = task_handle<typename Member::value_type>;
};
template <class Member>
using handle_for_t = typename handle_for<std::remove_cvref_t<Member>>::type;

template <class T>
task_handle<T> start_member(cancel_scope* scope, task<T>&& body) {
  return start_in(scope, std::move(body));
}
template <result_handle Handle>
Handle start_member(cancel_scope*, const Handle& handle) {
  return handle;
}

/// Of a member that ended well.
template <class Handle>
auto result_or_unit(const Handle& handle) {
  if constexpr (std::is_void_v<result_type<Handle>>) {
    return std::monostate{};
  } else {
    return handle.result();
  }
}

template <class Handle>
gathered<result_type<Handle>> outcome_of(const Handle& handle) {
  using outcome = gathered<result_type<Handle>>;
  if (const auto error = handle.error()) return outcome(error, handle.cancelled());
  return outcome(result_or_unit(handle));
}

}  // namespace detail

/// Awaited once. Of the members given one by one.
template <bool Collect, class... Handles>
class [[nodiscard]] gather_operation final : public detail::gather_core {
 public:
  template <class... Members>
  explicit gather_operation(detail::gather_mode mode, Members&&... members)
      : gather_core(mode),
        handles_{detail::start_member(scope(), std::forward<Members>(members))...} {
    constexpr std::array<bool, sizeof...(Members)> own = {is_task<std::remove_cvref_t<Members>>...};
    std::apply(
        [&](const Handles&... handles) {
          [[maybe_unused]] std::size_t i = 0;
          ((add(slots_[i], handles.record(), own[i]), ++i), ...);
        },
        handles_);
    begin(slots_);
  }
  ~gather_operation() { drop_members(); }
  auto await_resume() {
    finish();
    return std::apply([](const Handles&... handles) { return results(handles...); }, handles_);
  }

 private:
  static auto results(const Handles&... handles) {
    if constexpr (Collect) {
      return std::tuple<gathered<detail::result_type<Handles>>...>{detail::outcome_of(handles)...};
    } else if constexpr (!(std::is_void_v<detail::result_type<Handles>> && ...)) {
      return std::tuple<decltype(detail::result_or_unit(handles))...>{
          detail::result_or_unit(handles)...};
    }
  }
  std::tuple<Handles...> handles_;
  std::array<detail::gather_member, sizeof...(Handles)> slots_;
};

/// Awaited once. Of a range.
template <bool Collect, class Handle>
class [[nodiscard]] gather_range_operation final : public detail::gather_core {
 public:
  template <class Range>
  explicit gather_range_operation(detail::gather_mode mode, Range&& members) : gather_core(mode) {
    using member = std::ranges::range_value_t<Range>;
    for (auto&& one : members) {
      if constexpr (is_task<member>) {
        handles_.push_back(detail::start_member(scope(), std::move(one)));
      } else {
        handles_.push_back(one);
      }
    }
    slots_ = std::make_unique<detail::gather_member[]>(handles_.size());
    for (std::size_t i = 0; i < handles_.size(); ++i) {
      add(slots_[i], handles_[i].record(), is_task<member>);
    }
    begin(std::span(slots_.get(), handles_.size()));
  }
  ~gather_range_operation() { drop_members(); }
  auto await_resume() {
    finish();
    if constexpr (Collect) {
      return each([](const Handle& handle) { return detail::outcome_of(handle); });
    } else if constexpr (!std::is_void_v<detail::result_type<Handle>>) {
      return each([](const Handle& handle) { return handle.result(); });
    }
  }

 private:
  template <class F>
  auto each(F get) const {
    std::vector<std::invoke_result_t<F, const Handle&>> results;
    results.reserve(handles_.size());
    for (const Handle& handle : handles_) results.push_back(get(handle));
    return results;
  }
  std::vector<Handle> handles_;
  std::unique_ptr<detail::gather_member[]> slots_;
};

namespace detail {

template <class Range>
concept gatherable_range =
    std::ranges::input_range<Range> && gatherable<std::ranges::range_value_t<Range>> &&
    // Tasks are moved out of it, so it has to be given up.
    (!is_task<std::ranges::range_value_t<Range>> || !std::is_lvalue_reference_v<Range>);

template <bool Collect, class... Members>
auto gather_each(gather_mode mode, Members&&... members) {
  return gather_operation<Collect, handle_for_t<Members>...>(mode,
                                                             std::forward<Members>(members)...);
}
template <bool Collect, class Range>
auto gather_range(gather_mode mode, Range&& members) {
  using handle = handle_for_t<std::ranges::range_value_t<Range>>;
  return gather_range_operation<Collect, handle>(mode, std::forward<Range>(members));
}

}  // namespace detail

/// Completes:  when all have ended, with their results; see above for errors and cancellation.
template <detail::gatherable... Members>
auto gather(Members&&... members) {
  return detail::gather_each<false>(detail::gather_mode::cancel_siblings,
                                    std::forward<Members>(members)...);
}
template <detail::gatherable... Members>
auto gather(keep_running_t, Members&&... members) {
  return detail::gather_each<false>(detail::gather_mode::keep_running,
                                    std::forward<Members>(members)...);
}
template <detail::gatherable... Members>
auto gather(collect_errors_t, Members&&... members) {
  return detail::gather_each<true>(detail::gather_mode::collect, std::forward<Members>(members)...);
}
template <detail::gatherable_range Range>
auto gather(Range&& members) {
  return detail::gather_range<false>(detail::gather_mode::cancel_siblings,
                                     std::forward<Range>(members));
}
template <detail::gatherable_range Range>
auto gather(keep_running_t, Range&& members) {
  return detail::gather_range<false>(detail::gather_mode::keep_running,
                                     std::forward<Range>(members));
}
template <detail::gatherable_range Range>
auto gather(collect_errors_t, Range&& members) {
  return detail::gather_range<true>(detail::gather_mode::collect, std::forward<Range>(members));
}

}  // namespace brigade
