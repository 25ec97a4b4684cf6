/// A run under way: to ask, to read outcomes from, to stop, to wait for.
///
///   pipeline_run day = pipeline("orders").from(in).stage("charge", charge).to("out", store)
///                          .start(group);
///   outcome_stream outcomes = day.outcomes();
///   ...
///   report account = co_await day.finished();
///
/// It runs as a task of the group. When the group is cancelled the run is drained as by a first
/// signal: no new items, what is under way is finished until `stop_timeout`, the rest is returned,
/// and the group waits for that. An exception of the run (ledger_error) is the group's.
///
/// Thread safety: the loop's thread. Lifetime: a handle; the run does not need it. Copies are of
/// the same run.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/outcome_stream.hpp>
#include <brigade/pipeline/report.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace brigade {

class pipeline_run {
 public:
  /// From now on each outcome is told; at most one stream at a time (asserted). To hear of all of
  /// them: before the next wait.
  [[nodiscard]] outcome_stream outcomes();

  /// Gives a stage so many workers from now on, or a range; see `engine::scale`. What was asked for
  /// before the first step of the run takes effect then. Throws std::invalid_argument.
  void scale(std::string_view stage, int workers, int workers_max = 0);
  /// No new items; what is under way is finished until `stop_timeout`.
  void drain();
  /// The work is cancelled and what is unfinished returned; the report has `exit_code` and `why`.
  void stop_now(int exit_code, std::string why);

  /// The account so far. Before the first step of the run there is only its name.
  [[nodiscard]] report account() const;
  [[nodiscard]] progress look() const;
  /// How it goes, in detail. Other threads see it on a status_board.
  [[nodiscard]] run_status status() const;
  [[nodiscard]] bool ended() const;

  /// Completes:  with the report, when the run has ended; again for who asks again.
  /// Cancelled:  throws `cancelled`; the run goes on.
  [[nodiscard]] task<report> finished() const;

  class state;
  // --- for ready_pipeline ---
  explicit pipeline_run(std::shared_ptr<state> of) : state_(std::move(of)) {}

 private:
  std::shared_ptr<state> state_;
};

}  // namespace brigade
