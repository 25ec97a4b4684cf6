// One simulated life of a pipeline whose ways part and meet: routes, tees, batches and splits,
// drawn from a seed, with several sinks of different kinds. A model of the same tree says which
// texts may come to which sink; in the end each has what it must have, and nothing else.
#pragma once
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

class fork_scenario {
 public:
  explicit fork_scenario(std::uint64_t seed);
  /// What went wrong first; empty: nothing did.
  [[nodiscard]] std::string run();
  [[nodiscard]] std::uint64_t trace() const { return trace_; }
  [[nodiscard]] std::uint64_t runs() const { return journal_.run(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] std::uint64_t joined_letters() const { return joined_letters_; }

 private:
  enum class mood : std::uint8_t { rough, calm };
  using row = testing::memory_journal::row;
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

  void play(mood how);
  task<> whole_run(mood how);
  task<engine_resume> open_ends(pipeline_plan& plan);
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
  void check_step();
  void check_report(const report& account);
  void check_acknowledged(const std::string& partition, const mark& finished);
  void learn_rows();
  void check_account();
  void check_item(const std::string& id);
  void check_tables();
  [[nodiscard]] bool is_given_up(const std::string& text) const;
  [[nodiscard]] static std::string drawing_of(const fork_model& chain);
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
  fork_model model_;
  std::vector<std::unique_ptr<end>> ends_;
  testing::fake_store store_;
  testing::memory_journal journal_;

  engine* engine_ = nullptr;
  testing::virtual_loop* loop_ = nullptr;
  std::vector<std::string> names_;  ///< of the run's stages
  int stages_made_ = 0;
  std::size_t window_ = 0;
  bool complete_ = false;
  std::uint64_t taken_ = 0;
  std::size_t rows_known_ = 0;
  std::map<std::string, const row*> final_;  ///< by id
  std::set<std::string> given_up_;           ///< texts of dead letters
  std::uint64_t dropped_ = 0;
  std::uint64_t joined_letters_ = 0;
  std::uint64_t trace_ = 0;
  std::string problem_;
};

}  // namespace brigade::sim
