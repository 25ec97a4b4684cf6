// One simulated life of a pipeline: runs that fail, are stopped or killed at moments drawn from a
// seed, each continuing where the one before left off, and a last one that is left in peace. Then
// every item must have one outcome, and whoever was told of it must have been told the truth.
#pragma once
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

class pipeline_scenario {
 public:
  explicit pipeline_scenario(std::uint64_t seed);
  /// What went wrong first; empty: nothing did.
  [[nodiscard]] std::string run();
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  [[nodiscard]] std::uint64_t runs() const { return journal_.run(); }
  /// Differs when anything went another way: to see that a seed repeats.
  [[nodiscard]] std::uint64_t trace() const { return trace_; }

 private:
  enum class mood : std::uint8_t { rough, calm };
  using row = testing::memory_journal::row;

  void fill_the_store();
  void play(mood how);
  task<> whole_run(mood how);
  task<engine_resume> open_ends(pipeline_plan& plan);
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

  void check_step();
  void check_report(const report& account);
  void check_closed(engine& after);
  void check_acknowledged(const std::string& partition, const mark& finished);
  void learn_rows();
  void check_account();
  void check_item(const std::string& id, int from_stage, bool must);
  void check_delivered(const std::string& id);
  void check_letter(const row& dead);
  void check_table();
  void check_order();
  void check_held();
  [[nodiscard]] bool was_given_up(const std::string& id) const;
  [[nodiscard]] std::string history(const std::string& id) const;
  void problem(const std::string& what);
  void require(bool holds, const std::string& what) {
    if (!holds) problem(what);
  }
  [[nodiscard]] bool chance(std::uint64_t one_in) { return random_.one_in(one_in); }
  [[nodiscard]] std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return least + random_.below(most - least + 1);
  }
  [[nodiscard]] milliseconds some_time(std::uint64_t least, std::uint64_t most) {
    return milliseconds(between(least, most));
  }

  testing::random_source random_;
  std::uint64_t seed_;
  std::vector<stage_shape> shapes_;
  testing::fake_sink_kind sink_kind_;
  item_order order_ = item_order::none;
  std::uint64_t keys_ = 1;  ///< of how many there are; one more has no key
  bool holds_keys_ = false;
  std::set<std::string> given_up_;  ///< dead letters; a crash may forget one, and it is tried again

  // What outlives a crash.
  testing::fake_store store_;
  testing::fake_table table_;
  testing::memory_journal journal_;

  // Of the run under way.
  engine* engine_ = nullptr;
  testing::virtual_loop* loop_ = nullptr;
  bool crashes_ = false;
  std::size_t window_ = 0;
  stage_log stage_log_;
  bool complete_ = false;  ///< it said that all is done
  std::uint64_t taken_ = 0;

  std::size_t rows_known_ = 0;
  std::map<std::string, const row*> final_;  ///< by id
  std::size_t delivered_leaves_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t trace_ = 0;
  std::string problem_;
};

}  // namespace brigade::sim
