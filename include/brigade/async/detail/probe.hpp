/// What the simulator looks at and what it takes away. Nothing here changes what a program does.
///
/// Coverage says that a rare situation really came up, so that a simulation which never gets there
/// fails. A guard is a rule that keeps items from being lost; the simulator removes one at a time
/// and must then find the loss. All guards stand unless a test says otherwise.
///
/// Thread safety: counters are the thread's own; guards are removed before the first loop runs.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace brigade::detail::probe {

enum class coverage : std::uint8_t {
  grant_revoked,              ///< a getter lost an item it was promised
  put_cancelled_after_grant,  ///< a putter gave up room it was promised
  abort_with_grant_out,       ///< items were returned while one of them was promised
  join_raced_by_put,          ///< a join was woken, and before it ran there was work again
  stop_during_retry,          ///< a drain or a stop found items waiting for their next attempt
  child_died,                 ///< an attempt ended its handler
  turn_given_back,            ///< a task that was handed a lock or a permit was cancelled
  notify_passed_on,           ///< a task that was notified was cancelled
};
inline constexpr std::array<std::string_view, 8> coverage_names = {
    "grant_revoked",     "put_cancelled_after_grant", "abort_with_grant_out",
    "join_raced_by_put", "stop_during_retry",         "child_died",
    "turn_given_back",   "notify_passed_on"};

/// How often each was passed, on this thread.
inline constinit thread_local std::array<std::uint64_t, coverage_names.size()> coverage_counts{};

/// For rare paths only.
inline void passed(coverage point) noexcept { ++coverage_counts[static_cast<std::size_t>(point)]; }

enum class guard : std::uint8_t {
  none,
  grant_pass_on,             ///< an item grant that is taken back goes to the next getter
  slot_pass_on,              ///< a room grant that is taken back goes to the next putter
  acknowledge_after_ledger,  ///< the source hears of an outcome once it is durable
  watermark_hole,            ///< the mark stops at what is unfinished
  settle_once,               ///< a ticket that was settled is not settled again when it goes
  turn_pass_on,              ///< a lock or permit that is given back goes to the next waiter
  notify_pass_on,            ///< a notification that is given back goes to the next waiter
};
inline constexpr std::array<std::string_view, 8> guard_names = {
    "none",           "grant_pass_on", "slot_pass_on", "acknowledge_after_ledger",
    "watermark_hole", "settle_once",   "turn_pass_on", "notify_pass_on"};

inline constinit guard removed = guard::none;

[[nodiscard]] inline bool stands(guard which) noexcept { return removed != which; }

}  // namespace brigade::detail::probe
