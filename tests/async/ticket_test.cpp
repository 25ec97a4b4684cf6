#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/spawn.hpp>
#include <brigade/async/ticket.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

void put_now(queue<int>& to, int item) { ASSERT_TRUE(to.try_put(item)); }

TEST(ticket, moved_it_takes_its_duty_along) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    put_now(q, 7);
    auto first = co_await q.take();
    {
      auto second = std::move(first);
      EXPECT_EQ(*second, 7);
      EXPECT_EQ(q.unfinished(), 1U);
    }
    EXPECT_EQ(q.unfinished(), 0U);
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().done, 1U);
}

TEST(ticket, settled_twice_is_a_misuse) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    put_now(q, 1);
    auto one = co_await q.take();
    one.done();
    EXPECT_EQ(*one, 1);  // still to be looked at
    EXPECT_DEATH(one.done(), "a ticket was settled twice");
    EXPECT_DEATH(one.fail(), "a ticket was settled twice");
    EXPECT_DEATH(one.give_back(), "a ticket was settled twice");
  };
  loop.run(main());
}

TEST(ticket, says_why_it_is_empty) {
  virtual_loop loop;
  queue<int> q{8};
  auto waits = [](queue<int>& from, no_item& why) -> task<> {
    auto none = co_await from.take(on_cancel::end);
    EXPECT_FALSE(none);
    why = none.why();
  };
  no_item why = no_item::none;
  auto main = [&]() -> task<> {
    auto waiting = spawn(waits, std::ref(q), std::ref(why));
    co_await yield();
    waiting.cancel();
    co_await waiting;
    EXPECT_EQ(why, no_item::cancelled);
    q.close();
    auto none = co_await q.take();
    EXPECT_EQ(none.why(), no_item::closed);
  };
  loop.run(main());
}

// A ticket that ends inside a handler, with an exception caught and none in flight, is done.
TEST(ticket, that_ends_while_an_exception_is_handled_is_done) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    put_now(q, 1);
    auto one = co_await q.take();
    try {
      throw std::runtime_error("something else");
    } catch (const std::runtime_error&) {
      const auto ends_here = std::move(one);
    }
  };
  loop.run(main());
  EXPECT_EQ(q.statistics().done, 1U);
}

// The count is read where the C++ ABI keeps it: it must agree with the standard's question.
TEST(ticket, sees_the_exceptions_in_flight_that_the_standard_library_sees) {
  struct looks_when_it_goes {
    int& agreed;
    ~looks_when_it_goes() {
      const bool same = detail::left_in_trouble() == (std::uncaught_exceptions() > 0);
      agreed += same && detail::left_in_trouble() ? 1 : 0;
    }
  };
  int agreed = 0;
  const queue<int> looks_up_where_they_are_counted{1};
  EXPECT_FALSE(detail::left_in_trouble());
  try {
    const looks_when_it_goes outer{agreed};
    try {
      const looks_when_it_goes inner{agreed};
      throw std::runtime_error("inner");
    } catch (const std::runtime_error&) {
      EXPECT_FALSE(detail::left_in_trouble());
      throw;
    }
  } catch (const std::runtime_error&) {
    EXPECT_FALSE(detail::left_in_trouble());
  }
  EXPECT_EQ(agreed, 2);
}

TEST(ticket, given_back_by_several_takers_nothing_is_lost_and_join_still_waits) {
  virtual_loop loop;
  queue<int> q{2};
  auto main = [&]() -> task<> {
    put_now(q, 1);
    put_now(q, 2);
    {
      auto one = co_await q.take();
      auto two = co_await q.take();
      put_now(q, 3);
      put_now(q, 4);
      two.give_back();
      one.give_back();
      EXPECT_EQ(q.size(), 4U);  // more than it was made for, by what came back
      int fifth = 5;
      EXPECT_FALSE(q.try_put(fifth));
    }
    EXPECT_EQ(q.unfinished(), 4U);
    EXPECT_EQ(q.abort(), (std::vector<int>{1, 2, 3, 4}));
  };
  loop.run(main());
}

TEST(batch, moved_it_takes_its_duty_along) {
  virtual_loop loop;
  queue<int> q{8};
  auto main = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) put_now(q, i);
    auto first = co_await q.take_batch(3);
    first.done(2);
    {
      auto second = std::move(first);
      EXPECT_EQ(second[1], 1);
      EXPECT_EQ(second.unsettled(), 2U);
    }
    EXPECT_EQ(q.statistics().done, 3U);
  };
  loop.run(main());
}

TEST(slot, moved_it_takes_its_room_along) {
  virtual_loop loop;
  queue<int> q{1};
  auto main = [&]() -> task<> {
    auto first = co_await q.reserve();
    {
      auto second = std::move(first);
      EXPECT_FALSE(first);
      EXPECT_EQ(q.statistics().reserved, 1U);
      second.drop();
      EXPECT_EQ(q.statistics().reserved, 0U);
    }
    EXPECT_EQ(q.statistics().reserved, 0U);
  };
  loop.run(main());
}

task<> fails_with(ticket<int> job) {
  co_await yield();
  throw std::runtime_error("job " + std::to_string(*job));
}
task<> sleeps_with(ticket<int> job) {
  co_await sleep_for(1h);
  job.done();
}
task<> ends_with(ticket<int> job) {
  co_await yield();
  static_cast<void>(*job);
}

TEST(ticket, one_that_a_task_was_given_counts_as_that_task_ended) {
  virtual_loop loop;
  loop.on_unhandled = [](const std::string&, const std::exception_ptr&) {};
  auto main = []() -> task<> {
    queue<int> jobs(8, "jobs");
    for (int i = 0; i < 8; ++i) co_await jobs.put(i);
    auto first = co_await jobs.take();
    co_await spawn(ends_with, std::move(first));
    EXPECT_EQ(jobs.statistics().done, 1U);

    auto second = co_await jobs.take();
    EXPECT_THROW(co_await spawn(fails_with, std::move(second)), std::runtime_error);
    auto third = co_await jobs.take();
    task<> kept = fails_with(std::move(third));
    EXPECT_THROW(co_await std::move(kept), std::runtime_error);
    {
      const task<> gone = std::move(kept);
    }
    EXPECT_EQ(jobs.statistics().failed, 2U);

    auto fourth = co_await jobs.take();
    auto sleeping = spawn(sleeps_with, std::move(fourth));
    co_await yield();
    sleeping.cancel();
    EXPECT_THROW(co_await sleeping, cancelled);
    EXPECT_EQ(jobs.statistics().abandoned, 1U);
    auto fifth = co_await jobs.take();
    EXPECT_THROW(co_await timeout(1s, sleeps_with(std::move(fifth))), timed_out);
    EXPECT_EQ(jobs.statistics().abandoned, 2U);
    auto sixth = co_await jobs.take();
    const auto killed = spawn(sleeps_with, std::move(sixth));
    co_await yield();
    loop::current().kill(killed.record());
    EXPECT_EQ(jobs.statistics().abandoned, 3U);

    auto seventh = co_await jobs.take();
    auto in_a_group = [&](task_group& group) { group.spawn(fails_with, std::move(seventh)); };
    EXPECT_THROW(co_await with_group(std::ref(in_a_group)), exception_group);
    EXPECT_EQ(jobs.statistics().failed, 3U);
    EXPECT_EQ(jobs.statistics().done, 1U);
  };
  loop.run(main());
}

}  // namespace
}  // namespace brigade
