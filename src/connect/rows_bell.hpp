/// A bell between threads: one rings, a task of another's loop waits for it.
///
/// A ring that nobody waits for is kept for the next wait; several are one.
/// Thread safety: `ring` from any thread; `wait` by one task at a time, on any loop. Lifetime:
/// outlives its waiter.
#pragma once
#include <brigade/async/task.hpp>

#include <memory>
#include <mutex>

namespace brigade {
class event;
namespace detail {
class mailbox;
}

namespace rows {

class bell {
 public:
  void ring();
  /// Completes:  once it has rung since the last wait.
  /// Cancelled:  throws `cancelled`; the ring stays for the next.
  task<> wait();

 private:
  std::mutex mutex_;
  bool rung_ = false;
  std::shared_ptr<event> waiter_;
  std::shared_ptr<detail::mailbox> box_;
};

}  // namespace rows
}  // namespace brigade
