// What a conservation test has to get to, often, for its silence to mean something.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace brigade::sim {

enum class feature : std::uint8_t {
  put_waited,
  put_was_finished,  ///< by a taker, before the task that put went on
  put_gave_up,       ///< a put, a put_from or a reserve that ended without having put
  item_stayed,       ///< whole, with who called `put_from`, `try_put` or `commit`
  try_put_refused,
  slot_committed,
  slot_dropped,
  slot_closed,
  take_waited,
  take_gave_up,
  take_ended_by_cancel,
  ticket_done,
  ticket_failed,
  ticket_abandoned,
  given_back,
  got,
  batch_taken,
  batch_lingered,
  linger_cut_short,
  batch_split,
  dropped_oldest,
  dropped_newest,
  dropped_itself,
  came_in_its_place,
  refused,
  too_heavy_came_alone,
  equals_kept_their_order,
  select_took,
  select_put,
  select_reserved,
  select_got_an_event,
  select_forwarded,
  timed_out,
  joined,
  joined_in_time,
  join_named_holders,
  closed_with_items,
  closed_on_putters,
  aborted_with_items,
  killed,
  last_sender_gone,
  last_receiver_gone,
  send_failed,
  received,
  receiver_returned_items,
  items_destroyed,
  count_
};
inline constexpr std::size_t feature_count = static_cast<std::size_t>(feature::count_);
inline constexpr std::array<std::string_view, feature_count> feature_names = {
    "put_waited",
    "put_was_finished",
    "put_gave_up",
    "item_stayed",
    "try_put_refused",
    "slot_committed",
    "slot_dropped",
    "slot_closed",
    "take_waited",
    "take_gave_up",
    "take_ended_by_cancel",
    "ticket_done",
    "ticket_failed",
    "ticket_abandoned",
    "given_back",
    "got",
    "batch_taken",
    "batch_lingered",
    "linger_cut_short",
    "batch_split",
    "dropped_oldest",
    "dropped_newest",
    "dropped_itself",
    "came_in_its_place",
    "refused",
    "too_heavy_came_alone",
    "equals_kept_their_order",
    "select_took",
    "select_put",
    "select_reserved",
    "select_got_an_event",
    "select_forwarded",
    "timed_out",
    "joined",
    "joined_in_time",
    "join_named_holders",
    "closed_with_items",
    "closed_on_putters",
    "aborted_with_items",
    "killed",
    "last_sender_gone",
    "last_receiver_gone",
    "send_failed",
    "received",
    "receiver_returned_items",
    "items_destroyed",
};
static_assert(!feature_names.back().empty(), "a feature has no name");

using feature_counts = std::array<std::uint64_t, feature_count>;
inline constinit feature_counts features_seen{};

inline void saw(feature what) noexcept { ++features_seen[static_cast<std::size_t>(what)]; }
inline void saw_if(bool so, feature what) noexcept {
  if (so) saw(what);
}

}  // namespace brigade::sim
