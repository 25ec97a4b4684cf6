// The driver of a real loop: the system's clock and Boost.Asio's reactor. Private to the async
// layer.
#pragma once
#include <brigade/async/loop.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstddef>

namespace brigade::detail {

class reactor final : public driver {
 public:
  reactor();
  [[nodiscard]] time_point now() override { return loop_clock::now(); }
  void poll() override;
  void wait_until(time_point deadline) override;
  void wake() noexcept override;

  /// The reactor of the current loop; a loop with virtual time has none (asserted).
  static reactor& current();

  /// Under way; with none a poll costs nothing. Handlers that go with the context still count down.
  std::size_t operations = 0;
  boost::asio::io_context context;

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::atomic<bool> woken_{false};
  unsigned looks_ = 0;
};

}  // namespace brigade::detail
