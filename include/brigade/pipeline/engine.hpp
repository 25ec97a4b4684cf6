/// The engine: takes items from a source through stages into a sink, and accounts for each.
///
/// One engine serves the typed builder and the program. It owns every item from the moment it is
/// taken until its outcome is recorded; the source is told only after the record is durable.
///
/// Items in work are bounded by the window. A stage's failure is its item's own: retried, then
/// dead- lettered. A sink that is down is nobody's fault: its batch is tried again and intake
/// pauses by itself, the window being full.
///
/// Stop: `drain` ends intake and finishes what is under way until `stop_timeout`; at the deadline
/// (or at once, by `stop_now`) the work is cancelled and what is unfinished is returned.
///
/// Thread safety: the loop's thread. Lifetime: outlives the task that `execute` gives.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/pipeline/journal.hpp>
#include <brigade/pipeline/mark.hpp>
#include <brigade/pipeline/policy.hpp>
#include <brigade/pipeline/report.hpp>
#include <brigade/pipeline/sink.hpp>
#include <brigade/pipeline/source.hpp>
#include <brigade/pipeline/stage.hpp>
#include <brigade/pipeline/status.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

namespace detail {
class outcome_board;
}

struct fork_plan;

struct stage_plan {
  std::string name;
  std::unique_ptr<stage_body> body;
  stage_policy policy;
  /// With `queue_kind::priority`, of the item as it comes to the stage. NaN and an exception count
  /// as less urgent than every number.
  std::function<double(const payload&)> priority{};
  /// Where the ways part; null: they do not. `body` says which way an item goes.
  std::unique_ptr<fork_plan> fork{};
  /// The stage collects items into one by `body->join`; its `run_now` lets each of them in.
  std::optional<batch_policy> batch{};
};

/// Stages one behind the other, and the sink they end in. Without a sink (`to` is null) they end in
/// a fork all of whose branches have one, or, in a branch, go on behind the fork.
struct chain_plan {
  std::vector<stage_plan> stages;
  std::string sink_name = "sink";
  std::unique_ptr<sink> to;
  sink_policy sink_rules;
};

struct branch_plan {
  chain_plan chain;
  bool required = true;  ///< of a tee: its failures are the item's
};

/// A route sends an item down one branch (`attempt_result::routed`). A tee makes a child for each
/// branch (`attempt_result::split`, one value a branch), and one more for what stands behind the
/// tee, if anything does.
///
/// A tee's item has the worst outcome of its required children. In a branch that is not required
/// nothing is dead-lettered or returned: what fails is dropped, what finds the branch full is
/// dropped, and its sink may be down for `optional_patience` before what waits for it is dropped.
struct fork_plan {
  enum class kind : std::uint8_t { route, tee };
  kind what = kind::route;
  std::vector<branch_plan> branches;
};
inline constexpr std::chrono::seconds optional_patience{10};

/// A failed attempt, as it happens.
struct attempt_failure {
  std::string_view id;
  std::string_view stage;
  std::string_view error;
  int attempt = 0;
  bool final = false;       ///< it is not tried again: a dead letter
  bool is_dropped = false;  ///< final, in a branch that is not required: no letter
};

struct progress {
  std::uint64_t taken = 0;
  std::array<std::uint64_t, outcome_count> settled{};
  std::uint64_t in_flight = 0;
  std::uint64_t retrying = 0;
  std::uint64_t units_done = 0;    ///< of the source: bytes, about; with those of runs before
  std::uint64_t units_before = 0;  ///< of those: what was finished when this run began
  std::uint64_t units_total = 0;   ///< 0: not known
  double seconds = 0;
};

/// Who watches a run. Everything is called on the loop's thread and must return soon.
struct run_observer {
  milliseconds progress_every{200};
  std::function<void(const progress&)> on_progress;
  std::function<void(const attempt_failure&)> on_failure;
  std::function<void(std::string_view line)> on_notice;  ///< pauses, outages, the drain
  std::shared_ptr<status_board> board{};  ///< where other threads see how it goes; times are
                                          ///< measured only for it
};

/// Where a replayed letter goes on, and what it was.
struct replay_entry {
  int stage_index = 0;  ///< -1: at the source's payload, through all stages
  std::string id;       ///< the letter's item
  std::string source_payload;
  std::string order_key;  ///< with `item_order::by_key`: its key at the source
};

/// With `after_dead_letter::hold_key`, a key of which an item was dead-lettered in a run before.
struct held_key {
  std::string key;
  std::string letter;          ///< the item's id
  int stage_index = 0;         ///< where it was
  std::string partition = {};  ///< the item's; those before it in there, and itself, are not held
  std::uint64_t position = 0;
};

struct pipeline_plan : chain_plan {
  std::string name;
  std::string source_name = "source";
  std::unique_ptr<source> from;
  run_policy rules;
  std::uint64_t jitter_seed = 0;  ///< of the delays before retries; 0: another in each run
  /// The item's own id, beside its position; empty: none.
  std::function<std::string(const payload&)> business_id;
  /// With `item_order::by_key`: an item's key as it is at the source. Without a key (empty) it is
  /// in no order with others.
  std::function<std::string(const payload&)> order_key;
  /// Keys that are held from the beginning, and by what (the id of a dead letter).
  std::vector<held_key> held;
  /// For replays: by position. Empty in an ordinary run.
  std::function<const replay_entry*(std::uint64_t begin)> replay;
  run_observer observer;
  /// Who reads the outcomes while it runs (see outcome_stream.hpp); null: nobody.
  std::shared_ptr<detail::outcome_board> outcomes;
};

/// A sink of a plan. The plan owns it, and may be moved.
struct sink_of_plan {
  std::string name;
  sink* to;
};
/// In the order they stand in.
[[nodiscard]] std::vector<sink_of_plan> sinks_of(const chain_plan& plan);
/// The names of stages and sinks, at the indexes by which dead letters know them: as they stand in
/// the plan, the branches of a fork directly behind it.
[[nodiscard]] std::vector<std::string> stage_names(const chain_plan& plan);

/// What a run continues from.
struct engine_resume {
  engine_resume() = default;  // no aggregate: g++ 12 destroys `execute({})`'s argument twice
  std::vector<partition_mark> finished;   ///< is finished, recorded or not: no work is done on it
  std::vector<partition_mark> accounted;  ///< is recorded: what the source was opened with
};

class engine {
 public:
  /// `account` may be null: outcomes are then in the report alone.
  engine(pipeline_plan plan, journal* account);
  ~engine();
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  [[nodiscard]] pipeline_plan& plan();

  /// Runs to the source's end or a stop; source and sink are open, and are closed here. Gives the
  /// account, with exit code; what goes wrong in the run stands in it, nothing is thrown but
  /// `cancelled` and `deadlock`.
  task<report> execute(engine_resume resume);

  /// First signal: no new items; what is under way is finished until `stop_timeout`.
  void drain();
  /// Second signal: the deadline is now.
  void deadline_now();
  /// Cancels the work and returns what is unfinished. The first reason stands.
  void stop_now(int exit_code, std::string why);

  /// From now on `stage` has so many workers, or with `workers_max` above that, as many between the
  /// two as bring something. At any time, also before the run; a worker that goes ends the item it
  /// has first. Throws std::invalid_argument: there is no such stage, or `workers` is below 1.
  void scale(std::string_view stage, int workers, int workers_max = 0);

  /// The account so far; `in_flight` is counted by walking queues, slots and retries.
  [[nodiscard]] report account() const;
  [[nodiscard]] progress look() const;
  /// How it goes, in detail. How long nothing has moved is known as of the last call, or as of the
  /// last second where the run has a board.
  [[nodiscard]] run_status status();

  class implementation;

 private:
  std::unique_ptr<implementation> impl_;
};

/// Ends the process by SIGKILL when the environment variable BRIGADE_DIE_AT names this point
/// (`point` or `point:N` for its Nth passing): how the recovery tests choose the instant.
void fault_point(std::string_view point);

}  // namespace brigade
