// One simulated life of a queue: tasks put, take, give back, run out of time and are cancelled, and
// the queue is closed or aborted, all at moments drawn from a seed. A model says what must be.
#pragma once
#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace brigade::sim {

class queue_scenario {
 public:
  explicit queue_scenario(std::uint64_t seed);
  /// What went wrong first; empty: nothing did.
  [[nodiscard]] std::string run();
  [[nodiscard]] std::uint64_t steps() const { return loop_.steps(); }
  /// Puts that a taker has finished.
  [[nodiscard]] std::uint64_t taken_up() const { return taken_up_; }

 private:
  struct label {
    int producer;
    int number;
    friend bool operator==(const label&, const label&) = default;
  };
  // On the heap, so that a sanitizer sees an item that is lost, kept or used twice.
  using parcel = std::unique_ptr<label>;
  struct ends {
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    std::uint64_t abandoned = 0;
  };
  class claim;
  class offer;

  task<> play();
  task<> squad();
  void spawn_producers(task_group& group, int count);
  void spawn_consumers(task_group& group, int count);
  task<> produce(int producer);
  task<bool> put_somehow(label what);
  task<bool> put_in_time(label what);
  task<> put_one(label what);
  task<> consume();
  task<ticket<parcel>> take_somehow();
  task<ticket<parcel>> take_one(on_cancel mode);
  task<> use_or_fail(ticket<parcel> got);
  task<> use(ticket<parcel> got);
  task<> sweep();
  task<> wait_for_join();
  task<> make_trouble();
  [[nodiscard]] task_handle<> some_victim();
  void do_harm();
  task<> finish();

  void close();
  void abort();
  void was_put(const label& what);
  bool note_taken_up(const label& what);
  void note_taken_up();
  void saw_the_end();
  void check_step();
  void check_end();
  void problem(const std::string& what);
  void require(bool holds, const char* what) {
    if (!holds) problem(what);
  }
  [[nodiscard]] bool chance(std::uint64_t one_in) { return random_.one_in(one_in); }
  [[nodiscard]] int up_to(int most) {
    return static_cast<int>(random_.below(static_cast<std::uint64_t>(most) + 1));
  }

  testing::random_source random_;
  testing::virtual_loop loop_;
  bool gives_back_;
  bool crashes_;
  int items_each_;
  queue<parcel> jobs_;

  // The model.
  std::deque<label> waiting_;  ///< in the queue, oldest first
  std::size_t held_ = 0;       ///< taken and not settled
  std::vector<label> offers_;  ///< puts under way
  std::uint64_t taken_up_ = 0;
  std::uint64_t put_ = 0;
  std::uint64_t given_back_ = 0;
  std::uint64_t returned_ = 0;
  ends ends_;
  bool closed_ = false;
  bool aborted_ = false;

  task_group* outer_ = nullptr;
  task_group* squad_ = nullptr;
  event squad_ready_{"the squad is there"};
  event trouble_over_{"no more trouble"};
  int next_producer_ = 0;
  bool has_sweeper_ = false;
  std::vector<task_handle<>> victims_;  ///< whom a cancellation may strike
  std::vector<task_handle<>> producers_;
  std::vector<task_handle<>> consumers_;
  std::string problem_;
};

}  // namespace brigade::sim
