// What the handles of one run share with the task that runs it.
#pragma once
#include <brigade/async/event.hpp>
#include <brigade/async/task.hpp>
#include <brigade/pipeline/pipeline_run.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade {

class pipeline_run::state {
 public:
  explicit state(recorded_run what);
  /// The run itself, out of reach of the group it belongs to.
  static task<> execute(std::shared_ptr<state> own);
  /// What the group waits for; its cancellation is a drain.
  static task<> course(std::shared_ptr<state> own);
  void drain();

  std::unique_ptr<ledger> account;  ///< these two until the run has ended
  std::optional<stop_signals> signals;
  std::shared_ptr<detail::outcome_board> board;
  std::string name;
  std::optional<recorded_run> pieces;  ///< moved from once it begins
  engine* work = nullptr;              ///< while it runs
  struct scaling {
    std::string stage;
    int workers = 1;
    int workers_max = 0;
  };
  std::vector<scaling> scalings_wanted;
  std::vector<std::string> stages;
  bool drain_wanted = false;
  std::optional<std::pair<int, std::string>> stop_wanted;
  std::optional<report> result;
  std::exception_ptr failed;
  event over{"the end of the run"};

 private:
  void meet(engine* now);
};

}  // namespace brigade
