/// How a run is going, for those who watch it from outside: probes, metrics, a status page.
///
///   auto board = std::make_shared<status_board>();
///   run_observer watching;
///   watching.board = board;
///   auto ready = pipeline("orders").from(orders).stage("charge", charge).to("store", store);
///   ready.observe(watching);              // and from any thread, while it runs:
///   const run_status now = board->look();
///
/// What is in a `run_status` was true at one instant of the loop. Nothing is counted for it that a
/// run without a board would not count, but the times: those are measured while there is a board,
/// of every item where items are slow and of at least one in 64 where they are fast.
///
/// Thread safety: `status_board` from any thread; the rest is plain data.
#pragma once
#include <brigade/pipeline/outcome.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

class loop;

/// How often something took how long.
struct time_histogram {
  /// Upper bounds, in seconds; what took longer than the last is counted behind it.
  static constexpr std::array<double, 12> bounds = {0.0001, 0.001, 0.005, 0.01, 0.05, 0.1,
                                                    0.5,    1,     5,     10,   60,   300};
  std::array<std::uint64_t, bounds.size() + 1> counts{};
  double sum = 0;  ///< seconds

  void add(std::chrono::nanoseconds span) noexcept;
  [[nodiscard]] std::uint64_t count() const;
};

/// Why an attempt was made again.
enum class retry_reason : std::uint8_t { error, timeout, handler_died };
inline constexpr std::size_t retry_reason_count = 3;
[[nodiscard]] constexpr std::string_view to_string(retry_reason reason) {
  constexpr std::array<std::string_view, retry_reason_count> names = {"error", "timeout",
                                                                      "handler_died"};
  return names[static_cast<std::size_t>(reason)];
}

enum class status_phase : std::uint8_t {
  starting,  ///< source and sink are being opened
  running,
  draining,  ///< no new items; what is under way is finished until the deadline
  stopping,  ///< the work is cancelled, the rest is returned
  closing,   ///< nothing works any more; outcomes become durable
  ended,
};
[[nodiscard]] constexpr std::string_view to_string(status_phase phase) {
  constexpr std::array<std::string_view, 6> names = {"starting", "running", "draining",
                                                     "stopping", "closing", "ended"};
  return names[static_cast<std::size_t>(phase)];
}

/// One who has something in hand.
struct worker_status {
  int slot = 0;           ///< with `in_flight: 64` a worker has that many
  std::string item;       ///< its id; of a sink: the first of its batch
  std::size_t items = 1;  ///< more than one: a batch
  int attempt = 1;
  double seconds = 0;     ///< since its first attempt at this stage; of a sink: since the write
  std::string waits_for;  ///< what its task waits for; empty: it runs, or nobody knows
};

/// Something that is held up on purpose, and why.
struct pause_status {
  /// `sink_down`, `ledger_full`, `dead_letters_full`, `error_budget`, `backpressure`
  std::string reason;
  std::string where;  ///< the stage or sink; empty: the whole run
  std::string text;   ///< for people
  double seconds = 0;
  bool stops_intake = true;  ///< false: what is slow is slow, and nothing is wrong
};

struct stage_status {
  static constexpr std::size_t busy_max = 64;

  std::string name;
  bool is_sink = false;
  std::uint64_t in = 0;
  std::uint64_t born = 0;
  std::uint64_t passed = 0;
  std::array<std::uint64_t, outcome_count> settled{};  ///< here, by outcome; delivered stays 0
  std::uint64_t in_flight = 0;
  std::uint64_t retrying = 0;  ///< of those: waiting for their next attempt
  std::uint64_t parked = 0;    ///< of those: behind others of their key
  std::array<std::uint64_t, retry_reason_count> retries{};
  std::size_t queue_items = 0;
  std::size_t queue_capacity = 0;
  std::size_t workers = 0;  ///< times `in_flight` of each
  std::size_t busy_workers = 0;
  bool waits_for_rate = false;
  double push_blocked_seconds = 0;  ///< its workers waited so long for room in the next stage
  time_histogram work;              ///< of attempts; of a sink: of writes
  time_histogram queue_wait;
  std::vector<worker_status> busy;  ///< those who have been at it longest
};

/// Where the run touches the outside.
struct connection_status {
  std::string name;
  bool is_sink = false;
  std::string state;  ///< source: `reading`, `waiting`, `at_end`, `stopped`; sink: `up`, `down`
  std::string text;   ///< for people; empty: nothing to say
};

struct run_status {
  std::string pipeline;
  status_phase phase = status_phase::starting;
  double seconds = 0;  ///< since the run began
  double age = 0;      ///< of this status
  double silent = 0;   ///< since the loop was last seen to turn

  std::uint64_t taken = 0;
  std::array<std::uint64_t, outcome_count> settled{};
  std::uint64_t in_flight = 0;
  std::array<std::uint64_t, outcome_count> settled_at_source{};  ///< never came to a stage
  std::vector<stage_status> stages;                              ///< sinks are the last
  std::vector<connection_status> connections;
  std::vector<pause_status> pauses;
  time_histogram end_to_end;  ///< from taken to delivered

  std::string oldest_item;
  double oldest_seconds = 0;
  std::size_t window_items = 0;  ///< taken, and not finished durably
  std::size_t window_items_max = 0;
  std::size_t window_bytes = 0;
  std::size_t window_bytes_max = 0;
  std::optional<std::uint64_t> source_lag{};  ///< units (bytes) not yet done, when that is known
  std::size_t tasks = 0;

  double stalled = 0;         ///< nothing has progressed for so long, though work is pending
  std::string waits_because;  ///< why that is as it should be; empty: no reason is known
  std::chrono::milliseconds attempt_timeout_max{0};
  std::string error;  ///< why the run stops; empty: it does not, or was told to

  [[nodiscard]] std::uint64_t count(outcome result) const {
    return settled[static_cast<std::size_t>(result)];
  }
};

struct health {
  bool good = true;
  std::string text;  ///< for people, one line
};

/// Whether it should be left alone. Not good: work is pending, nothing has progressed for
/// `stuck_after` (or the longest stage timeout and 5 s, if that is more), and no reason is known;
/// or the loop has not turned for as long. One item that hangs while others move is no such case.
[[nodiscard]] health liveness(const run_status& now, std::chrono::milliseconds stuck_after);
/// Whether it takes items: not before the start, nor in a pause, nor once a stop has begun.
[[nodiscard]] health readiness(const run_status& now);

/// Where other threads see how a run goes. One run at a time.
class status_board {
 public:
  /// A status as young as this is given again instead of a new one being taken.
  static constexpr std::chrono::milliseconds fresh_for{100};

  status_board();
  ~status_board();
  status_board(const status_board&) = delete;
  status_board& operator=(const status_board&) = delete;

  /// The status now; if the loop does not answer within `patience`, the last one, with its age. A
  /// loop that once did not answer is not waited for again until it has.
  [[nodiscard]] run_status look(std::chrono::milliseconds patience = std::chrono::seconds(1)) const;

  /// For who runs, on its loop's thread. `take` is called there, until `detach`.
  void attach(loop& where, std::function<run_status()> take);
  /// The loop turns.
  void beat() noexcept;
  /// What is seen from now on.
  void detach(run_status last);

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace brigade
