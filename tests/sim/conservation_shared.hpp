// One simulated life of a shared queue whose users are all on one loop, where its order and its
// bound hold as those of any queue. (Between loops and threads it is a stress test that checks it.)
#pragma once
#include "sim/conservation_world.hpp"

#include <brigade/async/event.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/shared_queue.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace brigade::sim {

class shared_life {
 public:
  explicit shared_life(std::uint64_t seed);
  /// What went wrong first; empty: nothing did.
  std::string run();
  [[nodiscard]] std::string in_words() const;
  [[nodiscard]] oracle& judge() { return all_.judge; }

 private:
  using shared_end = shared_ticket<parcel>::end;
  /// A ticket and the model's view of it.
  struct held {
    held(queue_model& model, shared_ticket<parcel>&& from)
        : got(std::move(from)), mine(model, **got) {}
    shared_ticket<parcel> got;
    claim mine;
  };
  struct catch_of_one {
    std::vector<held> items;
    bool closed = false;
  };

  task<> play();
  void populate(task_group& group);
  void spawn_sweeper();
  task<> produce(int producer);
  task<> put_somehow(parcel& item, bool& closed);
  task<> put(parcel& item);
  void try_put(parcel& item);
  task<> consume();
  task<bool> take_once();
  task<> take_somehow(catch_of_one& into);
  task<> take(on_cancel mode, catch_of_one& into);
  task<> take_batch(catch_of_one& into);
  task<> select_take(catch_of_one& into);
  void try_take(catch_of_one& into);
  void keep(shared_ticket<parcel>&& got, catch_of_one& into);
  task<> use(held& mine);
  task<> sweep();
  task<> wait_for_join();
  task<> make_trouble();
  void do_harm();
  void close();
  void abort();
  task<> finish();
  void check_step();
  void check_end();

  std::uint64_t seed_;
  world all_;
  testing::virtual_loop loop_;
  std::uint64_t dies_after_;
  int items_each_;
  int putter_count_;
  int taker_count_;
  bool gives_back_;
  waiting_line takers_;
  waiting_line putters_;
  queue_model model_;
  shared_queue<parcel> queue_;
  bool has_sweeper_ = false;
  task_group* group_ = nullptr;
  event trouble_over_{"no more trouble"};
  std::vector<task_handle<>> victims_;
  std::vector<task_handle<>> makers_;
  std::vector<task_handle<>> consumers_;
};

}  // namespace brigade::sim
