// Those who put, in every way there is. An item that no put has taken stays with its maker.
#pragma once
#include "sim/conservation_takers.hpp"
#include "sim/conservation_world.hpp"

#include <brigade/async/queue.hpp>
#include <brigade/async/task.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace brigade::sim {

/// A slot, counted by the model as long as it holds.
class held_slot {
 public:
  held_slot(queue_model& model, slot<parcel>&& from) : model_(&model), room_(std::move(from)) {
    model_->slot_taken();
  }
  held_slot(const held_slot&) = delete;
  held_slot& operator=(const held_slot&) = delete;
  ~held_slot() {
    if (room_) model_->slot_used();
  }
  void commit(parcel& item) {
    model_->slot_used();
    room_.commit(item);
  }
  void drop() {
    model_->slot_used();
    room_.drop();
  }

 private:
  queue_model* model_;
  slot<parcel> room_;
};

template <class Queue>
class putters {
 public:
  putters(queue_world<Queue>& all, takers<Queue>& others) : all_(all), others_(others) {}
  /// So many items, or until `home` is closed.
  task<> produce(subject<Queue>& home, int producer, int items);

 private:
  enum class way : std::uint8_t {
    put,
    put_from,
    try_put,
    reserve,
    select_two,
    select_reserve,
    select_forward,
    count_
  };
  /// One item on its way; what becomes of it is seen from it.
  struct offer {
    subject<Queue>& home;
    parcel item;
    std::size_t weight = 0;  ///< asked for
    bool closed = false;
    haul load;  ///< taken on the way, by a select that could do either
    std::optional<held_slot> room;
  };
  task<bool> offer_one(subject<Queue>& home, parcel item);
  task<> attempt(way how, offer& one);
  task<> put(offer& one);
  task<> put_from(offer& one);
  task<> reserve(offer& one);
  task<> use_room(offer& one);
  task<> select_two(offer& one);
  task<> select_reserve(offer& one);
  task<> select_forward(offer& one);
  void try_put(offer& one);
  void note_refusal(offer& one, const std::string& text);
  void choose_weight_to_reserve(offer& one) {
    if (all_.chance(2)) one.weight = weight_most;
  }

  queue_world<Queue>& all_;
  takers<Queue>& others_;
};

extern template class putters<queue<parcel>>;
extern template class putters<lifo_queue<parcel>>;
extern template class putters<priority_queue<parcel, by_rank>>;

}  // namespace brigade::sim
