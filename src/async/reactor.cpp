#include "async/reactor.hpp"

#include <brigade/async/assert.hpp>

#include <boost/asio/post.hpp>

namespace brigade::detail {

namespace {
constexpr unsigned looks_between_polls = 16;
}  // namespace

reactor::reactor() : context(1), work_(boost::asio::make_work_guard(context)) {}

void reactor::poll() {
  // A poll is a system call, 300 ns; nothing of a task can have come when nothing is under way.
  // What a program has begun with callbacks is not counted, and is looked at now and then.
  const bool now_and_then = ++looks_ % looks_between_polls == 0;
  if (operations != 0 || now_and_then || woken_.load(std::memory_order_acquire)) context.poll();
}

void reactor::wait_until(time_point deadline) {
  if (deadline == time_point::max()) {
    context.run_one();
  } else {
    context.run_one_until(deadline);
  }
  context.poll();
}

void reactor::wake() noexcept {
  // One is enough: a loop that is never idle would gather them.
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  boost::asio::post(context, [this] { woken_.exchange(false, std::memory_order_acq_rel); });
}

reactor& reactor::current() {
  auto* own = dynamic_cast<reactor*>(&loop::current().world());
  BRIGADE_ASSERT(own != nullptr,
                 "descriptors and Asio need a real loop, not one with virtual time");
  return *own;
}

std::unique_ptr<driver> make_reactor() { return std::make_unique<reactor>(); }

}  // namespace brigade::detail
