/// Reaches a run while it runs, from anywhere in the process.
///
///   run_handle running;
///   std::jthread operator_([running] { ...; running.scale("charge", 8); });
///   pipeline("orders").from(orders).stage("charge", charge).to("receipts", store)
///       .reached_by(running).run();
///
/// Copies reach the same run. What is asked for happens on the loop's thread, soon.
///
/// Thread safety: any thread, also a stage's function. Lifetime: before and after the run it
/// reaches nothing.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// What a handle asks of whoever runs. Called on the loop's thread.
struct run_target {
  std::vector<std::string> stages;  ///< whose workers may be changed
  std::function<void(const std::string& stage, int workers, int workers_max)> scale;
  std::function<void()> drain;
};

class run_handle {
 public:
  run_handle();

  /// Gives `stage` so many workers, or with `workers_max` above that as many between the two as
  /// bring something; see `engine::scale`. False: nothing runs, or not yet. Throws
  /// std::invalid_argument when there is no such stage, or `workers` is below 1.
  [[nodiscard]] bool scale(std::string_view stage, int workers, int workers_max = 0) const;
  /// Ends the run as a first signal does: nothing new is taken. False: nothing runs.
  [[nodiscard]] bool drain() const;

  /// For who runs, on its loop's thread: from now on, or no more, this handle reaches `target`.
  void attach(run_target target) const;
  void detach() const;

 private:
  struct line;
  std::shared_ptr<line> line_;
};

}  // namespace brigade
