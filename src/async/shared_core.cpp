#include <brigade/async/detail/shared_core.hpp>
#include <brigade/async/detail/shared_ports.hpp>
#include <brigade/async/detail/task_state.hpp>

#include <exception>
#include <utility>

namespace brigade::detail {

namespace {

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

own_count shared_port::* how_left() noexcept {
  if (frames_being_destroyed == 0 && std::uncaught_exceptions() == 0) return &shared_port::done_;
  const frame_end how = frames_being_destroyed > 0 ? frame_ended : end_by_exception();
  return how == frame_end::failed ? &shared_port::failed_ : &shared_port::abandoned_;
}

void shared_join_operation::await_suspend(std::coroutine_handle<> handle) {
  if (begin_wait(handle)) return;
  shared_port& port = core_.here(loop::current());
  wait_in(port.joiners_);
  // The last item may have been settled before anybody knew that somebody waits for it.
  core_.check_joined();
}

void shared_join_operation::await_resume() { end_wait(); }

shared_core::shared_core(std::size_t items_max, std::string name)
    : id_(next_id()), capacity_(items_max), name_(std::move(name)) {
  BRIGADE_ASSERT(items_max > 0, "a queue of capacity 0");
}

void shared_core::open_for_threads() {
  ports_.push_back(make_port(true));
  threads_port().room_.add(capacity_);
}

shared_port& shared_core::open(loop& own, loop_junction& junction) {
  shared_port* port = nullptr;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 1; i < ports_.size() && port == nullptr; ++i) {
      if (!ports_[i]->alive_) port = ports_[i].get();
    }
    if (port == nullptr) {
      ports_.push_back(make_port(false));
      port = ports_.back().get();
      version_.fetch_add(1);
    }
    port->alive_ = true;
    port->box_ = own.mailbox();
    port->circle_ = junction.circle();
    port->see_others();
  }
  junction.add(shared_from_this(), *port);
  return *port;
}

void shared_core::close() {
  const std::lock_guard lock(mutex_);
  closed_.store(true);
  // Whoever put something in just now has finished with it when his lock is free.
  for (const auto& port : ports_) {
    const std::lock_guard own(port->lock_);
  }
  call_all();
}

bool shared_core::drained() {
  const std::lock_guard lock(mutex_);
  return is_drained();
}

bool shared_core::is_drained() const {
  for (const auto& port : ports_) {
    const std::lock_guard own(port->lock_);
    if (port->items() + port->fetched_ != 0) return false;
  }
  return true;
}

void shared_core::check_drained() {
  const std::lock_guard lock(mutex_);
  if (is_drained()) call_all();
}

void shared_core::check_joined() {
  const std::lock_guard lock(mutex_);
  if (count_unfinished() == 0) call_all();
}

std::uint64_t shared_core::unfinished() {
  const std::lock_guard lock(mutex_);
  return count_unfinished();
}

std::uint64_t shared_core::count_unfinished() const {
  // The settled first: what is put meanwhile can only add to the rest.
  std::uint64_t settled = thrown_out_;
  for (const auto& port : ports_) {
    settled += port->done_.get() + port->failed_.get() + port->abandoned_.get();
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  std::uint64_t put = 0;
  for (const auto& port : ports_) put += port->put_.get();
  return put - settled;
}

std::uint64_t shared_core::size() {
  const std::lock_guard lock(mutex_);
  std::uint64_t items = 0;
  for (const auto& port : ports_) {
    const std::lock_guard own(port->lock_);
    items += port->items() + port->fetched_;
  }
  return items;
}

queue_statistics shared_core::statistics() {
  queue_statistics result;
  result.size = size();
  result.capacity = capacity_;
  const std::lock_guard lock(mutex_);
  result.unfinished = count_unfinished();
  result.returned = thrown_out_;
  for (const auto& port : ports_) {
    const std::lock_guard own(port->lock_);
    result.granted += port->granted_.get() + port->fetched_;
    result.reserved += port->reserved_;
    result.getters_waiting += port->getters_waiting_.get();
    result.putters_waiting += port->putters_waiting_.get();
    result.put += port->put_.get();
    result.done += port->done_.get();
    result.failed += port->failed_.get();
    result.abandoned += port->abandoned_.get();
  }
  result.getters_waiting += takers_.waiting;
  result.putters_waiting += putters_.waiting;
  return result;
}

std::string shared_core::describe(std::string_view verb) {
  const std::uint64_t items = size();
  std::string text(verb);
  text += verb == "put"    ? " into shared queue '"
          : verb == "take" ? " from shared queue '"
                           : " of shared queue '";
  text += name_ + "' (" + std::to_string(items) + " of " + std::to_string(capacity_);
  if (verb == "join") text += ", " + std::to_string(unfinished()) + " unfinished";
  text += items >= capacity_ ? ", full)" : items == 0 ? ", empty)" : ")";
  return text;
}

void shared_core::assert_unused() {
  const queue_statistics now = statistics();
  BRIGADE_ASSERT(now.getters_waiting == 0,
                 "a shared queue was destroyed while somebody waits to take from it");
  BRIGADE_ASSERT(now.putters_waiting == 0,
                 "a shared queue was destroyed while somebody waits to put into it");
  BRIGADE_ASSERT(joining_ == 0, "a shared queue was destroyed while a task waits to join it");
  BRIGADE_ASSERT(now.unfinished <= now.size,
                 "a shared queue was destroyed while a ticket of it is held");
}

bool shared_core::strangers_may_act(const loop_circle& circle) {
  const std::lock_guard lock(mutex_);
  for (const auto& port : ports_) {
    if (port->alive_ && port->circle_ != &circle) return true;
  }
  return thread_ends_ > takers_.asleep + putters_.asleep;
}

void shared_core::donate_place() {
  const std::lock_guard lock(mutex_);
  ++pool_;
  wake_hungry_for_room();
}

void shared_core::wake_hungry_for_items(std::uint64_t items) {
  if (takers_.waiting != 0) takers_.wake_all();
  for (std::size_t i = 0; i < ports_.size() && items != 0; ++i) {
    next_to_wake_ = (next_to_wake_ + 1) % ports_.size();
    shared_port& port = *ports_[next_to_wake_];
    if (!port.hungry_for_items_) continue;
    const std::uint64_t wanted = port.getters_waiting_.get();
    port.call();
    items -= wanted < items ? wanted : items;
  }
}

void shared_core::wake_hungry_for_room() {
  if (putters_.waiting != 0) putters_.wake_all();
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    next_to_wake_ = (next_to_wake_ + 1) % ports_.size();
    if (!ports_[next_to_wake_]->hungry_for_room_) continue;
    ports_[next_to_wake_]->call();
    return;
  }
}

void shared_core::thread_blocks() {
  if (thread_ends_ > takers_.asleep + putters_.asleep) return;
  for (const auto& port : ports_) {
    const bool waits = port->getters_waiting_.get() + port->putters_waiting_.get() != 0;
    if (waits && port->circle_ != nullptr) port->call();
  }
}

void shared_core::call_all() {
  for (const auto& port : ports_) port->call();
  takers_.wake_all();
  putters_.wake_all();
}

}  // namespace brigade::detail
