// What somebody has taken, in whichever way, with the model's view of it: both end in the same
// step.
#pragma once
#include "sim/conservation_world.hpp"

#include <brigade/async/queue.hpp>
#include <brigade/async/ticket.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade::sim {

/// The model's note of who holds so many items.
class holder_note {
 public:
  holder_note(queue_model& in, std::size_t items) : in_(&in), items_(items) {
    if (!in.terms().notes_holders) in_ = nullptr;
    if (in_ != nullptr) in_->holds(task_ = own_name(), items_);
  }
  holder_note(holder_note&& other) noexcept
      : in_(std::exchange(other.in_, nullptr)),
        task_(std::move(other.task_)),
        items_(other.items_) {}
  holder_note& operator=(holder_note&&) = delete;
  ~holder_note() { end(); }
  void end() {
    if (in_ != nullptr) std::exchange(in_, nullptr)->holds_no_more(task_, items_);
  }

 private:
  queue_model* in_;
  std::string task_;
  std::size_t items_;
};

struct held_ticket {
  held_ticket(queue_model& model, ticket<parcel>&& from)
      : got(std::move(from)), mine(model, **got), note(model, 1) {}
  /// Split from a batch, which had taken it.
  held_ticket(queue_model& model, ticket<parcel>&& from, claim&& already)
      : got(std::move(from)), mine(std::move(already)), note(model, 1) {}
  ticket<parcel> got;
  claim mine;
  holder_note note;
};

struct held_batch {
  held_batch(queue_model& model, batch<parcel>&& from)
      : got(std::move(from)), note(model, got.size()) {
    mine.reserve(got.size());
    for (parcel& item : got) mine.emplace_back(model, *item);
  }
  /// Those that were settled by themselves have an empty claim.
  void will_end_as(fate how) {
    for (claim& each : mine) each.will_end_as(how);
  }
  batch<parcel> got;
  std::vector<claim> mine;
  holder_note note;
};

/// Of `get`: whoever has it says `task_done`, however he ends.
struct held_item {
  held_item(detail::queue_core& from, queue_model& model, parcel&& item)
      : queue(from), got(std::move(item)), mine(model, *got) {
    mine.will_end_as(fate::done);
    saw(feature::got);
  }
  held_item(const held_item&) = delete;
  held_item& operator=(const held_item&) = delete;
  ~held_item() { queue.task_done(); }
  detail::queue_core& queue;
  parcel got;
  claim mine;
};

struct haul {
  std::optional<held_ticket> one;
  std::optional<held_batch> several;
  std::optional<held_item> plain;
  no_item why = no_item::none;  ///< nothing came

  void take(queue_model& from, ticket<parcel>&& got) {
    why = got.why();
    if (got) one.emplace(from, std::move(got));
    look(from);
  }
  void take(queue_model& from, batch<parcel>&& got) {
    why = got.why();
    if (got) several.emplace(from, std::move(got));
    look(from);
  }
  void closed(queue_model& from) {
    why = no_item::closed;
    look(from);
  }

 private:
  void look(queue_model& from) const {
    if (why == no_item::closed) from.check_closed_and_empty();
    saw_if(why == no_item::cancelled, feature::take_ended_by_cancel);
  }
};

}  // namespace brigade::sim
