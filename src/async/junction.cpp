#include <brigade/async/detail/junction.hpp>
#include <brigade/async/detail/shared_core.hpp>

#include <chrono>
#include <thread>
#include <utility>

namespace brigade::detail {

namespace {

// Waking a processor that was halted costs about this much, so it is worth staying awake as long.
constexpr std::chrono::microseconds linger_time{50};
constexpr int looks_between_clock_reads = 64;

}  // namespace

void loop_circle::enter(std::size_t index, std::shared_ptr<mailbox> box) {
  const std::lock_guard lock(mutex_);
  members_[index].box = std::move(box);
}

bool loop_circle::others_may_act(std::size_t index,
                                 std::vector<std::shared_ptr<shared_core>> awaited) {
  const std::lock_guard lock(mutex_);
  member& own = members_[index];
  own.now = state::quiet;
  own.awaited = std::move(awaited);
  if (!own.doomed && all_quiet()) doom();
  return !std::exchange(own.doomed, false);
}

void loop_circle::active(std::size_t index) {
  const std::lock_guard lock(mutex_);
  members_[index].now = state::active;
}

bool loop_circle::doomed(std::size_t index) {
  const std::lock_guard lock(mutex_);
  return members_[index].doomed;
}

void loop_circle::ended(std::size_t index) {
  const std::lock_guard lock(mutex_);
  members_[index].now = state::ended;
  if (all_quiet()) doom();
}

bool loop_circle::all_quiet() const {
  for (const member& one : members_) {
    if (one.now == state::ended) continue;
    if (one.now == state::active || one.box->pending()) return false;
    for (const std::shared_ptr<shared_core>& queue : one.awaited) {
      if (queue->strangers_may_act(*this)) return false;
    }
  }
  return true;
}

void loop_circle::doom() {
  for (member& one : members_) {
    if (one.now == state::ended) continue;
    one.doomed = true;
    one.box->ring();
  }
}

loop_junction& loop_junction::of(loop& owner) {
  std::unique_ptr<junction>& place = owner.junction();
  if (!place) place = std::make_unique<loop_junction>(owner);
  return static_cast<loop_junction&>(*place);
}

loop_junction::~loop_junction() {
  for (const end& one : ends_) one.port->leave();
  if (circle_) circle_->ended(index_);
}

void loop_junction::join(std::shared_ptr<loop_circle> circle, std::size_t index) {
  circle_ = std::move(circle);
  index_ = index;
  circle_->enter(index_, loop_.mailbox());
}

shared_port* loop_junction::search(std::uint64_t queue_id) noexcept {
  for (const end& one : ends_) {
    if (one.queue->id_ != queue_id) continue;
    recent_[queue_id % recent_.size()] = entry{queue_id, one.port};
    return one.port;
  }
  return nullptr;
}

void loop_junction::add(std::shared_ptr<shared_core> queue, shared_port& port) {
  std::erase_if(ends_, [&](const end& one) {
    if (!one.queue->gone_) return false;
    recent_[one.queue->id_ % recent_.size()] = entry{};
    return true;
  });
  ends_.push_back(end{std::move(queue), &port});
}

void loop_junction::look(bool idle) {
  woke_up();
  for (const end& one : ends_) one.port->look(idle);
}

bool loop_junction::others_may_act() {
  std::vector<std::shared_ptr<shared_core>> awaited;
  for (const end& one : ends_) {
    if (one.port->awaited()) awaited.push_back(one.queue);
  }
  if (awaited.empty()) return false;
  // Without a circle nobody knows who else has the queue, or is about to.
  if (!circle_) return true;
  quiet_ = circle_->others_may_act(index_, std::move(awaited));
  if (!quiet_) circle_->active(index_);
  return quiet_;
}

bool loop_junction::linger() {
  bool wait = false;
  for (const end& one : ends_) wait = wait || one.port->awaited();
  if (!wait) return false;
  const mailbox& box = *loop_.mailbox();
  const auto until = std::chrono::steady_clock::now() + linger_time;
  do {
    for (int i = 0; i < looks_between_clock_reads; ++i) {
      if (box.pending()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

void loop_junction::woke_up() {
  if (std::exchange(quiet_, false)) circle_->active(index_);
}

}  // namespace brigade::detail
