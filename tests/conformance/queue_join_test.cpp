// asyncio's mixins for join and shutdown (CPython, test_queues.py), over the three queues. Its
// shutdown() is close(), its shutdown(immediate=True) is abort(), which gives the items back.
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade {
namespace {

using testing::virtual_loop;

using kinds = ::testing::Types<queue<int>, lifo_queue<int>, priority_queue<int>>;

template <class Queue>
task<> join(Queue& q) {
  co_await q.join();
}
template <class Queue>
task<int> get_one(Queue& q) {
  co_return co_await q.get();
}
template <class Queue>
task<> put_one(Queue& q, int item) {
  co_await q.put(item);
}

template <class Queue>
task<> all_four_are_refused(Queue& q) {
  int item = 9;
  EXPECT_THROW(co_await q.put(item), queue_closed);
  EXPECT_THROW(static_cast<void>(q.try_put(item)), queue_closed);
  EXPECT_THROW(static_cast<void>(co_await q.get()), queue_closed);
  EXPECT_THROW(static_cast<void>(q.try_get()), queue_closed);
}

template <class Queue>
class QueueJoinTests : public ::testing::Test {};
TYPED_TEST_SUITE(QueueJoinTests, kinds);

TYPED_TEST(QueueJoinTests, task_done_underflow) {
  TypeParam q{unbounded};
  EXPECT_DEATH(q.task_done(), "task_done\\(\\) was called more often");
}

TYPED_TEST(QueueJoinTests, task_done) {
  virtual_loop loop;
  TypeParam q{unbounded};
  int sum = 0;
  auto worker = [](TypeParam& from, int& accumulated) -> task<> {
    for (;;) {
      const int item = co_await from.get();
      accumulated += item;
      co_await yield();
      from.task_done();
    }
  };
  auto main = [&]() -> task<> {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(q.try_put(i));
    co_await with_group([&](task_group& group) -> task<> {
      for (int i = 0; i < 2; ++i) group.spawn(worker, std::ref(q), std::ref(sum));
      co_await q.join();
      EXPECT_EQ(sum, 4950);
      group.cancel();
    });
  };
  loop.run(main());
  EXPECT_EQ(sum, 4950);
}

TYPED_TEST(QueueJoinTests, join_empty_queue) {
  virtual_loop loop;
  TypeParam q{unbounded};
  auto main = [&]() -> task<> {
    co_await q.join();
    co_await q.join();
  };
  loop.run(main());
  EXPECT_EQ(q.unfinished(), 0U);
}

template <class Queue>
class QueueShutdownTests : public ::testing::Test {};
TYPED_TEST_SUITE(QueueShutdownTests, kinds);

TYPED_TEST(QueueShutdownTests, shutdown_empty) {
  virtual_loop loop;
  TypeParam q{unbounded};
  auto main = [&]() -> task<> {
    auto getter = spawn(get_one<TypeParam>, std::ref(q));
    co_await yield();
    q.close();
    EXPECT_EQ(q.size(), 0U);
    co_await q.join();
    EXPECT_THROW(static_cast<void>(co_await getter), queue_closed);
    co_await all_four_are_refused(q);
  };
  loop.run(main());
}

TYPED_TEST(QueueShutdownTests, shutdown_nonempty) {
  virtual_loop loop;
  TypeParam q{1};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto putter = spawn(put_one<TypeParam>, std::ref(q), 2);
    auto joiner = spawn(join<TypeParam>, std::ref(q));
    co_await yield();
    q.close();
    EXPECT_EQ(q.size(), 1U);
    EXPECT_THROW(co_await putter, queue_closed);
    EXPECT_EQ(q.size(), 1U);
    EXPECT_EQ(co_await q.get(), 1);
    EXPECT_EQ(q.size(), 0U);
    EXPECT_FALSE(joiner.done());
    co_await all_four_are_refused(q);
    q.task_done();
    co_await joiner;
  };
  loop.run(main());
  EXPECT_DEATH(q.task_done(), "task_done\\(\\) was called more often");
}

TYPED_TEST(QueueShutdownTests, shutdown_immediate) {
  virtual_loop loop;
  TypeParam q{unbounded};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    auto joiner = spawn(join<TypeParam>, std::ref(q));
    co_await yield();
    EXPECT_EQ(q.abort(), std::vector<int>{1});
    EXPECT_EQ(q.size(), 0U);
    co_await joiner;
    co_await all_four_are_refused(q);
  };
  loop.run(main());
  EXPECT_DEATH(q.task_done(), "task_done\\(\\) was called more often");
}

TYPED_TEST(QueueShutdownTests, shutdown_immediate_with_unfinished) {
  virtual_loop loop;
  TypeParam q{unbounded};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    co_await q.put(2);
    auto joiner = spawn(join<TypeParam>, std::ref(q));
    co_await yield();
    static_cast<void>(co_await q.get());
    EXPECT_EQ(q.abort().size(), 1U);
    EXPECT_EQ(q.size(), 0U);
    co_await yield();
    EXPECT_FALSE(joiner.done());
    co_await all_four_are_refused(q);
    q.task_done();
    co_await joiner;
  };
  loop.run(main());
  EXPECT_DEATH(q.task_done(), "task_done\\(\\) was called more often");
}

}  // namespace
}  // namespace brigade
