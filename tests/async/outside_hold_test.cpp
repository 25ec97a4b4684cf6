#include <brigade/async/error.hpp>
#include <brigade/async/event.hpp>
#include <brigade/async/outside_hold.hpp>
#include <brigade/async/task.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace brigade {
namespace {

task<> wait_for(event& happened) { co_await happened.wait(); }

TEST(outside_hold, a_callback_of_another_thread_is_waited_for) {
  event called("callback");
  std::jthread library;
  auto main = [&]() -> task<> {
    outside_hold hold;
    library =
        std::jthread([&called, box = loop::current().mailbox(), held = std::move(hold)]() mutable {
          box->post([&called] { called.set(); });
          held.release();
        });
    co_await called.wait();
  };
  run(main());
  EXPECT_TRUE(called.is_set());
}

TEST(outside_hold, once_it_is_released_nobody_will_come_and_that_is_a_deadlock) {
  event never("never");
  std::jthread library;
  auto main = [&]() -> task<> {
    library = std::jthread([held = outside_hold()]() mutable { held.release(); });
    co_await wait_for(never);
  };
  EXPECT_THROW(run(main()), deadlock);
}

TEST(outside_hold, released_on_its_own_loop_it_counts_no_more) {
  event never("never");
  auto main = [&]() -> task<> {
    outside_hold first;
    outside_hold second = std::move(first);
    EXPECT_FALSE(first.held());
    first = std::move(second);
    EXPECT_TRUE(first.held());
    first.release();
    first.release();
    co_await wait_for(never);
  };
  EXPECT_THROW(run(main()), deadlock);
}

TEST(outside_hold, it_may_outlive_its_loop) {
  std::optional<outside_hold> kept;
  auto main = [&]() -> task<> {
    kept.emplace();
    co_return;
  };
  run(main());
  EXPECT_TRUE(kept->held());
  kept.reset();
}

}  // namespace
}  // namespace brigade
