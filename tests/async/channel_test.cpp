#include <brigade/async/channel.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using ints = std::vector<int>;

task<> send_range(sender<int> to, int first, int last) {
  for (int i = first; i <= last; ++i) co_await to.send(i);
}
task<> receive_all(receiver<int> from, ints& into) {
  while (auto item = co_await from.receive()) into.push_back(*item);
}

TEST(channel, ends_for_the_receivers_when_the_last_sender_is_gone) {
  virtual_loop loop;
  ints got;
  auto main = [&]() -> task<> {
    auto ends = channel<int>(2, "orders");
    auto one = spawn(send_range, ends.first, 1, 3);
    auto two = spawn(send_range, std::move(ends.first), 4, 6);
    EXPECT_EQ(ends.second.statistics().senders, 2U);
    co_await receive_all(ends.second, got);
    EXPECT_TRUE(ends.second.ended());
    EXPECT_EQ(ends.second.statistics().senders, 0U);
  };
  loop.run(main());
  EXPECT_EQ(got.size(), 6U);
}

TEST(channel, a_receiver_that_waits_learns_of_the_end) {
  virtual_loop loop;
  ints got;
  auto main = [&]() -> task<> {
    auto ends = channel<int>(2);
    auto waiting = spawn(receive_all, std::move(ends.second), std::ref(got));
    co_await sleep_for(1s);
    EXPECT_FALSE(waiting.done());
    ends.first.close();
    co_await waiting;
  };
  loop.run(main());
  EXPECT_TRUE(got.empty());
}

TEST(channel, what_was_sent_before_the_last_sender_went_is_received) {
  virtual_loop loop;
  ints got;
  auto main = [&]() -> task<> {
    auto ends = channel<int>(8);
    co_await send_range(std::move(ends.first), 1, 5);
    co_await receive_all(std::move(ends.second), got);
  };
  loop.run(main());
  EXPECT_EQ(got, (ints{1, 2, 3, 4, 5}));
}

TEST(channel, fails_its_senders_when_the_last_receiver_is_gone_also_those_who_wait) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    auto ends = channel<int>(1, "orders");
    auto blocked = spawn(send_range, ends.first, 1, 3);
    co_await yield();
    {
      const receiver<int> gone = std::move(ends.second);
    }
    EXPECT_TRUE(ends.first.broken());
    try {
      co_await blocked;
      ADD_FAILURE() << "it was sent";
    } catch (const channel_broken& error) {
      EXPECT_STREQ(error.what(),
                   "channel 'orders' has no receiver any more; items destroyed that nobody had "
                   "received: 1");
    }
    EXPECT_THROW(co_await ends.first.send(9), channel_broken);
    int item = 9;
    EXPECT_THROW(static_cast<void>(ends.first.try_send(item)), channel_broken);
  };
  loop.run(main());
}

TEST(channel, send_from_leaves_the_item_when_nobody_will_receive_it) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    auto ends = channel<std::unique_ptr<int>>(1);
    static_cast<void>(ends.second.close());
    auto item = std::make_unique<int>(1);
    EXPECT_THROW(co_await ends.first.send_from(item), channel_broken);
    EXPECT_NE(item, nullptr);
  };
  loop.run(main());
}

TEST(channel, the_last_receiver_may_close_and_keep_what_is_left) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    auto ends = channel<int>(8);
    for (int i = 1; i <= 3; ++i) co_await ends.first.send(i);
    receiver<int> other = ends.second;
    EXPECT_TRUE(ends.second.close().empty());  // there is another one
    EXPECT_FALSE(ends.first.broken());
    EXPECT_EQ(other.close(), (ints{1, 2, 3}));
    EXPECT_TRUE(ends.first.broken());
    EXPECT_EQ(ends.first.statistics().destroyed, 0U);
  };
  loop.run(main());
}

// The item's sender is the last: destroyed with the items, it must not find itself half gone.
TEST(channel, an_item_may_hold_a_sender_of_its_own_channel) {
  struct letter {
    std::shared_ptr<int> alive;
    std::optional<sender<letter>> answer_to;
  };
  virtual_loop loop;
  auto alive = std::make_shared<int>(0);
  auto main = [&]() -> task<> {
    auto ends = channel<letter>(4);
    for (int i = 0; i < 2; ++i) {
      letter one{alive, ends.first};
      EXPECT_TRUE(ends.first.try_send(one));
    }
    ends.first.close();
    EXPECT_EQ(alive.use_count(), 3);
    co_return;
  };
  loop.run(main());
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(channel, an_operation_that_waits_counts_as_a_handle) {
  virtual_loop loop;
  ints got;
  auto receive_by = [](receiver<int>* by, ints& into) -> task<> {
    auto operation = by->receive();
    delete by;
    auto item = co_await operation;
    if (item) into.push_back(*item);
  };
  auto main = [&]() -> task<> {
    auto ends = channel<int>(1);
    auto* handle = new receiver<int>(std::move(ends.second));
    auto waiting = spawn(receive_by, handle, std::ref(got));
    co_await yield();
    EXPECT_FALSE(ends.first.broken());
    co_await ends.first.send(5);
    co_await waiting;
    EXPECT_EQ(got, ints{5});
    EXPECT_TRUE(ends.first.broken());
  };
  loop.run(main());
}

TEST(channel, a_cancelled_receiver_that_was_promised_an_item_passes_it_on) {
  virtual_loop loop;
  ints first;
  ints second;
  auto main = [&]() -> task<> {
    auto ends = channel<int>(4);
    auto one = spawn(receive_all, ends.second, std::ref(first));
    auto two = spawn(receive_all, std::move(ends.second), std::ref(second));
    co_await yield();
    co_await ends.first.send(7);
    one.cancel();
    ends.first.close();
    co_await two;
    EXPECT_TRUE(one.cancelled());
  };
  loop.run(main());
  EXPECT_TRUE(first.empty());
  EXPECT_EQ(second, ints{7});
}

TEST(channel, holds_its_senders_back_and_does_not_let_a_newcomer_pass) {
  virtual_loop loop;
  ints got;
  auto main = [&]() -> task<> {
    auto ends = channel<int>(1);
    EXPECT_EQ(ends.second.try_receive(), std::nullopt);
    auto producer = spawn(send_range, ends.first, 1, 3);
    co_await yield();
    EXPECT_EQ(ends.second.try_receive(), 1);
    int barger = 99;
    EXPECT_FALSE(ends.first.try_send(barger));  // the room is promised
    ends.first.close();
    co_await receive_all(std::move(ends.second), got);
    EXPECT_EQ(got, (ints{2, 3}));
    co_await producer;
  };
  loop.run(main());
}

TEST(channel, takes_the_policies_of_a_queue) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    queue_options<int> how(1);
    how.name("latest").when_full(overflow::drop_oldest);
    auto ends = channel<int>(std::move(how));
    for (int i = 1; i <= 5; ++i) co_await ends.first.send(i);
    EXPECT_EQ(ends.second.try_receive(), 5);
    EXPECT_EQ(ends.first.statistics().items.dropped, 4U);
  };
  loop.run(main());
}

TEST(channel, a_handle_is_assigned_and_given_up_once) {
  virtual_loop loop;
  auto main = [&]() -> task<> {
    auto old = channel<int>(1);
    auto fresh = channel<int>(1);
    old.first = fresh.first;
    EXPECT_TRUE(old.second.ended());
    EXPECT_EQ(fresh.second.statistics().senders, 2U);
    old.second = std::move(fresh.second);
    co_await old.first.send(3);
    EXPECT_EQ(old.second.try_receive(), 3);
    old.first.close();
    EXPECT_DEATH(static_cast<void>(old.first.broken()), "a sender was used after its close");
  };
  loop.run(main());
}

TEST(channel, killed_at_any_step_leaves_nothing_behind) {
  for (std::uint64_t steps = 1; steps < 40; ++steps) {
    virtual_loop loop(steps);
    auto alive = std::make_shared<int>(0);
    auto send = [](sender<std::shared_ptr<int>> to, std::shared_ptr<int> item) -> task<> {
      for (int i = 0; i < 5; ++i) co_await to.send(item);
    };
    auto receive = [](receiver<std::shared_ptr<int>> from) -> task<> {
      while (auto item = co_await from.receive()) co_await yield();
    };
    auto main = [&]() -> task<> {
      auto ends = channel<std::shared_ptr<int>>(1);
      auto one = spawn(send, ends.first, alive);
      auto two = spawn(send, std::move(ends.first), alive);
      auto three = spawn(receive, std::move(ends.second));
      co_await one;
      co_await two;
      co_await three;
    };
    loop.kill_after(steps);
    try {
      loop.run(main());
    } catch (const cancelled&) {
    }
    EXPECT_EQ(alive.use_count(), 1) << "killed after " << steps << " steps";
  }
}

}  // namespace
}  // namespace brigade
