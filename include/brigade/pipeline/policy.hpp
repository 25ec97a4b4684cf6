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

/// What the first final failure of an item means for the others.
enum class on_error : std::uint8_t {
  isolate,    ///< dead-letter it and carry on
  fail_fast,  ///< dead-letter it, return the rest, end with exit code 4
};

struct stage_policy {
  int workers = 1;
  std::size_t queue_items_max = 64;
  retry_policy retry{};
  on_error failure = on_error::isolate;
  milliseconds attempt_timeout{0};  ///< per attempt; 0: none
  milliseconds item_deadline{0};    ///< over all attempts of an item; 0: none
};

struct sink_policy {
  retry_policy retry{};
  milliseconds attempt_timeout{0};
  std::size_t batch_items_max = 1000;
  milliseconds batch_age_max{50};  ///< how long the first item of a batch waits for company
};

struct run_policy {
  std::size_t window_items_max = 10'000;
  std::size_t window_bytes_max = std::size_t{64} << 20;
  milliseconds stop_timeout{25'000};
  milliseconds give_up_after{300'000};  ///< how long a sink may stay down; 0: for ever
  int handler_kills_max = 3;            ///< an item that killed this many handlers is poison
};

/// How long to wait before the next attempt, or nothing when the item has had its last.
/// Pure: `random` is uniform in [0, 1). A `retry_after` the far side asked for is honoured.
[[nodiscard]] std::optional<milliseconds> next_delay(const retry_policy& policy,
                                                     int attempts_completed, double random,
                                                     std::optional<milliseconds> retry_after);

}  // namespace brigade
