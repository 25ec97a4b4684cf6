// One simulated life of a pipeline whose ways part and meet: routes, tees, batches and splits,
// drawn from a seed, with several sinks of different kinds. A model of the same tree says which
// texts may come to which sink; in the end each has what it must have, and nothing else.
#pragma once
#include "sim/life.hpp"

#include <brigade/pipeline/engine.hpp>
#include <brigade/testing/fakes.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::sim {

struct fork_model;

/// What a stage of this world does with a text. Behind a batch texts are `[a;b]`.
struct stage_model {
  enum class kind : std::uint8_t { work, route, tee, batch, apart };
  kind what = kind::work;
  std::uint64_t seed = 0;
  std::uint64_t splits_one_in = 0;
  std::uint64_t refuses_one_in = 0;
  std::uint64_t ways = 0;  ///< of a route: with the one that no branch wants
  std::vector<fork_model> branches;
};

struct fork_model {
  std::vector<stage_model> stages;
  bool required = true;
  int sink = -1;      ///< its number; -1: it goes on behind the fork
  bool exact = true;  ///< nothing comes twice, if the sink can see to that
};

class fork_scenario final : public life {
 public:
  explicit fork_scenario(std::uint64_t seed);
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::uint64_t joined_letters() const { return joined_letters_; }

 private:
  struct end {
    testing::fake_sink_kind kind = testing::fake_sink_kind::plain;
    bool required = true;
    bool exact = true;
    testing::fake_table table;
    std::set<std::string> wanted;  ///< texts that may come
  };
  /// Where in the tree a chain is drawn.
  struct surroundings {
    int depth = 0;
    bool required = true;
    bool exact = true;
    bool batched = false;
    bool may_join = false;
  };

  fork_model draw_chain(surroundings where);
  stage_model draw_stage(surroundings& where, bool is_last);
  void draw_branches(stage_model& stage, const surroundings& where, bool is_last);
  void fill_the_store();

  task<> whole_run(mood how) override;
  task<> operate(mood how);
  [[nodiscard]] pipeline_plan make_plan(mood how);
  void plan_chain(const fork_model& model, chain_plan& plan, mood how);
  [[nodiscard]] stage_plan plan_stage(const stage_model& model, bool has_behind, mood how);
  [[nodiscard]] std::unique_ptr<testing::fake_sink> make_sink(end& to, mood how);

  struct leaf {
    int sink;
    std::string text;
    bool required;
  };
  /// Where a text comes to; what leaves the chain at its end is added to `on`.
  void follow(const fork_model& chain, std::size_t stage, const std::string& text, bool required,
              std::vector<leaf>& leaves, std::vector<std::string>& on) const;
  void check_report(const report& account);
  void learn_rows() override;
  void check_account() override;
  [[nodiscard]] std::string about() const override;
  void check_item(const std::string& id);
  void check_tables();
  [[nodiscard]] bool is_given_up(const std::string& text) const;
  [[nodiscard]] static std::string drawing_of(const fork_model& chain);
  [[nodiscard]] std::string history(const std::string& id) const;

  fork_model model_;
  std::vector<std::unique_ptr<end>> ends_;

  std::vector<std::string> names_;  ///< of the run's stages
  int stages_made_ = 0;
  std::set<std::string> given_up_;  ///< texts of dead letters
  std::uint64_t dropped_ = 0;
  std::uint64_t joined_letters_ = 0;
};

}  // namespace brigade::sim
