/// A promise that something outside will act on this loop: a callback of a library, another thread.
///
/// While it is held, the loop waits and does not take its silence for a deadlock. It may be
/// released, or destroyed, on any thread, also when the loop has gone.
///
/// Thread safety: made on the loop's thread; moved, released and destroyed anywhere, by one thread
/// at a time.
#pragma once
#include <brigade/async/loop.hpp>

#include <memory>

namespace brigade {

class outside_hold {
 public:
  outside_hold();
  outside_hold(outside_hold&& other) noexcept = default;
  outside_hold& operator=(outside_hold&& other) noexcept;
  ~outside_hold() { release(); }

  /// Nothing more will come. What was posted to the loop before is still run before it looks.
  void release() noexcept;
  [[nodiscard]] bool held() const { return box_ != nullptr; }

 private:
  std::shared_ptr<detail::mailbox> box_;
};

}  // namespace brigade
