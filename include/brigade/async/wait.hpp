/// wait: until all, or the first, of several tasks and futures have ended. It judges nothing.
///
///   auto [done, pending] = co_await wait(handles, return_when::first_completed);
///
/// Takes a range of task handles, of `task_ref`s or of futures; one that is in it twice counts
/// once. It never cancels, and throws neither what they throw nor `timed_out`: when `timeout` has
/// passed it gives what there is. An empty range, and what is no `return_when`, are
/// `std::invalid_argument`.
///
/// Completes:  with those that are done when the task resumes, and the others, both in the order of
///             the range; at once when enough are done already.
/// Cancelled:  throws `cancelled`; those it waited for go on.
/// Resumes:    through the loop.
///
/// Thread safety: one loop.
#pragma once
#include <brigade/async/detail/completion.hpp>
#include <brigade/async/detail/handle_list.hpp>
#include <brigade/async/detail/wait_core.hpp>

#include <chrono>
#include <optional>
#include <ranges>
#include <utility>
#include <vector>

namespace brigade {

template <class Handle>
struct wait_result {
  std::vector<Handle> done;
  std::vector<Handle> pending;
};

/// Awaited once.
template <class Handle>
class [[nodiscard]] wait_operation final : public detail::wait_core {
 public:
  template <class Range>
  wait_operation(Range&& handles, return_when mode, std::optional<std::chrono::nanoseconds> timeout)
      : wait_core(mode, timeout), handles_(std::forward<Range>(handles)) {
    watch(handles_.targets());
  }
  ~wait_operation() { stop_watching(); }
  wait_result<Handle> await_resume() {
    finish();
    wait_result<Handle> result;
    for (Handle& handle : handles_.all()) {
      (handle.done() ? result.done : result.pending).push_back(std::move(handle));
    }
    return result;
  }

 private:
  detail::handle_list<Handle> handles_;
};

template <detail::handle_range Range>
auto wait(Range&& handles, return_when mode = return_when::all_completed,
          std::optional<std::chrono::nanoseconds> timeout = std::nullopt) {
  return wait_operation<std::ranges::range_value_t<Range>>(std::forward<Range>(handles), mode,
                                                           timeout);
}

}  // namespace brigade
