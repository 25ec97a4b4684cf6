// One simulated life of a pipeline: runs that fail, are stopped or killed at moments drawn from a
// seed, each continuing where the one before left off, and a last one that is left in peace. Then
// every item must have one outcome, and whoever was told of it must have been told the truth.
#pragma once
#include "sim/life.hpp"
#include "sim/simulated_stage.hpp"

#include <brigade/pipeline/engine.hpp>
#include <brigade/testing/fakes.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::sim {

class pipeline_scenario final : public life {
 public:
  explicit pipeline_scenario(std::uint64_t seed) : pipeline_scenario(seed, beginning(seed)) {}

 private:
  /// What is drawn before all else.
  struct beginning {
    explicit beginning(std::uint64_t seed);
    testing::random_source random;
    testing::fake_sink_kind sink_kind;
  };
  pipeline_scenario(std::uint64_t seed, const beginning& drawn);

  void begin_run() override;
  void check_ended() override;

  void fill_the_store();
  task<> whole_run(mood how) override;
  task<> operate(mood how);
  task<> staff(std::uint64_t changes);
  void scale_some_stage();
  void allow_workers(std::size_t stage, int workers);
  [[nodiscard]] pipeline_plan make_plan(mood how);
  void draw_policy(stage_shape& shape, mood how);
  void set_order(pipeline_plan& plan) const;
  [[nodiscard]] std::string key_of(std::string_view id) const;
  void watch(pipeline_plan& plan);
  [[nodiscard]] testing::sink_faults sink_faults(mood how);
  [[nodiscard]] testing::source_faults source_faults(mood how);

  void check_report(const report& account);
  void check_closed(engine& after);
  void learn_rows() override;
  void check_account() override;
  [[nodiscard]] std::string about() const override;
  void check_item(const std::string& id, int from_stage, bool must);
  void check_delivered(const std::string& id);
  void check_letter(const row& dead);
  void check_table();
  void check_order();
  void check_held();
  [[nodiscard]] bool was_given_up(const std::string& id) const;
  [[nodiscard]] std::string history(const std::string& id) const;

  std::uint64_t seed_;
  std::vector<stage_shape> shapes_;
  testing::fake_sink_kind sink_kind_;
  item_order order_ = item_order::none;
  std::uint64_t keys_ = 1;  ///< of how many there are; one more has no key
  bool holds_keys_ = false;
  std::set<std::string> given_up_;  ///< dead letters; a crash may forget one, and it is tried again

  // What outlives a crash.
  testing::fake_table table_;

  // Of the run under way.
  stage_log stage_log_;

  std::size_t delivered_leaves_ = 0;
};

}  // namespace brigade::sim
