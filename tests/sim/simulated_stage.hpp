// A stage whose items carry their own id, so that whatever happens to one can be told from its
// text: `p0:17/2..` is the third child of the item at 17, changed by two stages.
#pragma once
#include <brigade/pipeline/stage.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::sim {

/// What does not change from run to run: an item has the same nature in each.
struct stage_shape {
  int index = 0;
  std::uint64_t seed = 0;
  stage_policy policy;
  bool immediate = false;
  bool transforms = false;
  int transformed_before = 0;  ///< by how many stages
  int in_flight = 1;
  std::size_t together = 0;  ///< items a worker takes at once; 0: one by one
  std::uint64_t splits_one_in = 0;
  std::uint64_t filters_one_in = 0;
  std::uint64_t refuses_one_in = 0;  ///< for good

  [[nodiscard]] bool splits(std::string_view id) const;
  [[nodiscard]] std::size_t children_of(std::string_view id) const;
  [[nodiscard]] bool filters(std::string_view id) const;
  [[nodiscard]] bool refuses(std::string_view id) const;

 private:
  [[nodiscard]] std::uint64_t nature(std::string_view id, std::uint64_t salt) const;
};

/// What changes: chances, 1 in n; 0: never.
struct stage_faults {
  milliseconds delay_max{0};
  std::uint64_t fails_one_in = 0;
  std::uint64_t kills_one_in = 0;
  std::uint64_t fatal_one_in = 0;
  std::uint64_t hangs_one_in = 0;  ///< a part of them will not hear of a cancellation
  bool close_fails = false;
};

/// What a run's stages did and what they noticed.
struct stage_log {
  int open = 0;
  std::vector<int> workers_max;  ///< of each stage: as many as it may ever have had, by now
  std::string problem;
};

/// The text without what stages added to it: the item's id.
[[nodiscard]] std::string_view id_in(std::string_view text);
[[nodiscard]] int changes_in(std::string_view text);

class simulated_stage final : public stage_body {
 public:
  simulated_stage(const stage_shape& shape, const stage_faults& faults, std::uint64_t seed,
                  stage_log& log)
      : shape_(shape), faults_(faults), random_(seed), log_(log) {}

  task<> open(int workers) override;
  task<> close() override;
  void worker_begins(int worker) override;
  void worker_ended(int worker) override;
  [[nodiscard]] int in_flight_per_worker() const override { return shape_.in_flight; }
  [[nodiscard]] bool immediate() const override { return shape_.immediate; }
  attempt_result run_now(payload& item, const attempt_info& info) override;
  task<attempt_result> run(payload& item, const attempt_info& info) override;
  [[nodiscard]] std::size_t together_max() const override { return shape_.together; }
  task<std::vector<attempt_result>> run_together(
      const std::vector<attempt_request>& requests) override;

 private:
  task<> take_time();
  void look_at(const std::string& text, const attempt_info& info);
  [[nodiscard]] attempt_result result_for(const std::string& text);
  [[nodiscard]] attempt_result failed_attempt();
  [[nodiscard]] bool chance(std::uint64_t one_in) { return one_in != 0 && random_.one_in(one_in); }

  stage_shape shape_;
  stage_faults faults_;
  testing::random_source random_;
  stage_log& log_;
  int busy_ = 0;
  std::set<int> here_;  ///< workers that may make attempts
};

}  // namespace brigade::sim
