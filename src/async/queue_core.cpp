#include <brigade/async/detail/queue_core.hpp>
#include <brigade/async/detail/task_state.hpp>

#include <utility>

namespace brigade::detail {

queue_core::queue_core(std::size_t items_max, std::string name)
    : capacity_(items_max), name_(std::move(name)) {
  BRIGADE_ASSERT(items_max > 0, "a queue of capacity 0; unbounded is spelled brigade::unbounded");
}

queue_core::~queue_core() {
  BRIGADE_ASSERT(getters_.empty(), "a queue was destroyed while a task waits to take from it");
  BRIGADE_ASSERT(putters_.empty(), "a queue was destroyed while a task waits to put into it");
}

queue_statistics queue_core::statistics() const {
  queue_statistics result;
  result.size = size_;
  result.capacity = capacity_;
  for (const link* node = getters_.front(); node != getters_.end(); node = node->next) {
    ++result.getters_waiting;
  }
  for (const link* node = putters_.front(); node != putters_.end(); node = node->next) {
    ++result.putters_waiting;
  }
  result.put = put_;
  result.done = done_;
  result.failed = failed_;
  result.abandoned = abandoned_;
  result.unfinished = unfinished_;
  return result;
}

void queue_core::take_back_item_grant() noexcept {
  if (aborted_ && granted_ == 0) return;
  BRIGADE_ASSERT(granted_ > 0, "an item grant was taken back twice");
  --granted_;
  if (!getters_.empty() && item_to_spare()) grant_getter();
}

void queue_core::take_back_room_grant() noexcept {
  BRIGADE_ASSERT(reserved_ > 0, "a room grant was taken back twice");
  --reserved_;
  if (!putters_.empty() && room_to_spare()) grant_putter();
}

void queue_core::mark_closed() noexcept {
  closed_ = true;
  while (!getters_.empty()) static_cast<waiter*>(getters_.front())->wake(wait_state::ended);
  while (!putters_.empty()) static_cast<waiter*>(putters_.front())->wake(wait_state::ended);
}

void queue_core::forget_all_items() noexcept {
  aborted_ = true;
  BRIGADE_ASSERT(unfinished_ >= size_, "more items queued than unfinished");
  unfinished_ -= size_;
  size_ = 0;
  granted_ = 0;
  if (unfinished_ == 0) wake_joiners();
}

void queue_core::wake_joiners() noexcept {
  while (!joiners_.empty()) static_cast<waiter*>(joiners_.front())->wake(wait_state::granted);
}

std::string queue_core::describe(std::string_view verb) const {
  std::string text(verb);
  text += verb == "put" ? " into queue '" : verb == "take" ? " from queue '" : " of queue '";
  text += name_;
  text += "' (" + std::to_string(size_) + " of ";
  text += capacity_ > (std::size_t{1} << 60) ? "unbounded" : std::to_string(capacity_);
  if (verb == "join") text += ", " + std::to_string(unfinished_) + " unfinished";
  text += full() ? ", full)" : size_ == 0 ? ", empty)" : ")";
  return text;
}

void join_operation::await_resume() const {
  auto& self = const_cast<join_operation&>(*this);
  if (std::exchange(self.state_, wait_state::idle) == wait_state::cancelled) {
    task_->throw_cancelled();
  }
}

}  // namespace brigade::detail
