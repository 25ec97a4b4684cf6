/// A stage whose work is done on threads of its own, one a worker, while the loop goes on: for what
/// computes long or blocks.
///
/// The work gets a copy of the item. An attempt that is given up (timeout, stop) asks its call to
/// stop; the call goes on unseen until it returns, and keeps its thread as long.
///
/// Thread safety: the loop's thread; the calls it gives are made on others.
#pragma once
#include <brigade/async/task.hpp>
#include <brigade/async/thread_pool.hpp>
#include <brigade/pipeline/stage.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>

namespace brigade {

class blocking_stage : public stage_body {
 public:
  task<> open(int workers) override;
  task<> close() override;
  void worker_begins(int worker) override;
  void worker_ended(int worker) override;
  [[nodiscard]] bool wants_names() const override { return false; }
  task<attempt_result> run(payload& item, const attempt_info& info) final;

 protected:
  using call = std::function<attempt_result(const std::stop_token&)>;
  /// The work on one item, with all it needs: it may outlive the item and this stage.
  [[nodiscard]] virtual call call_for(const payload& item) = 0;

 private:
  std::optional<thread_pool> threads_;
  std::size_t workers_ = 0;
};

}  // namespace brigade
