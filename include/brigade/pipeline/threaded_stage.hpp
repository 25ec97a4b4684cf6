/// Work that computes, spread over threads: one body a thread, so that no body is used by two.
///
/// The items, their order and their account stay with the loop; only the attempts are made
/// elsewhere. Worker n works on thread n modulo the number of bodies, so a stage needs as many
/// workers as it is to keep threads busy; more of them hide the way there and back, which takes
/// some 10 us. So a worker takes several items at once, as many as take 0.2 ms by what those
/// before took, and at most 512; items that take longer go one by one.
///
/// Attempts that are given up wait for the call that is under way: it works on the item where it
/// is. As with `run_now` on the loop, a call that never returns is a matter for the watchdog.
///
/// Thread safety: the loop's thread; the bodies are opened and closed there, and work on others.
#pragma once
#include <brigade/async/thread_pool.hpp>
#include <brigade/pipeline/stage.hpp>

#include <chrono>
#include <cstddef>
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
  [[nodiscard]] bool wants_names() const override { return shards_.front().body->wants_names(); }
  task<attempt_result> run(payload& item, const attempt_info& info) override;
  [[nodiscard]] std::size_t together_max() const override;
  task<std::vector<attempt_result>> run_together(
      const std::vector<attempt_request>& requests) override;

 private:
  struct shard {
    std::unique_ptr<stage_body> body;
    std::unique_ptr<thread_pool> thread;
  };
  void learn(std::chrono::nanoseconds spent, std::size_t items);
  std::string name_;
  std::vector<shard> shards_;
  /// What an attempt takes, lately; until one was made, too long to make two at once.
  std::chrono::nanoseconds an_attempt_{std::chrono::hours(1)};
};

}  // namespace brigade
