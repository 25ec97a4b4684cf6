// The course of a simulated life, whatever pipeline lives it: runs that fail, are stopped or killed
// at moments drawn from a seed, each continuing where the one before left off, and a last one that
// is left in peace; and what must hold of any of them at each step.
#pragma once
#include <brigade/pipeline/engine.hpp>
#include <brigade/testing/fakes.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace brigade::sim {

class life {
 public:
  life(const life&) = delete;
  life& operator=(const life&) = delete;
  /// What went wrong first; empty: nothing did.
  [[nodiscard]] std::string run();
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  [[nodiscard]] std::uint64_t runs() const { return journal_.run(); }
  /// Differs when anything went another way: to see that a seed repeats.
  [[nodiscard]] std::uint64_t trace() const { return trace_; }

 protected:
  enum class mood : std::uint8_t { rough, calm };
  using row = testing::memory_journal::row;

  /// What was drawn of the seed before this is drawn from `random` already.
  life(std::uint64_t seed, testing::random_source random, std::uint64_t steps_max);
  ~life() = default;

  virtual task<> whole_run(mood how) = 0;
  virtual void begin_run() {}
  /// Of the run that has ended.
  virtual void check_ended() {}
  /// What became durable since it was last looked at.
  virtual void learn_rows() = 0;
  /// When all is done.
  virtual void check_account() = 0;
  /// For failure messages: of the pipeline, and of its engine while there is one.
  [[nodiscard]] virtual std::string about() const = 0;

  /// The engine of the run under way, for as long as it stays in scope.
  class known_while_it_lives {
   public:
    known_while_it_lives(engine*& place, engine& which) : place_(place) { place_ = &which; }
    ~known_while_it_lives() { place_ = nullptr; }
    known_while_it_lives(const known_while_it_lives&) = delete;
    known_while_it_lives& operator=(const known_while_it_lives&) = delete;

   private:
    engine*& place_;
  };

  /// Opens the sinks, then the source, as a recorded run does.
  task<engine_resume> open_ends(pipeline_plan& plan);
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
  // What outlives a crash.
  testing::fake_store store_;
  testing::memory_journal journal_;
  // Of the run under way.
  engine* engine_ = nullptr;
  testing::virtual_loop* loop_ = nullptr;
  bool crashes_ = false;
  std::size_t window_ = 0;
  bool complete_ = false;  ///< it said that all is done
  std::uint64_t taken_ = 0;

  std::size_t rows_known_ = 0;
  std::map<std::string, const row*> final_;  ///< by id
  std::string problem_;

 private:
  void play(mood how);
  void check_step();
  void check_acknowledged(const std::string& partition, const mark& finished);

  std::uint64_t steps_max_;
  std::uint64_t steps_ = 0;
  std::uint64_t trace_ = 0;
};

}  // namespace brigade::sim
