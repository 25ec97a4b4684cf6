#include "sim/conservation_line.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace brigade::sim {

using detail::wait_state;

waiting_line::entry::entry(waiting_line& in, const detail::waiter& operation, std::size_t weight,
                           bool gathers)
    : in_(in), operation_(operation), weight_(weight), gathers_(gathers) {
  in_.entries_.push_back(this);
}

waiting_line::entry::entry(waiting_line& in, const detail::waiter& operation, item_record& item)
    : entry(in, operation, item.weight) {
  item_ = &item;
}

waiting_line::entry::~entry() { std::erase(in_.entries_, this); }

void waiting_line::entry::served() {
  if (seen_ == wait_state::idle) in_.nobody_is_overtaken();
}

void waiting_line::nobody_is_overtaken() {
  for (const entry* each : entries_) {
    if (each->operation_.state() != wait_state::waiting) continue;
    judge_.problem(of_ + ": somebody was served at once while others wait");
  }
}

item_record* waiting_line::next_finished() {
  for (entry* each : entries_) {
    const bool finished = each->operation_.state() == wait_state::completed;
    if (each->item_ != nullptr && finished && !std::exchange(each->told_, true)) return each->item_;
  }
  return nullptr;
}

void waiting_line::check_order() {
  bool somebody_waits = false;
  for (const entry* each : entries_) {
    if (each->seen_ != wait_state::waiting) continue;
    const wait_state now = each->operation_.state();
    if (now == wait_state::waiting) somebody_waits = true;
    if (now == wait_state::granted && somebody_waits) {
      judge_.problem(of_ + ": one who came later was served first");
    }
  }
  for (const entry* each : entries_) {
    const bool newcomer = each->seen_ == wait_state::idle;
    if (newcomer && somebody_waits && each->operation_.state() == wait_state::granted) {
      judge_.problem(of_ + ": a newcomer was served before those who wait");
    }
  }
}

void waiting_line::check() {
  check_order();
  const auto has_come = [](const entry* each) {
    return each->seen_ != wait_state::waiting && each->operation_.state() == wait_state::waiting;
  };
  for (std::size_t left = entries_.size(), at = 0; left > 0; --left) {
    const auto here = entries_.begin() + static_cast<std::ptrdiff_t>(at);
    if (has_come(*here)) {
      std::rotate(here, here + 1, entries_.end());
    } else {
      ++at;
    }
  }
  waiting_ = granted_ = gatherers_ = head_weight_ = 0;
  for (entry* each : entries_) {
    each->seen_ = each->operation_.state();
    gatherers_ += each->gathers_ ? 1 : 0;
    granted_ += each->seen_ == wait_state::granted ? 1 : 0;
    if (each->seen_ != wait_state::waiting) continue;
    if (waiting_++ == 0) head_weight_ = each->weight_;
  }
}

}  // namespace brigade::sim
