#include <brigade/async/assert.hpp>
#include <brigade/pipeline/threaded_stage.hpp>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

namespace brigade {

namespace {

/// One attempt on another thread. Whoever gives it up waits until the item is left alone.
class distant_attempt {
 public:
  distant_attempt(stage_body& body, payload& item, const attempt_info& info)
      : body_(body), item_(item), info_(info) {}

  /// On the thread. False: it was given up before.
  void make() {
    if (!begin()) return;
    std::optional<attempt_result> result;
    std::exception_ptr failed;
    try {
      result.emplace(body_.run_now(item_, info_));
    } catch (...) {
      failed = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    result_ = std::move(result);
    failed_ = failed;
    state_ = state::over;
    changed_.notify_all();
  }
  attempt_result take() {
    if (failed_) std::rethrow_exception(failed_);
    return std::move(*result_);
  }
  void give_up() {
    std::unique_lock lock(mutex_);
    if (state_ == state::waiting) state_ = state::over;
    changed_.wait(lock, [this] { return state_ == state::over; });
  }

 private:
  enum class state { waiting, working, over };
  bool begin() {
    const std::lock_guard lock(mutex_);
    if (state_ != state::waiting) return false;
    state_ = state::working;
    return true;
  }
  stage_body& body_;
  payload& item_;
  const attempt_info& info_;
  std::mutex mutex_;
  std::condition_variable changed_;
  state state_ = state::waiting;
  std::optional<attempt_result> result_;
  std::exception_ptr failed_;
};

/// Also when the frame is destroyed where it waits.
class given_up_at_the_end {
 public:
  explicit given_up_at_the_end(distant_attempt& of) : attempt_(of) {}
  ~given_up_at_the_end() { attempt_.give_up(); }
  given_up_at_the_end(const given_up_at_the_end&) = delete;
  given_up_at_the_end& operator=(const given_up_at_the_end&) = delete;

 private:
  distant_attempt& attempt_;
};

}  // namespace

threaded_stage::threaded_stage(std::string name, std::vector<std::unique_ptr<stage_body>> bodies)
    : name_(std::move(name)) {
  BRIGADE_ASSERT(!bodies.empty(), "a threaded stage without a body");
  for (auto& body : bodies) {
    BRIGADE_ASSERT(body->immediate(), "a threaded stage's body does not wait");
    shards_.push_back({std::move(body), nullptr});
  }
}

task<> threaded_stage::open(int workers) {
  for (std::size_t n = 0; n < shards_.size(); ++n) {
    co_await shards_[n].body->open(workers);
    shards_[n].thread = std::make_unique<thread_pool>(1, name_ + " " + std::to_string(n));
  }
}

task<> threaded_stage::close() {
  for (shard& each : shards_) {
    if (each.thread) co_await each.thread->shutdown(std::chrono::nanoseconds(0));
    co_await each.body->close();
  }
}

task<attempt_result> threaded_stage::run(payload& item, const attempt_info& info) {
  shard& at = shards_[static_cast<std::size_t>(info.worker) % shards_.size()];
  const auto attempt = std::make_shared<distant_attempt>(*at.body, item, info);
  const given_up_at_the_end guard(*attempt);
  auto work = [attempt] { attempt->make(); };
  auto called = at.thread->run(std::move(work));
  co_await std::move(called);
  co_return attempt->take();
}

}  // namespace brigade
