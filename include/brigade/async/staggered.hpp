/// staggered_race: attempts at one thing, started one after the other, until one succeeds ("happy
/// eyeballs").
///
///   std::vector<std::function<task<connection>()>> attempts = ...;
///   auto race = co_await staggered_race(std::move(attempts), 250ms);
///   if (race.winner) use(*race.value);
///
/// The next attempt starts when the newest has failed, or has not ended within `delay` (no delay:
/// only when it has failed). The first that gives a value wins; the others are cancelled, and their
/// ends awaited. Nobody's error is thrown: they are listed, one entry for each attempt that
/// started.
///
/// Completes:  with the winner, or without one when all have failed; once all have ended.
/// Cancelled:  the attempts are cancelled, each time; `cancelled` leaves once all have ended.
/// Resumes:    through the loop.
///
/// Thread safety: one loop. Lifetime: the callables are kept until the end; captures stay valid.
#pragma once
#include <brigade/async/detail/race_core.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/task.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace brigade {

template <class T>
struct race_result {
  std::optional<std::size_t> winner;
  std::optional<std::conditional_t<std::is_void_v<T>, std::monostate, T>> value;
  /// By attempt: null for the winner; a `cancelled` for who was still at it.
  std::vector<std::exception_ptr> errors;
};

namespace detail {

template <class Attempts>
using attempt_value =
    typename std::invoke_result_t<std::ranges::range_reference_t<Attempts&>>::value_type;

}  // namespace detail

template <std::ranges::forward_range Attempts>
task<race_result<detail::attempt_value<Attempts>>> staggered_race(
    Attempts attempts, std::optional<std::chrono::nanoseconds> delay) {
  using T = detail::attempt_value<Attempts>;
  detail::race_core race;
  std::vector<task_handle<T>> runners;
  for (auto next = attempts.begin(); next != attempts.end() && !race.over();) {
    task<T> attempt = std::invoke(*next);
    runners.push_back(race.start(std::move(attempt)));
    ++next;
    if (next != attempts.end()) co_await race.until_next(delay);
  }
  co_await race.until_all_ended();
  race.finish();
  race_result<T> result;
  result.winner = race.winner();
  for (const task_handle<T>& runner : runners) result.errors.push_back(runner.error());
  if (result.winner) {
    if constexpr (std::is_void_v<T>) {
      result.value.emplace();
    } else {
      result.value.emplace(runners[*result.winner].result());
    }
  }
  co_return result;
}

}  // namespace brigade
