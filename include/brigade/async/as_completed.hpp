/// as_completed: several tasks and futures, in the order they end.
///
///   auto ends = as_completed(handles, 2s);
///   while (auto next = co_await ends.next()) use(next->result());
///
/// Takes a range of task handles, of `task_ref`s or of futures, and gives each of them back once,
/// itself; one that is in it twice counts once. How it ended is for the caller to ask. The loop may
/// be left and taken up again; several tasks may take from one.
///
/// The optional timeout counts from the call and cancels nothing: once it has passed, `next` still
/// gives what has ended, and then throws `timed_out`.
///
/// Thread safety: one loop. Lifetime: outlives those who await its `next` (asserted).
#pragma once
#include <brigade/async/detail/as_completed_core.hpp>
#include <brigade/async/detail/handle_list.hpp>

#include <chrono>
#include <optional>
#include <ranges>
#include <utility>

namespace brigade {

template <class Handle>
class [[nodiscard]] as_completed_stream final : public detail::as_completed_core {
 public:
  template <class Range>
  as_completed_stream(Range&& handles, std::optional<std::chrono::nanoseconds> timeout)
      : as_completed_core(timeout), handles_(std::forward<Range>(handles)) {
    watch(handles_.targets());
  }
  ~as_completed_stream() { stop_watching(); }

  class [[nodiscard]] next_operation final : public next_wait {
   public:
    explicit next_operation(as_completed_stream& stream) : next_wait(stream), stream_(stream) {}
    std::optional<Handle> await_resume() {
      const auto index = take_index();
      if (!index) return std::nullopt;
      return stream_.handles_.all()[*index];
    }

   private:
    as_completed_stream& stream_;
  };

  /// Completes:  with the one that ended first of those not given out; empty when all were.
  ///             Throws `timed_out` when the deadline has passed and none has ended.
  /// Cancelled:  throws `cancelled`; what it was promised goes to the next who waits, or stays.
  /// Resumes:    through the loop, unless one has ended before.
  next_operation next() { return next_operation(*this); }

 private:
  detail::handle_list<Handle> handles_;
};

template <detail::handle_range Range>
auto as_completed(Range&& handles, std::optional<std::chrono::nanoseconds> timeout = std::nullopt) {
  return as_completed_stream<std::ranges::range_value_t<Range>>(std::forward<Range>(handles),
                                                                timeout);
}

}  // namespace brigade
