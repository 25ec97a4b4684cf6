#include "async/thread_team.hpp"

#include <brigade/async/assert.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/loop.hpp>
#include <brigade/async/outside_hold.hpp>
#include <brigade/async/thread_pool.hpp>
#include <brigade/async/timeout.hpp>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

namespace brigade {

namespace {

constexpr std::size_t standard_size = 64;

// All of the process; leaked, for calls that return when the process ends.
class abandoned_list {
 public:
  static abandoned_list& instance() {
    static auto* list = new abandoned_list;
    return *list;
  }
  void add(const detail::thread_job* job, abandoned_call about) {
    const std::lock_guard lock(mutex_);
    calls_.emplace_back(job, std::move(about));
  }
  /// One of the entries for it.
  void remove(const detail::thread_job* job) {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::ranges::find(calls_, job, [](const auto& entry) { return entry.first; });
    if (found != calls_.end()) calls_.erase(found);
  }
  std::vector<abandoned_call> all() {
    const std::lock_guard lock(mutex_);
    std::vector<abandoned_call> result;
    for (const auto& entry : calls_) result.push_back(entry.second);
    return result;
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<const detail::thread_job*, abandoned_call>> calls_;
};

task<> wait_for_event(std::shared_ptr<event> happened) { co_await happened->wait(); }

}  // namespace

std::string to_string(const abandoned_call& call) {
  return "call of task '" + call.name + "' at " + call.where.file_name() + ":" +
         std::to_string(call.where.line()) + " (pool '" + call.pool + "')";
}

std::vector<abandoned_call> abandoned_calls() { return abandoned_list::instance().all(); }

std::size_t abandoned_threads() noexcept { return abandoned_calls().size(); }

pool_closed::pool_closed(std::string_view pool_name)
    : std::runtime_error("thread pool '" + std::string(pool_name) + "' is shut down") {}

call_abandoned::call_abandoned(const abandoned_call& call)
    : std::runtime_error(to_string(call) + " was abandoned: its pool was shut down") {}

namespace detail {

thread_team::thread_team(std::size_t size, std::string name) : name_(std::move(name)), size_(size) {
  BRIGADE_ASSERT(size > 0, "a thread pool of no threads");
}

bool thread_team::submit(const std::shared_ptr<thread_job>& job) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  queue_.push_back(job);
  if (idle_ >= queue_.size()) {
    changed_.notify_one();
    return true;
  }
  try {
    start_threads();
  } catch (...) {
    queue_.pop_back();
    throw;
  }
  return true;
}

void thread_team::start_threads() {
  for (std::size_t wanted = queue_.size(); wanted > idle_ && threads_ < size_; --wanted) {
    try {
      std::thread([self = shared_from_this()] { self->serve(); }).detach();
    } catch (const std::system_error&) {
      if (threads_ == 0) throw;
      return;  // those there are will do all of it
    }
    ++threads_;  // it waits for the lock
  }
}

void thread_team::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return !queue_.empty() || must_end(); });
    --idle_;
    if (must_end()) break;
    std::shared_ptr<thread_job> job = std::move(queue_.front());
    queue_.pop_front();
    running_.push_back(job);
    lock.unlock();
    const bool made = perform(job);
    lock.lock();
    std::erase(running_, job);
    returned_ += made ? 1 : 0;
    const std::function<void()> tell = told_if_empty();
    lock.unlock();
    if (made) job->box->post([job] { call_ended(*job); });
    if (tell) tell();
    job.reset();
    lock.lock();
  }
  --threads_;
}

bool thread_team::perform(const std::shared_ptr<thread_job>& job) {
  call_state expected = call_state::queued;
  if (!job->state.compare_exchange_strong(expected, call_state::running)) return false;
  job->call();
  if (job->state.exchange(call_state::returned) == call_state::abandoned) {
    abandoned_list::instance().remove(job.get());
  }
  return true;
}

std::function<void()> thread_team::told_if_empty() {
  if (!closed_ || !queue_.empty() || !running_.empty() || on_empty_.empty()) return nullptr;
  return [told = std::exchange(on_empty_, {})] {
    for (const std::function<void()>& tell : told) tell();
  };
}

bool thread_team::abandon(thread_job& job) noexcept {
  abandoned_list::instance().add(&job, about(job));
  call_state expected = call_state::running;
  const bool runs = job.state.compare_exchange_strong(expected, call_state::abandoned);
  if (!runs) abandoned_list::instance().remove(&job);
  return runs;
}

void thread_team::let_go(const std::shared_ptr<thread_job>& job) noexcept {
  call_state expected = call_state::queued;
  if (!job->state.compare_exchange_strong(expected, call_state::withdrawn)) {
    if (expected == call_state::running) abandon(*job);
    job->stop.request_stop();
    return;
  }
  const std::lock_guard lock(mutex_);
  ++withdrawn_;
  std::erase(queue_, job);
}

void thread_team::set_size(std::size_t size) {
  BRIGADE_ASSERT(size > 0, "a thread pool of no threads");
  const std::lock_guard lock(mutex_);
  size_ = size;
  changed_.notify_all();
  start_threads();
}

bool thread_team::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

thread_pool_statistics thread_team::statistics() const {
  const std::lock_guard lock(mutex_);
  thread_pool_statistics result;
  result.size = size_;
  result.threads = threads_;
  result.running = running_.size();
  result.queued = queue_.size();
  result.returned = returned_;
  result.withdrawn = withdrawn_;
  return result;
}

void thread_team::close(std::function<void()> on_empty) {
  std::function<void()> tell;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    on_empty_.push_back(std::move(on_empty));
    changed_.notify_all();
    tell = told_if_empty();
  }
  if (tell) tell();
}

std::vector<abandoned_call> thread_team::abandon_rest() {
  std::vector<std::shared_ptr<thread_job>> left;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    left = running_;
    for (; !queue_.empty(); queue_.pop_front()) {
      call_state expected = call_state::queued;
      if (!queue_.front()->state.compare_exchange_strong(expected, call_state::withdrawn)) continue;
      ++withdrawn_;
      left.push_back(queue_.front());
    }
    changed_.notify_all();
  }
  std::vector<abandoned_call> result;
  for (const std::shared_ptr<thread_job>& job : left) {
    const bool never_began = job->state == call_state::withdrawn;
    if (!never_began && !abandon(*job)) continue;
    job->stop.request_stop();
    if (!never_began) result.push_back(about(*job));
    job->box->post([job, call = about(*job)] {
      job->given_up = std::make_exception_ptr(call_abandoned(call));
      call_ended(*job);
    });
  }
  return result;
}

abandoned_call thread_team::about(const thread_job& job) const {
  return abandoned_call{job.name, name_, job.where};
}

}  // namespace detail

thread_pool::thread_pool(std::size_t size, std::string name)
    : team_(std::make_shared<detail::thread_team>(size, std::move(name))) {}

thread_pool::~thread_pool() { team_->abandon_rest(); }

thread_pool& thread_pool::standard() {
  static auto* pool = new thread_pool(standard_size);
  return *pool;
}

void thread_pool::set_size(std::size_t size) { team_->set_size(size); }

const std::string& thread_pool::name() const { return team_->name(); }

thread_pool_statistics thread_pool::statistics() const { return team_->statistics(); }

task<std::vector<abandoned_call>> thread_pool::shutdown(std::chrono::nanoseconds within) {
  struct abandon_on_exit {
    detail::thread_team& team;
    ~abandon_on_exit() { team.abandon_rest(); }
  };
  const std::shared_ptr<detail::thread_team> team = team_;
  const abandon_on_exit guard{*team};
  const auto empty = std::make_shared<event>("the calls of pool '" + team->name() + "'");
  const outside_hold held;
  team->close([empty, box = loop::current().mailbox()] { box->post([empty] { empty->set(); }); });
  try {
    co_await timeout(within, wait_for_event(empty));
  } catch (const timed_out&) {
  }
  std::vector<abandoned_call> left = team->abandon_rest();
  for (const abandoned_call& call : left) {
    loop::current().warn("abandoned: " + to_string(call) + " did not return in time");
  }
  co_return left;
}

}  // namespace brigade
