// The threads of a pool. They own it together with the pool and its waiters, for a call that never
// returns must not keep anything from ending.
#pragma once
#include <brigade/async/detail/thread_call.hpp>
#include <brigade/async/thread_pool.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace brigade::detail {

class thread_team : public std::enable_shared_from_this<thread_team> {
 public:
  thread_team(std::size_t size, std::string name);

  /// False: it takes no more calls.
  bool submit(const std::shared_ptr<thread_job>& job);
  /// The waiter has gone.
  void let_go(const std::shared_ptr<thread_job>& job) noexcept;
  void set_size(std::size_t size);
  [[nodiscard]] bool closed() const;
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] thread_pool_statistics statistics() const;
  /// Takes no more calls; tells once nothing runs and nothing is queued.
  void close(std::function<void()> on_empty);
  std::vector<abandoned_call> abandon_rest();

 private:
  void serve();
  /// False: it was withdrawn before it began.
  bool perform(const std::shared_ptr<thread_job>& job);
  [[nodiscard]] bool must_end() const { return threads_ > size_ || (closed_ && queue_.empty()); }
  void start_threads();
  [[nodiscard]] std::function<void()> told_if_empty();
  [[nodiscard]] abandoned_call about(const thread_job& job) const;
  /// True: nobody waits for it any more, and it runs.
  bool abandon(thread_job& job) noexcept;

  const std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<thread_job>> queue_;
  std::vector<std::shared_ptr<thread_job>> running_;
  std::size_t size_;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
  std::uint64_t returned_ = 0;
  std::uint64_t withdrawn_ = 0;
  bool closed_ = false;
  std::vector<std::function<void()>> on_empty_;
};

}  // namespace brigade::detail
