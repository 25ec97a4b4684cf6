// Those who take, in every way there is, and what they do with what they got.
#pragma once
#include "sim/conservation_haul.hpp"
#include "sim/conservation_world.hpp"

#include <brigade/async/queue.hpp>
#include <brigade/async/task.hpp>

#include <cstddef>
#include <stdexcept>

namespace brigade::sim {

struct spoiled : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What all of them do with what they have; ends with it settled, given back or dropped.
struct handlers {
  world& all;
  bool gives_back;

  task<> use(haul& load);
  task<> use_one(held_ticket& mine);
  task<> use_several(held_batch& mine);
  void settle_some(held_batch& mine);
  void split(held_batch& mine, std::size_t index);
};

template <class Queue>
class takers {
 public:
  takers(queue_world<Queue>& all, bool gives_back) : all_(all), handlers_{all, gives_back} {}
  /// Until `home` is closed and empty.
  task<> consume(subject<Queue>& home);
  /// The same, by nothing but a plain take: with one of these about, whatever is put is taken.
  task<> sweep(subject<Queue>& home);
  /// Whatever is there, without a wait; outside of any task's own work.
  void snatch(subject<Queue>& from);
  [[nodiscard]] handlers& hands() { return handlers_; }

 private:
  enum class way : std::uint8_t {
    take,
    take_or_end,
    try_take,
    get,
    try_get,
    batch,
    lingering_batch,
    select_two,
    select_bell,
    select_batch,
    select_get,
    count_
  };
  /// False: it is closed and empty.
  task<bool> once(subject<Queue>& home);
  task<> fetch(way how, subject<Queue>& from, haul& into);
  task<> take(subject<Queue>& from, on_cancel mode, haul& into);
  task<> get(subject<Queue>& from, haul& into);
  task<> take_batch(subject<Queue>& from, bool lingers, haul& into);
  void try_now(way how, subject<Queue>& from, haul& into);
  task<> select_two(subject<Queue>& from, haul& into);
  task<> select_bell(subject<Queue>& from, haul& into);
  task<> select_batch(subject<Queue>& from, haul& into);
  task<> select_get(subject<Queue>& from, haul& into);

  queue_world<Queue>& all_;
  handlers handlers_;
};

extern template class takers<queue<parcel>>;
extern template class takers<lifo_queue<parcel>>;
extern template class takers<priority_queue<parcel, by_rank>>;

}  // namespace brigade::sim
