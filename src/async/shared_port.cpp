#include <brigade/async/detail/shared_core.hpp>
#include <brigade/async/detail/task_state.hpp>

#include <algorithm>
#include <thread>

namespace brigade::detail {

namespace {

// A port that has so many places free can spare half of them at any time.
constexpr std::uint64_t plenty = 8;
// Room that others lack goes in large portions, unless these take too long to gather.
constexpr int looks_with_room_max = 16;
// While others lack room, they get one in so many places that come free.
constexpr std::uint64_t donate_one_in = 4;
// Items of others that waited for a whole turn come in between a port's own, so many a turn.
constexpr std::uint64_t foreign_max = 16;
constexpr int spins_before_yield = 128;

bool any_foreground(const link_list& list) {
  for (const link* node = list.front(); node != list.end(); node = node->next) {
    if (!static_cast<const waiter*>(node)->task()->background()) return true;
  }
  return false;
}

}  // namespace

void spin_lock::wait() const noexcept {
  for (int i = 0; held_.load(std::memory_order_relaxed); ++i) {
    if (i < spins_before_yield) {
      relax();
    } else {
      std::this_thread::yield();  // its holder may have lost its processor
    }
  }
}

void shared_port::look(bool idle) {
  const bool called = called_.load(std::memory_order_relaxed) && called_.exchange(false);
  if (others_version_ != core_.version_.load(std::memory_order_acquire)) {
    const std::lock_guard lock(core_.mutex_);
    see_others();
  }
  if (called) serve_ends();
  serve_own();
  const bool served = fetch_for_waiters(called || idle);
  share(idle && !served);
  if (settled_since_look_) {
    settled_since_look_ = false;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (core_.joining_.load() != 0) core_.check_joined();
  }
  note_age();
}

void shared_port::see_others() {
  others_version_ = core_.version_.load(std::memory_order_relaxed);
  others_.clear();
  for (const auto& port : core_.ports_) {
    if (port.get() != this) others_.push_back(port.get());
  }
  seen_.resize(others_.size());
}

void shared_port::leave() {
  BRIGADE_ASSERT(getters_.empty(), "a loop ended while a task of it waits to take");
  BRIGADE_ASSERT(putters_.empty(), "a loop ended while a task of it waits to put");
  const std::lock_guard lock(core_.mutex_);
  alive_ = false;
  box_.reset();
  set_hungry(hungry_for_items_, core_.hungry_for_items_, false);
  set_hungry(hungry_for_room_, core_.hungry_for_room_, false);
  set_starving(false);
  core_.call_all();  // for what it leaves behind, and for who waited for it alone
}

bool shared_port::awaited() const {
  return any_foreground(getters_) || any_foreground(putters_) || any_foreground(joiners_);
}

void shared_port::settle(own_count shared_port::* counter) noexcept {
  if (!for_threads_) {
    (this->*counter).add();
    settled_since_look_ = true;
    return;
  }
  (this->*counter).add_shared();
  if (core_.joining_.load() != 0) core_.check_joined();
}

void shared_port::wake_getter() noexcept {
  getters_waiting_.subtract(1);
  static_cast<waiter*>(getters_.front())->wake(wait_state::granted);
}

void shared_port::wake_putter() noexcept {
  putters_waiting_.subtract(1);
  static_cast<waiter*>(putters_.front())->wake(wait_state::granted);
}

void shared_port::take_back_item_grant() noexcept {
  if (!getters_.empty()) return wake_getter();  // the promise moves on
  {
    const std::lock_guard own(lock_);
    if (granted_.get() != 0) return granted_.subtract(1);
  }
  const std::lock_guard lock(core_.mutex_);
  if (core_.aborted()) return;
  BRIGADE_ASSERT(fetched_ > 0, "an item grant was taken back twice");
  shared_port& origin = send_last_back();
  ++core_.sent_back_;
  origin.call();
  core_.wake_hungry_for_items(1);
}

void shared_port::take_back_room_grant() noexcept {
  if (!putters_.empty()) return wake_putter();
  const std::lock_guard own(lock_);
  BRIGADE_ASSERT(reserved_ > 0, "a room grant was taken back twice");
  --reserved_;
  add_room(1);
}

void shared_port::after_take(room_use freed) noexcept {
  if (freed == room_use::granted) wake_putter();
  if (freed == room_use::donated) core_.donate_place();
  if (core_.closed() && items() == 0) core_.check_drained();
}

room_use shared_port::free_place() noexcept {
  if (debt_ != 0) {
    --debt_;
    return room_use::kept;
  }
  if (putters_.empty()) {
    room_.add();
    return room_use::kept;
  }
  if (core_.hungry_for_room_.load(std::memory_order_relaxed) != 0 &&
      ++freed_ % donate_one_in == 0) {
    return room_use::donated;
  }
  ++reserved_;
  return room_use::granted;
}

void shared_port::take_place_back() noexcept {
  if (room_.get() != 0) {
    room_.subtract(1);
  } else {
    ++debt_;
  }
}

void shared_port::add_room(std::uint64_t places) noexcept {
  const std::uint64_t paid = std::min(places, debt_);
  debt_ -= paid;
  room_.add(places - paid);
}

std::uint64_t shared_port::fetch_items(shared_port& from, std::uint64_t count) {
  const std::lock_guard theirs(from.lock_);
  const std::lock_guard own(lock_);
  const std::uint64_t moved = std::min(count, from.spare_items());
  if (moved == 0) return 0;
  move_front_of(from, moved);
  from.out_.add(moved);
  fetched_ += moved;
  // Room gathers where items are taken; it is wanted where they are put.
  if (from.putters_waiting_.get() != 0 && putters_.empty() && room_worth_sending()) {
    from.add_room(room_.get());
    room_.subtract(room_.get());
    from.call();
  }
  return moved;
}

std::uint64_t shared_port::fetch_room(std::uint64_t wanted) {
  {
    const std::lock_guard own(lock_);
    wanted += debt_;  // paid first
  }
  std::uint64_t found = 0;
  if (starving_ || core_.starving_ == 0) {
    found = std::min(wanted, core_.pool_);
    core_.pool_ -= found;
  }
  for (const auto& port : core_.ports_) {
    if (port.get() == this || found >= wanted) continue;
    const std::lock_guard theirs(port->lock_);
    const std::uint64_t room = port->room_.get();
    const std::uint64_t taken = std::min(room, std::max(wanted - found, room / 2));
    port->room_.subtract(taken);
    found += taken;
  }
  const std::lock_guard own(lock_);
  add_room(found);
  return room_.get();
}

void shared_port::fetch_room_in_plenty() {
  const bool worth = std::ranges::any_of(others_, [this](const shared_port* port) {
    const std::uint64_t room = port->room_.get();
    return room >= plenty || (room != 0 && port == others_.front());
  });
  if (!worth) return;
  const std::lock_guard lock(core_.mutex_);
  fetch_room(1);
}

void shared_port::call() noexcept {
  if (box_ == nullptr) return;
  set_hungry(hungry_for_items_, core_.hungry_for_items_, false);
  set_hungry(hungry_for_room_, core_.hungry_for_room_, false);
  called_.store(true);
  box_->ring();
}

void shared_port::set_hungry(std::atomic<bool>& flag, std::atomic<std::uint32_t>& count,
                             bool now) noexcept {
  if (flag.load() == now) return;
  flag.store(now);
  if (now) {
    count.fetch_add(1);
  } else {
    count.fetch_sub(1);
  }
}

void shared_port::set_starving(bool now) noexcept {
  if (starving_ == now) return;
  starving_ = now;
  core_.starving_ += now ? 1 : std::size_t{0} - 1;
}

void shared_port::serve_own() {
  if (getters_.empty() && putters_.empty()) return;
  std::uint64_t getters = 0;
  std::uint64_t putters = 0;
  {
    const std::lock_guard own(lock_);
    getters = std::min(getters_waiting_.get(), spare_items());
    granted_.add(getters);
    putters = std::min(putters_waiting_.get(), room_.get());
    room_.subtract(putters);
    reserved_ += putters;
  }
  for (; getters != 0; --getters) wake_getter();
  for (; putters != 0; --putters) wake_putter();
}

void shared_port::serve_ends() {
  if (core_.closed()) {
    for (; !putters_.empty(); putters_waiting_.subtract(1)) {
      static_cast<waiter*>(putters_.front())->wake(wait_state::ended);
    }
    if (!getters_.empty() && core_.drained()) {
      for (; !getters_.empty(); getters_waiting_.subtract(1)) {
        static_cast<waiter*>(getters_.front())->wake(wait_state::ended);
      }
    }
  }
  if (!joiners_.empty() && core_.unfinished() == 0) {
    while (!joiners_.empty()) {
      static_cast<waiter*>(joiners_.front())->wake(wait_state::granted);
    }
  }
}

bool shared_port::fetch_for_waiters(bool now) {
  const bool for_getters = !getters_.empty();
  const bool for_putters = !putters_.empty();
  const bool marked = hungry_for_items_ || hungry_for_room_ || starving_;
  if (!for_getters && !for_putters && !marked) return false;
  if (!now) {
    bool worth = false;
    for (std::size_t i = 0; i < others_.size() && !worth; ++i) {
      worth = (for_getters && aged_spare(i) != 0) || (for_putters && others_[i]->room_.get() != 0);
    }
    if (!worth) return false;
  }
  std::uint64_t items = 0;
  std::uint64_t places = 0;
  {
    const std::lock_guard lock(core_.mutex_);
    if (others_version_ != core_.version_.load()) see_others();
    // Marked before it looks: who adds something after that sees the mark.
    set_hungry(hungry_for_items_, core_.hungry_for_items_, now && for_getters);
    set_hungry(hungry_for_room_, core_.hungry_for_room_, now && for_putters);
    for (std::size_t i = 0; i < others_.size() && items < getters_waiting_.get(); ++i) {
      items += fetch_items(*others_[i], getters_waiting_.get() - items);
    }
    if (for_putters) places = reserve_fetched_room();
    if (items != 0) set_hungry(hungry_for_items_, core_.hungry_for_items_, false);
    if (places != 0) set_hungry(hungry_for_room_, core_.hungry_for_room_, false);
    set_starving(for_putters && places == 0);
    // Kept for the starving, of whom this may have been the last.
    if (core_.pool_ != 0 && core_.starving_ == 0) core_.wake_hungry_for_room();
  }
  const bool served = items + places != 0;
  for (; items != 0; --items) wake_getter();
  for (; places != 0; --places) wake_putter();
  return served;
}

std::uint64_t shared_port::reserve_fetched_room() {
  fetch_room(putters_waiting_.get());
  // Before the mutex is given up: another loop might fetch it again, and nobody would know.
  const std::lock_guard own(lock_);
  const std::uint64_t places = std::min(putters_waiting_.get(), room_.get());
  room_.subtract(places);
  reserved_ += places;
  return places;
}

void shared_port::share(bool idle) {
  if (core_.hungry_for_items_.load() != 0) {
    std::uint64_t spare = 0;
    {
      const std::lock_guard own(lock_);
      const auto aged = static_cast<std::int64_t>(own_seen_ - out_.get() - granted_.get());
      if (idle || aged > 0) spare = spare_items();
    }
    if (spare != 0) {
      const std::lock_guard lock(core_.mutex_);
      core_.wake_hungry_for_items(spare);
    }
  }
  if (core_.hungry_for_room_.load() == 0 || room_.get() == 0) {
    looks_with_room_ = 0;
  } else if (idle || room_worth_sending() || ++looks_with_room_ > looks_with_room_max) {
    const std::lock_guard lock(core_.mutex_);
    core_.wake_hungry_for_room();
  }
}

void shared_port::note_age() {
  foreign_quota_ = 0;
  for (std::size_t i = 0; i < others_.size(); ++i) {
    foreign_quota_ += aged_spare(i);
    seen_[i] = others_[i]->in_.get();
  }
  foreign_quota_ = std::min(foreign_quota_, foreign_max);
  own_seen_ = in_.get();
}

bool shared_port::room_worth_sending() const noexcept {
  return room_.get() >= std::max<std::uint64_t>(core_.capacity_ / 2, 1);
}

std::uint64_t shared_port::aged_spare(std::size_t index) const noexcept {
  const shared_port& other = *others_[index];
  const auto spare =
      static_cast<std::int64_t>(seen_[index] - other.out_.get() - other.granted_.get());
  return spare > 0 ? static_cast<std::uint64_t>(spare) : 0;
}

}  // namespace brigade::detail
