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

  boost::asio::io_context context;
  std::size_t operations = 0;  ///< under way; with none a poll costs nothing

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::atomic<bool> woken_{false};
};

}  // namespace brigade::detail
