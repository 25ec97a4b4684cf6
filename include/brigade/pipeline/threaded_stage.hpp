/// Work that computes, spread over threads: one body a thread, so that no body is used by two.
///
/// The items, their order and their account stay with the loop; only the attempts are made
/// elsewhere. Worker n works on thread n modulo the number of bodies, so a stage needs as many
/// workers as it is to keep threads busy; more of them hide the way there and back.
///
/// An attempt that is given up waits for its call to return: it works on the item where it is. As
/// with `run_now` on the loop, a call that never returns is a matter for the watchdog.
///
/// Thread safety: the loop's thread; the bodies are opened and closed there, and work on others.
#pragma once
#include <brigade/async/thread_pool.hpp>
#include <brigade/pipeline/stage.hpp>

#include <memory>
#include <string>
#include <vector>

namespace brigade {

class threaded_stage final : public stage_body {
 public:
  /// All alike, immediate, and at least one (asserted).
  threaded_stage(std::string name, std::vector<std::unique_ptr<stage_body>> bodies);

  task<> open(int workers) override;
  task<> close() override;
  task<attempt_result> run(payload& item, const attempt_info& info) override;

 private:
  struct shard {
    std::unique_ptr<stage_body> body;
    std::unique_ptr<thread_pool> thread;
  };
  std::string name_;
  std::vector<shard> shards_;
};

}  // namespace brigade
