#include <brigade/async/assert.hpp>
#include <brigade/pipeline/threaded_stage.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

namespace brigade {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::nanoseconds at_once = std::chrono::microseconds(200);
constexpr std::size_t together_most = 512;

/// Attempts on another thread. Whoever gives them up waits until the items are left alone.
class distant_attempts {
 public:
  distant_attempts(stage_body& body, const std::vector<attempt_request>& requests)
      : body_(body), requests_(requests) {}

  /// On the thread.
  void make() {
    if (!begin()) return;
    const auto began = std::chrono::steady_clock::now();
    results_.reserve(requests_.size());
    for (const attempt_request& each : requests_) {
      if (given_up_) break;
      results_.push_back(attempt(each));
    }
    spent_ = std::chrono::steady_clock::now() - began;
    const std::lock_guard lock(mutex_);
    state_ = state::over;
    changed_.notify_all();
  }
  std::vector<attempt_result> take() { return std::move(results_); }
  [[nodiscard]] std::chrono::nanoseconds spent() const { return spent_; }
  void give_up() {
    given_up_ = true;
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
  attempt_result attempt(const attempt_request& what) {
    try {
      return body_.run_now(*what.item, what.info);
    } catch (...) {
      return failed_by(std::current_exception());
    }
  }

  stage_body& body_;
  const std::vector<attempt_request>& requests_;
  std::vector<attempt_result> results_;
  std::chrono::nanoseconds spent_{};
  std::atomic<bool> given_up_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  state state_ = state::waiting;
};

/// Also when the frame is destroyed where it waits.
class given_up_at_the_end {
 public:
  explicit given_up_at_the_end(distant_attempts& of) : attempts_(of) {}
  ~given_up_at_the_end() { attempts_.give_up(); }
  given_up_at_the_end(const given_up_at_the_end&) = delete;
  given_up_at_the_end& operator=(const given_up_at_the_end&) = delete;

 private:
  distant_attempts& attempts_;
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
  const std::vector<attempt_request> one(1, attempt_request{&item, info});
  std::vector<attempt_result> results = co_await run_together(one);
  co_return std::move(results.front());
}

std::size_t threaded_stage::together_max() const {
  const auto fit = static_cast<std::size_t>(at_once / std::max(an_attempt_, 1ns));
  return std::clamp<std::size_t>(fit, 1, together_most);
}

task<std::vector<attempt_result>> threaded_stage::run_together(
    const std::vector<attempt_request>& requests) {
  const auto worker = static_cast<std::size_t>(requests.front().info.worker);
  shard& at = shards_[worker % shards_.size()];
  const auto attempts = std::make_shared<distant_attempts>(*at.body, requests);
  const given_up_at_the_end guard(*attempts);
  auto work = [attempts] { attempts->make(); };
  auto called = at.thread->run(std::move(work));
  co_await std::move(called);
  learn(attempts->spent(), requests.size());
  co_return attempts->take();
}

void threaded_stage::learn(std::chrono::nanoseconds spent, std::size_t items) {
  const std::chrono::nanoseconds each = spent / static_cast<std::int64_t>(items);
  const bool first = an_attempt_ > std::chrono::minutes(30);
  an_attempt_ = first ? each : (an_attempt_ * 3 + each) / 4;
}

}  // namespace brigade
