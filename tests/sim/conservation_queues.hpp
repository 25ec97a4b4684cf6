// One simulated life of up to three queues of a kind: tasks put into them and take from them in
// every way there is, run out of time and are cancelled, and queues are closed and aborted, all at
// moments drawn from a seed.
#pragma once
#include "sim/conservation_putters.hpp"
#include "sim/conservation_takers.hpp"
#include "sim/conservation_world.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace brigade::sim {

template <class Queue>
class queue_life {
 public:
  explicit queue_life(std::uint64_t seed);
  /// What went wrong first; empty: nothing did.
  std::string run();
  /// Who was there, in words; known before it runs.
  [[nodiscard]] std::string in_words() const;
  [[nodiscard]] oracle& judge() { return all_.judge; }

 private:
  task<> play();
  void populate(task_group& group);
  task<> squad();
  void spawn_putter(task_group& group);
  void spawn_taker(task_group& group);
  void spawn_sweeper(std::size_t at);
  task<> wait_for_join();
  task<> join_in_time(subject<Queue>& target);
  task<> make_trouble();
  void do_harm();
  void cancel_somebody();
  void close(subject<Queue>& target);
  void abort(subject<Queue>& target);
  task<> finish();
  void check_step();
  void check_end();

  std::uint64_t seed_;
  queue_world<Queue> all_;
  testing::virtual_loop loop_;
  std::uint64_t dies_after_ = 0;  ///< steps; 0: it does not
  int items_each_;
  int putter_count_;
  int taker_count_;
  int joiner_count_;
  bool gives_back_;
  takers<Queue> takers_;
  putters<Queue> putters_;

  task_group* outer_ = nullptr;
  task_group* squad_ = nullptr;
  event squad_ready_{"the squad is there"};
  event trouble_over_{"no more trouble"};
  int next_producer_ = 0;
  std::vector<bool> is_swept_;
  std::vector<task_handle<>> victims_;  ///< whom a cancellation may strike
  std::vector<task_handle<>> makers_;
  std::vector<task_handle<>> consumers_;
};

extern template class queue_life<queue<parcel>>;
extern template class queue_life<lifo_queue<parcel>>;
extern template class queue_life<priority_queue<parcel, by_rank>>;

}  // namespace brigade::sim
