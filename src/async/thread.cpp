#include <brigade/async/assert.hpp>
#include <brigade/async/thread.hpp>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace brigade {

namespace {

// Threads of the process, kept for reuse. Deliberately leaked: a call that never returns must not
// keep the process from ending.
class thread_pool {
 public:
  static thread_pool& instance() {
    static auto* pool = new thread_pool;
    return *pool;
  }
  void submit(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
    if (idle_ >= work_.size()) {
      available_.notify_one();
    } else if (threads_ < threads_max) {
      ++threads_;
      std::thread(&thread_pool::serve, this).detach();
    }
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      available_.wait(lock, [this] { return !work_.empty(); });
      --idle_;
      std::function<void()> work = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable available_;
  std::deque<std::function<void()>> work_;
  std::size_t idle_ = 0;
  std::size_t threads_ = 0;
};

std::atomic<std::size_t> abandoned{0};

}  // namespace

std::size_t abandoned_threads() noexcept { return abandoned.load(); }

namespace detail {

thread_wait::~thread_wait() {
  let_go();
  leave();
}

void call_returned(thread_job& job) {
  if (job.waiting == nullptr) return;
  thread_wait& waiting = *std::exchange(job.waiting, nullptr);
  waiting.task()->owner().outside_wait_ends(waiting.background_);
  waiting.wake(wait_state::granted);
}

void thread_wait::await_suspend(std::coroutine_handle<> handle) {
  if (begin_wait(handle)) return;
  state_ = wait_state::waiting;
  job_->waiting = this;
  background_ = task_->background();
  task_->owner().outside_wait_begins(background_);
  thread_pool::instance().submit([job = job_, box = task_->owner().mailbox()] {
    job->call();
    if (job->state.exchange(call_state::returned) == call_state::abandoned) --abandoned;
    box->post([job] { call_returned(*job); });
  });
}

void thread_wait::await_resume() {
  if (std::exchange(state_, wait_state::idle) == wait_state::cancelled) task_->throw_cancelled();
}

bool thread_wait::cancel() noexcept {
  if (state_ == wait_state::granted) return false;  // what the call did cannot be taken back
  let_go();
  return waiter::cancel();
}

void thread_wait::let_go() noexcept {
  if (job_->waiting != this) return;
  job_->waiting = nullptr;
  ++abandoned;
  if (job_->state.exchange(call_state::abandoned) == call_state::returned) --abandoned;
  job_->stop.request_stop();
  task_->owner().outside_wait_ends(background_);
}

}  // namespace detail

}  // namespace brigade
