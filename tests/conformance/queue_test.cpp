// What asyncio's tests of its queues say (CPython, test_queues.py), name by name. Where a hand-over
// without barging has a better result, that one is asserted.
#include <brigade/async/group.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;
using ints = std::vector<int>;
using words = std::vector<std::string>;

task<> turns(int count) {
  for (int i = 0; i < count; ++i) co_await yield();
}

task<int> get_one(queue<int>& from) { co_return co_await from.get(); }
task<std::string> get_word(queue<std::string>& from) { co_return co_await from.get(); }
task<> put_one(queue<int>& to, int item) { co_await to.put(item); }
task<> put_word(queue<std::string>& to, std::string item) { co_await to.put(std::move(item)); }
task<> put_later(queue<int>& to, int item) {
  co_await sleep_for(10ms);
  EXPECT_TRUE(to.try_put(item));
}

bool put_nowait(queue<int>& to, int item) { return to.try_put(item); }

// --- QueueBasicTests ---

TEST(QueueBasicTests, empty) {
  virtual_loop loop;
  queue<int> q{unbounded};
  auto main = [&]() -> task<> {
    EXPECT_TRUE(q.empty());
    co_await q.put(1);
    EXPECT_FALSE(q.empty());
    EXPECT_EQ(co_await q.get(), 1);
    EXPECT_TRUE(q.empty());
  };
  loop.run(main());
}

TEST(QueueBasicTests, full) {
  virtual_loop loop;
  queue<int> none{unbounded};
  EXPECT_FALSE(none.full());
  queue<int> q{1};
  auto main = [&]() -> task<> {
    co_await q.put(1);
    EXPECT_TRUE(q.full());
  };
  loop.run(main());
}

TEST(QueueBasicTests, order) {
  virtual_loop loop;
  queue<int> q{unbounded};
  ints got;
  auto main = [&]() -> task<> {
    for (const int item : {1, 3, 2}) EXPECT_TRUE(put_nowait(q, item));
    for (int i = 0; i < 3; ++i) got.push_back(co_await q.get());
  };
  loop.run(main());
  EXPECT_EQ(got, (ints{1, 3, 2}));
}

TEST(QueueBasicTests, maxsize) {
  virtual_loop loop;
  queue<int> q{2};
  ints put;
  auto putter = [](queue<int>& to, ints& seen) -> task<bool> {
    for (int i = 0; i < 3; ++i) {
      co_await to.put(i);
      seen.push_back(i);
    }
    co_return true;
  };
  auto main = [&]() -> task<> {
    auto t = spawn(putter, std::ref(q), std::ref(put));
    co_await turns(2);
    EXPECT_EQ(q.capacity(), 2U);
    EXPECT_EQ(put, (ints{0, 1}));
    EXPECT_EQ(co_await q.get(), 0);
    co_await turns(1);
    EXPECT_EQ(put, (ints{0, 1, 2}));
    const bool finished = co_await t;
    EXPECT_TRUE(finished);
  };
  loop.run(main());
}

// --- QueueGetTests ---

TEST(QueueGetTests, blocking_get) {
  virtual_loop loop;
  queue<int> q{unbounded};
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_nowait(q, 1));
    EXPECT_EQ(co_await q.get(), 1);
  };
  loop.run(main());
}

TEST(QueueGetTests, nonblocking_get) {
  queue<int> q{unbounded};
  EXPECT_TRUE(put_nowait(q, 1));
  EXPECT_EQ(q.try_get(), 1);
}

TEST(QueueGetTests, nonblocking_get_exception) {
  queue<int> q{unbounded};
  EXPECT_EQ(q.try_get(), std::nullopt);
}

TEST(QueueGetTests, get_with_putters) {
  virtual_loop loop;
  queue<int> q{1};
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_nowait(q, 1));
    auto waiting = spawn(put_one, std::ref(q), 2);
    co_await turns(1);
    EXPECT_EQ(q.statistics().putters_waiting, 1U);
    EXPECT_EQ(co_await q.get(), 1);
    EXPECT_EQ(q.statistics().putters_waiting, 0U);
    EXPECT_EQ(q.statistics().reserved, 1U);
    co_await waiting;
    EXPECT_EQ(q.try_get(), 2);
  };
  loop.run(main());
}

TEST(QueueGetTests, blocking_get_wait) {
  virtual_loop loop;
  queue<int> q{unbounded};
  auto main = [&]() -> task<> {
    auto later = spawn(put_later, std::ref(q), 1);
    EXPECT_EQ(co_await q.get(), 1);
    co_await later;
  };
  loop.run(main());
}

TEST(QueueGetTests, get_cancelled_race) {
  virtual_loop loop;
  queue<std::string> q{unbounded};
  auto main = [&]() -> task<> {
    auto t1 = spawn(get_word, std::ref(q));
    auto t2 = spawn(get_word, std::ref(q));
    co_await turns(1);
    t1.cancel();
    co_await turns(1);
    EXPECT_TRUE(t1.done());
    co_await q.put("a");
    co_await turns(1);
    EXPECT_EQ(co_await t2, "a");
  };
  loop.run(main());
}

TEST(QueueGetTests, get_with_waiting_putters) {
  virtual_loop loop;
  queue<std::string> q{1};
  auto main = [&]() -> task<> {
    auto a = spawn(put_word, std::ref(q), "a");
    auto b = spawn(put_word, std::ref(q), "b");
    EXPECT_EQ(co_await q.get(), "a");
    EXPECT_EQ(co_await q.get(), "b");
    co_await a;
    co_await b;
  };
  loop.run(main());
}

TEST(QueueGetTests, why_are_getters_waiting) {
  virtual_loop loop;
  queue<int> q{1};
  ints got;
  auto consumer = [](queue<int>& from, ints& into) -> task<> {
    while (into.size() < 5) into.push_back(co_await from.get());
  };
  auto producer = [](queue<int>& to) -> task<> {
    for (int i = 0; i < 5; ++i) co_await to.put(i);
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      group.spawn(producer, std::ref(q));
      group.spawn(consumer, std::ref(q), std::ref(got));
    });
  };
  loop.run(main());
  EXPECT_EQ(got, (ints{0, 1, 2, 3, 4}));
}

TEST(QueueGetTests, cancelled_getters_not_being_held_in_self_getters) {
  virtual_loop loop;
  queue<int> q{5};
  auto main = [&]() -> task<> {
    auto attempt = get_one(q);
    EXPECT_THROW(co_await timeout(100ms, std::move(attempt)), timed_out);
    EXPECT_EQ(q.statistics().getters_waiting, 0U);
  };
  loop.run(main());
}

// --- QueuePutTests ---

TEST(QueuePutTests, blocking_put) {
  virtual_loop loop;
  queue<int> q{unbounded};
  auto main = [&]() -> task<> {
    const std::uint64_t before = loop.steps();
    co_await q.put(1);
    EXPECT_EQ(loop.steps(), before);
    EXPECT_EQ(q.try_get(), 1);
  };
  loop.run(main());
}

TEST(QueuePutTests, nonblocking_put) {
  queue<int> q{unbounded};
  EXPECT_TRUE(put_nowait(q, 1));
  EXPECT_EQ(q.try_get(), 1);
}

TEST(QueuePutTests, nonblocking_put_exception) {
  queue<int> q{1};
  EXPECT_TRUE(put_nowait(q, 1));
  EXPECT_FALSE(put_nowait(q, 2));
  EXPECT_EQ(q.size(), 1U);
}

TEST(QueuePutTests, blocking_put_wait) {
  virtual_loop loop;
  queue<int> q{1};
  bool second = false;
  auto putter = [](queue<int>& to, bool& done) -> task<> {
    co_await to.put(1);
    co_await to.put(2);
    done = true;
  };
  auto main = [&]() -> task<> {
    auto t = spawn(putter, std::ref(q), std::ref(second));
    co_await sleep_for(10ms);
    EXPECT_FALSE(second);
    EXPECT_EQ(q.try_get(), 1);
    co_await t;
    EXPECT_TRUE(second);
  };
  loop.run(main());
}

TEST(QueuePutTests, get_cancel_drop_one_pending_reader) {
  virtual_loop loop;
  queue<int> q{unbounded};
  auto main = [&]() -> task<> {
    auto reader = spawn(get_one, std::ref(q));
    co_await turns(1);
    EXPECT_TRUE(put_nowait(q, 1));
    EXPECT_TRUE(put_nowait(q, 2));
    reader.cancel();
    EXPECT_THROW(co_await reader, cancelled);  // the grant was revoked: nothing was delivered
    EXPECT_EQ(co_await q.get(), 1);
    EXPECT_EQ(q.size(), 1U);
  };
  loop.run(main());
}

TEST(QueuePutTests, get_cancel_drop_many_pending_readers) {
  virtual_loop loop;
  queue<int> q{unbounded};
  auto main = [&]() -> task<> {
    auto reader1 = spawn(get_one, std::ref(q));
    auto reader2 = spawn(get_one, std::ref(q));
    auto reader3 = spawn(get_one, std::ref(q));
    co_await turns(1);
    EXPECT_TRUE(put_nowait(q, 1));
    EXPECT_TRUE(put_nowait(q, 2));
    reader1.cancel();
    EXPECT_THROW(co_await reader1, cancelled);
    EXPECT_EQ(co_await reader2, 1);  // asyncio leaves the order open; here it is the line's
    EXPECT_EQ(co_await reader3, 2);
  };
  loop.run(main());
}

TEST(QueuePutTests, put_cancel_drop) {
  virtual_loop loop;
  queue<int> q{1};
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_nowait(q, 1));
    auto writer = spawn(put_one, std::ref(q), 2);
    co_await turns(1);
    EXPECT_EQ(q.try_get(), 1);
    writer.cancel();
    EXPECT_THROW(co_await writer, cancelled);  // and not stored
    EXPECT_TRUE(q.empty());
    auto again = spawn(put_one, std::ref(q), 2);
    co_await again;
    EXPECT_EQ(q.try_get(), 2);
    EXPECT_EQ(q.size(), 0U);
  };
  loop.run(main());
}

TEST(QueuePutTests, put_cancelled) {
  virtual_loop loop;
  queue<int> q{unbounded};
  auto putter = [](queue<int>& to) -> task<bool> {
    co_await to.put(1);
    co_return true;
  };
  auto main = [&]() -> task<> {
    auto t = spawn(putter, std::ref(q));
    EXPECT_EQ(co_await q.get(), 1);
    co_await turns(1);
    EXPECT_TRUE(t.done());
    EXPECT_FALSE(t.cancel());
    EXPECT_TRUE(t.result());
  };
  loop.run(main());
}

TEST(QueuePutTests, put_cancelled_race) {
  virtual_loop loop;
  queue<std::string> q{1};
  words got;
  auto main = [&]() -> task<> {
    auto a = spawn(put_word, std::ref(q), "a");
    auto c = spawn(put_word, std::ref(q), "b");
    auto x = spawn(put_word, std::ref(q), "X");
    co_await turns(1);
    EXPECT_TRUE(a.done());
    EXPECT_FALSE(c.done());
    x.cancel();
    co_await turns(1);
    EXPECT_TRUE(x.cancelled());
    got.push_back(co_await q.get());
    got.push_back(co_await q.get());
    co_await c;
  };
  loop.run(main());
  EXPECT_EQ(got, (words{"a", "b"}));
}

TEST(QueuePutTests, put_with_waiting_getters) {
  virtual_loop loop;
  queue<std::string> q{unbounded};
  auto main = [&]() -> task<> {
    auto t = spawn(get_word, std::ref(q));
    co_await turns(1);
    co_await q.put("a");
    EXPECT_EQ(co_await t, "a");
  };
  loop.run(main());
}

TEST(QueuePutTests, why_are_putters_waiting) {
  virtual_loop loop;
  queue<int> q{2};
  int got = 0;
  auto getter = [](queue<int>& from, int& count) -> task<> {
    co_await turns(1);
    while (count < 4) {
      for (std::size_t n = from.size(); n > 0; --n) {
        static_cast<void>(co_await from.get());
        ++count;
      }
      co_await turns(1);
    }
  };
  auto main = [&]() -> task<> {
    co_await with_group([&](task_group& group) {
      for (int i = 0; i < 4; ++i) group.spawn(put_one, std::ref(q), i);
      group.spawn(getter, std::ref(q), std::ref(got));
    });
  };
  loop.run(main());
  EXPECT_EQ(got, 4);
}

TEST(QueuePutTests, cancelled_puts_not_being_held_in_self_putters) {
  virtual_loop loop;
  queue<int> q{1};
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_nowait(q, 1));
    auto t = spawn(put_one, std::ref(q), 2);
    co_await turns(1);
    EXPECT_EQ(q.statistics().putters_waiting, 1U);
    t.cancel();
    EXPECT_THROW(co_await t, cancelled);
    EXPECT_EQ(q.statistics().putters_waiting, 0U);
  };
  loop.run(main());
}

TEST(QueuePutTests, cancelled_put_silence_value_error_exception) {
  virtual_loop loop;
  queue<int> q{1};
  auto main = [&]() -> task<> {
    EXPECT_TRUE(put_nowait(q, 1));
    auto t = spawn(put_one, std::ref(q), 2);
    co_await turns(1);
    EXPECT_EQ(q.try_get(), 1);
    EXPECT_EQ(q.statistics().reserved, 1U);  // woken
    t.cancel();
    EXPECT_THROW(co_await t, cancelled);
    EXPECT_TRUE(q.empty());
    EXPECT_EQ(q.statistics().reserved, 0U);
  };
  loop.run(main());
}

// --- LifoQueueTests, PriorityQueueTests ---

template <class Queue>
ints order_of(Queue& q) {
  for (int item : {1, 3, 2}) EXPECT_TRUE(q.try_put(item));
  ints got;
  while (auto item = q.try_get()) got.push_back(*item);
  return got;
}

TEST(LifoQueueTests, order) {
  lifo_queue<int> q{unbounded};
  EXPECT_EQ(order_of(q), (ints{2, 3, 1}));
}

TEST(PriorityQueueTests, order) {
  priority_queue<int> q{unbounded};
  EXPECT_EQ(order_of(q), (ints{1, 2, 3}));
}

}  // namespace
}  // namespace brigade
