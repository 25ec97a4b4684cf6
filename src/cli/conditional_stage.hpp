/// A stage with `when`: items for which the expression is false or null pass it untouched.
#pragma once
#include <brigade/connect/jq.hpp>
#include <brigade/pipeline/stage.hpp>

#include <memory>
#include <string_view>

namespace brigade::cli {

class conditional_stage final : public stage_body {
 public:
  /// Throws std::invalid_argument as `condition` does.
  conditional_stage(std::string_view when, std::unique_ptr<stage_body> inner)
      : when_(when), inner_(std::move(inner)) {}

  task<> open(int workers) override { return inner_->open(workers); }
  task<> close() override { return inner_->close(); }
  void worker_begins(int worker) override { inner_->worker_begins(worker); }
  void worker_ended(int worker) override { inner_->worker_ended(worker); }
  [[nodiscard]] int in_flight_per_worker() const override { return inner_->in_flight_per_worker(); }
  [[nodiscard]] bool minds_timeout() const override { return inner_->minds_timeout(); }
  [[nodiscard]] bool immediate() const override { return inner_->immediate(); }
  [[nodiscard]] bool wants_names() const override { return inner_->wants_names(); }
  attempt_result run_now(payload& item, const attempt_info& info) override;
  task<attempt_result> run(payload& item, const attempt_info& info) override;

 private:
  [[nodiscard]] bool concerns(const payload& item);
  condition when_;
  std::unique_ptr<stage_body> inner_;
};

}  // namespace brigade::cli
