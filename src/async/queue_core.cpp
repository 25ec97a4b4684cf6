#include <brigade/async/cancel.hpp>
#include <brigade/async/detail/probe.hpp>
#include <brigade/async/detail/queue_core.hpp>
#include <brigade/async/detail/task_state.hpp>
#include <brigade/async/error.hpp>

#include <utility>

namespace brigade::detail {

namespace {

std::string seconds(std::chrono::nanoseconds duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

}  // namespace

/// The task is kept, so that it has a name to the end.
struct holder : link, pooled {
  holder(queue_core& from, std::source_location take, std::size_t count)
      : queue(from),
        task(loop::current().running()),
        where(take),
        since(loop::current().now()),
        items(count) {
    task->retain();
  }
  holder(const holder&) = delete;
  holder& operator=(const holder&) = delete;
  ~holder() {
    unlink();
    task->release();
  }
  queue_core& queue;
  task_state* task;
  std::source_location where;
  time_point since;
  std::size_t items;
};

queue_core::queue_core(std::size_t items_max, std::string name)
    : room_plain_(items_max), capacity_(items_max), name_(std::move(name)) {
  find_uncaught_count();
  BRIGADE_ASSERT(items_max > 0, "a queue of capacity 0; unbounded is spelled brigade::unbounded");
}

queue_core::~queue_core() {
  BRIGADE_ASSERT(getters_.empty() && granted_ == 0,
                 "a queue was destroyed while a task waits to take from it");
  BRIGADE_ASSERT(putters_.empty(), "a queue was destroyed while a task waits to put into it");
  BRIGADE_ASSERT(joiners_.empty(), "a queue was destroyed while a task waits to join it");
  BRIGADE_ASSERT(reserved_ == 0, "a queue was destroyed while a slot of it is held");
  BRIGADE_ASSERT(leaving_ == 0,
                 "a queue was destroyed while a task that waited is about to hear of its end");
  BRIGADE_ASSERT(unfinished_ == size_ + got_, "a queue was destroyed while a ticket of it is held");
}

queue_statistics queue_core::statistics() const {
  queue_statistics result;
  result.size = size_;
  result.capacity = capacity_;
  result.weight = weight_;
  result.weight_max = weight_max_;
  result.granted = granted_;
  result.reserved = reserved_;
  result.getters_waiting = getters_.size();
  result.putters_waiting = putters_.size();
  result.put = unfinished_ + done_ + failed_ + abandoned_ + dropped_ + returned_;
  result.done = done_;
  result.failed = failed_;
  result.abandoned = abandoned_;
  result.dropped = dropped_;
  result.returned = returned_;
  result.refused = refused_;
  result.unfinished = unfinished_;
  return result;
}

void queue_core::set_overflow(overflow when_full) {
  when_full_ = when_full;
  if (when_full != overflow::wait) make_odd(has_policy);
}

void queue_core::set_weight_max(std::size_t weight_max) {
  BRIGADE_ASSERT(weight_max > 0, "a queue with a weigher and a weight_max of 0");
  weight_max_ = weight_max;
  make_odd(is_weighed);
}

void queue_core::note_holders() { make_odd(notes_holders); }

bool queue_core::fits(std::size_t weight) const {
  const std::size_t items = size_ + reserved_;
  if (items == 0) return true;
  if (items >= capacity_) return false;
  if (!weighed()) return true;
  const std::size_t used = weight_ + reserved_weight_;
  return used <= weight_max_ && weight <= weight_max_ - used;
}

void queue_core::grant_putters() noexcept {
  while (!putters_.empty()) {
    auto* next = static_cast<putter*>(putters_.front());
    const std::size_t weight = next->weight();
    if (!fits(weight)) return;
    reserve(weight);
    static_cast<waiter*>(next)->wake(wait_state::granted);
  }
}

void queue_core::items_left(std::size_t count) noexcept {
  size_ -= count;
  if (odd()) {
    grant_putters();
  } else {
    while (!putters_.empty() && room_to_spare()) grant_putter();
  }
  if (closed_and_drained()) end_getters();
}

void queue_core::take_back_item_grants(std::size_t count) noexcept {
  if (count == 0) return;
  probe::passed(probe::coverage::grant_revoked);
  if (aborted_) return;
  BRIGADE_ASSERT(granted_ >= count, "an item grant was taken back twice");
  granted_ -= count;
  if (!probe::stands(probe::guard::grant_pass_on)) return;
  while (!getters_.empty() && item_to_spare()) grant_getter();
}

void queue_core::use_reserved(std::size_t weight) noexcept {
  BRIGADE_ASSERT(reserved_ > 0, "a room grant was taken back twice");
  BRIGADE_ASSERT(reserved_weight_ >= weight, "a weigher gave one item two weights");
  --reserved_;
  reserved_weight_ -= weight;
  offer_ = nullptr;  // it may have been that of this room
}

void queue_core::take_back_room_grant(std::size_t weight) noexcept {
  probe::passed(probe::coverage::put_cancelled_after_grant);
  use_reserved(weight);
  if (!probe::stands(probe::guard::slot_pass_on)) return;
  if (!putters_.empty()) room_was_made();
}

void queue_core::refuse_unless_fits(std::size_t weight) {
  if (when_full_ != overflow::refuse || fits(weight)) return;
  ++refused_;
  throw queue_full(name_);
}

void queue_core::settle_many(counter which, std::size_t count) noexcept {
  if (count == 0) return;
  BRIGADE_ASSERT(unfinished_ >= count, "an item was settled twice");
  this->*which += count;
  unfinished_ -= count;
  if (unfinished_ == 0) nothing_unfinished();
}

void queue_core::task_done() noexcept {
  BRIGADE_ASSERT(got_ > 0, "task_done() was called more often than there were items from get()");
  --got_;
  settle(&queue_core::done_);
}

void queue_core::mark_closed() noexcept {
  closed_ = true;
  heed_ = true;
  room_plain_ = 0;
  offer_ = nullptr;
  // While an item is promised, whoever waits may still get it: should its promise be taken back.
  if (size_ == 0) end_getters();
  hurry_gatherer();
  for (; !putters_.empty(); ++leaving_) {
    static_cast<waiter*>(putters_.front())->wake(wait_state::ended);
  }
}

void queue_core::forget_all_items() noexcept {
  if (granted_ > 0) probe::passed(probe::coverage::abort_with_grant_out);
  aborted_ = true;
  BRIGADE_ASSERT(unfinished_ >= size_, "more items queued than unfinished");
  unfinished_ -= size_;
  returned_ += size_;
  size_ = 0;
  granted_ = 0;
  weight_ = 0;
  end_getters();
  if (unfinished_ == 0) nothing_unfinished();
}

void queue_core::hurry_gatherer() noexcept {
  if (getters_.empty()) return;
  auto* first = static_cast<getter*>(getters_.front());
  if (first->gathers_) static_cast<gatherer*>(first)->hurry();
}

void queue_core::end_getters() noexcept {
  for (; !getters_.empty(); ++leaving_) {
    static_cast<waiter*>(getters_.front())->wake(wait_state::ended);
  }
}

void queue_core::wake_joiners() noexcept {
  for (; !joiners_.empty(); ++leaving_) {
    static_cast<waiter*>(joiners_.front())->wake(wait_state::granted);
  }
}

holder* queue_core::note_taken(std::source_location where, std::size_t items) {
  if ((odd_ & notes_holders) == 0) return nullptr;
  auto* record = new holder(*this, where, items);
  holders_.push_back(record);
  return record;
}

queue_core& queue_core::forget_taken(holder* record) noexcept {
  queue_core& from = record->queue;
  delete record;
  return from;
}

task<> queue_core::join(std::source_location where) {
  while (unfinished_ != 0) {
    join_operation wait(*this, where);
    co_await wait;
    if (unfinished_ != 0) probe::passed(probe::coverage::join_raced_by_put);
  }
}

task<join_result> queue_core::join(std::chrono::nanoseconds within, std::source_location where) {
  const deadline_scope limit(within);
  try {
    co_await join(where);
  } catch (const cancelled&) {
    if (!limit.caused_cancellation()) throw;
    limit.cancellation_ended();
  }
  co_return join_ended();
}

join_result queue_core::join_ended() const {
  join_result result;
  result.queued = size_;
  result.held = unfinished_ - size_;
  const time_point now = loop::current().now();
  for (const link* node = holders_.front(); node != holders_.end(); node = node->next) {
    const auto* out = static_cast<const holder*>(node);
    result.holders.push_back({out->task->name(), out->where, now - out->since, out->items});
  }
  std::string& text = result.text;
  text = "queue '" + name_ + "': ";
  if (result) {
    text += "everything is settled";
    return result;
  }
  text += std::to_string(unfinished_) + " unfinished: " + std::to_string(size_) + " queued, " +
          std::to_string(result.held) + " taken and not settled";
  if (closed_) text += "; it is closed";
  for (const item_holder& who : result.holders) {
    text += "\n  task '" + who.task + "' has held " + std::to_string(who.items) + " for " +
            seconds(who.held_for) + ", taken at " + who.where.file_name() + ":" +
            std::to_string(who.where.line());
  }
  if ((odd_ & notes_holders) == 0 && result.held != 0) {
    text += " (a queue made with note_holders() says by whom)";
  }
  return result;
}

std::string queue_core::describe(std::string_view verb) const {
  std::string text(verb);
  text += verb == "take" ? " from queue '" : verb == "join" ? " of queue '" : " into queue '";
  text += name_;
  text += "' (" + std::to_string(size_) + " of ";
  text += capacity_ > (std::size_t{1} << 60) ? "unbounded" : std::to_string(capacity_);
  if (weighed()) {
    text += ", weight " + std::to_string(weight_) + " of " + std::to_string(weight_max_);
  }
  if (verb == "join") {
    text += ", " + std::to_string(unfinished_) + " unfinished";
    if (unfinished_ > size_) {
      text += ", " + std::to_string(unfinished_ - size_) + " of them taken and not settled";
    }
  }
  if (closed_) text += ", closed";
  text += full() ? ", full)" : size_ == 0 ? ", empty)" : ")";
  return text;
}

void join_operation::await_resume() {
  if (end_wait() == wait_state::granted) --queue_.leaving_;
}

}  // namespace brigade::detail
