/// The rules a stage, a sink and a run follow: plain data, with the defaults users can rely on.
#pragma once
#include <brigade/pipeline/outcome.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace brigade {

using std::chrono::milliseconds;

/// Exponential backoff with full jitter: attempt n waits a random time up to
/// min(backoff_max, backoff_min * 2^(n-1)). Only completed attempts count.
struct retry_policy {
  int attempts_max = 5;
  milliseconds backoff_min{200};
  milliseconds backoff_max{30'000};
};

/// What the final failure of an item means for the others.
enum class on_error : std::uint8_t {
  isolate,    ///< dead-letter it and carry on
  fail_fast,  ///< dead-letter it, return the rest, end with exit code 4
  tolerate,   ///< dead-letter it and carry on, as long as the error budget lasts
};

/// How many items of a stage may fail for good: `count`, or the share `of` the last 1000 results,
/// looked at once there are 100.
struct error_budget {
  /// What is done when more have failed.
  enum class spent : std::uint8_t {
    stop,   ///< returns the rest, ends with exit code 4
    pause,  ///< lets one item through every 30 s; goes on, with a new budget, when one gets through
  };
  static constexpr std::uint64_t results_max = 1000;
  static constexpr std::uint64_t results_min = 100;

  std::uint64_t count = 0;  ///< above 0: `share` does not count
  double share = 0;         ///< 0.05: 5%
  spent then = spent::stop;
};

/// In which order a stage takes what waits for it.
enum class queue_kind : std::uint8_t {
  fifo,
  lifo,
  priority,  ///< the greatest priority first, equal ones in the order they came; what has waited
             ///< for 30 s rises: then every fourth take is of what has waited longest
};

/// What becomes of an item for which a stage's queue has no room.
enum class when_full : std::uint8_t {
  wait,         ///< it waits, and so does what is before the stage
  drop_oldest,  ///< what has waited longest is dropped for it; in a queue by priority, the least
                ///< urgent, or itself when it is less urgent than that
  drop_newest,  ///< it is dropped
};

/// So many items a time, evenly: after a rest, what comes in 50 ms may start at once (at least 1).
struct rate_limit {
  std::int64_t items = 0;  ///< 0: no limit
  std::chrono::nanoseconds per = std::chrono::seconds(1);
};

struct stage_policy {
  int workers = 1;
  int workers_max = 0;  ///< above `workers`: as many between the two as bring something
  std::size_t queue_items_max = 64;
  queue_kind queue_order = queue_kind::fifo;
  when_full queue_full = when_full::wait;
  rate_limit rate{};  ///< of attempts
  retry_policy retry{};
  on_error failure = on_error::isolate;
  error_budget budget{};            ///< with `on_error::tolerate`
  milliseconds attempt_timeout{0};  ///< per attempt; 0: none
  milliseconds item_deadline{0};    ///< over all attempts of an item; 0: none
  /// An item in work for longer (one attempt) is hung: a notice names it, and another worker takes
  /// its worker's place until it ends; so at most twice as many as `workers` are there. 0: the
  /// notice alone, after `hung_notice_default`, or twice `attempt_timeout` if that is longer.
  milliseconds hung_after{0};
  static constexpr milliseconds hung_notice_default{300'000};
  static constexpr milliseconds hung_never = milliseconds::max();
};

/// When a batch is complete: whichever comes first. It is complete, too, when nothing can come to
/// it any more: at the source's end, in a drain, and when it holds all that the window lets in.
struct batch_policy {
  std::size_t count = 0;   ///< items; 0: any number
  std::size_t bytes = 0;   ///< of their payloads; 0: any number
  milliseconds within{0};  ///< from its first item on; 0: however long it takes
};

struct sink_policy {
  retry_policy retry{};
  milliseconds attempt_timeout{0};
  std::size_t batch_items_max = 1000;
  std::size_t batch_bytes_max = 0;  ///< the item that reaches it is the last of its batch; 0: any
  milliseconds batch_age_max{50};   ///< how long the first item of a batch waits for company
  rate_limit rate{};
};

/// In which order items go through the stages into the sink.
enum class item_order : std::uint8_t {
  none,
  by_key,  ///< items of one key one after the other, as they came from the source
  source,  ///< all items
};

/// What the dead letter of an item means for those of its key that come after it.
enum class after_dead_letter : std::uint8_t {
  go_on,
  hold_key,  ///< they are dead-lettered, too, where it was
};

struct run_policy {
  std::size_t window_items_max = 10'000;
  std::size_t window_bytes_max = std::size_t{64} << 20;
  milliseconds stop_timeout{25'000};
  milliseconds give_up_after{300'000};  ///< how long a sink may stay down; 0: for ever
  int handler_kills_max = 3;            ///< an item that killed this many handlers is poison
  item_order order = item_order::none;
  after_dead_letter after_letter = after_dead_letter::go_on;
};

/// How long to wait before the next attempt, or nothing when the item has had its last.
/// Pure: `random` is uniform in [0, 1). A `retry_after` the far side asked for is honoured.
[[nodiscard]] std::optional<milliseconds> next_delay(const retry_policy& policy,
                                                     int attempts_completed, double random,
                                                     std::optional<milliseconds> retry_after);

}  // namespace brigade
