// The orders of a queue that is not first in, first out. What they share is in queue_test.
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace brigade {
namespace {

using testing::virtual_loop;

struct job {
  int rank;
  char name;
  friend bool operator<(const job& a, const job& b) { return a.rank < b.rank; }
};

template <class Queue>
std::string taken_from(Queue& q) {
  std::string names;
  while (auto next = q.try_take()) names += (*next)->name;
  return names;
}
template <class Queue>
void put_all(Queue& q, std::vector<job> jobs) {
  for (job& one : jobs) ASSERT_TRUE(q.try_put(one));
}

TEST(lifo_queue, an_item_given_back_is_the_next_to_be_taken) {
  lifo_queue<job> q{8};
  virtual_loop loop;
  auto main = [&]() -> task<> {
    put_all(q, {{0, 'a'}, {0, 'b'}, {0, 'c'}});
    auto last = co_await q.take();
    EXPECT_EQ(last->name, 'c');
    last.give_back();
    EXPECT_EQ(q.peek(0).name, 'c');
    EXPECT_EQ(q.peek(2).name, 'a');
    EXPECT_EQ(taken_from(q), "cba");
  };
  loop.run(main());
}

TEST(lifo_queue, abort_returns_the_items_in_the_order_of_taking) {
  lifo_queue<int> q{8};
  for (int i = 0; i < 3; ++i) {
    int item = i;
    ASSERT_TRUE(q.try_put(item));
  }
  EXPECT_EQ(q.abort(), (std::vector<int>{2, 1, 0}));
}

TEST(priority_queue, items_of_one_rank_come_out_in_the_order_they_came) {
  priority_queue<job> q{100};
  put_all(q, {{1, 'a'}, {1, 'b'}, {0, 'X'}, {1, 'c'}, {1, 'd'}, {2, 'z'}, {1, 'e'}});
  EXPECT_EQ(q.peek(0).name, 'X');
  virtual_loop loop;
  auto main = [&]() -> task<> {
    EXPECT_EQ(taken_from(q), "Xabcdez");
    co_return;
  };
  loop.run(main());
}

TEST(priority_queue, an_item_given_back_goes_before_its_equals_and_no_further) {
  priority_queue<job> q{8};
  virtual_loop loop;
  auto main = [&]() -> task<> {
    put_all(q, {{1, 'a'}, {1, 'b'}});
    auto first = co_await q.take();
    put_all(q, {{0, 'U'}, {1, 'c'}});
    first.give_back();
    EXPECT_EQ(taken_from(q), "Uabc");
  };
  loop.run(main());
}

TEST(priority_queue, orders_what_cannot_be_copied_by_a_comparison_of_ones_own) {
  struct longer {
    bool operator()(const std::unique_ptr<std::string>& a,
                    const std::unique_ptr<std::string>& b) const {
      return a->size() > b->size();
    }
  };
  priority_queue<std::unique_ptr<std::string>, longer> q{unbounded, "texts"};
  for (const char* text : {"bb", "a", "dddd", "ccc"}) {
    auto item = std::make_unique<std::string>(text);
    ASSERT_TRUE(q.try_put(item));
  }
  std::string all;
  for (auto& item : q.abort()) all += *item + " ";
  EXPECT_EQ(all, "dddd ccc bb a ");
}

// A grant is for the next item, whichever that is when the getter has resumed.
TEST(priority_queue, a_granted_getter_gets_what_has_become_most_urgent) {
  priority_queue<job> q{8};
  virtual_loop loop;
  char got = '-';
  auto taker = [](priority_queue<job>& from, char& into) -> task<> {
    auto next = co_await from.take();
    into = next->name;
  };
  auto main = [&]() -> task<> {
    auto waiting = spawn(taker, std::ref(q), std::ref(got));
    co_await yield();
    put_all(q, {{5, 'e'}, {1, 'a'}});
    EXPECT_EQ(q.statistics().granted, 1U);
    co_await waiting;
    EXPECT_EQ(got, 'a');
    EXPECT_EQ(taken_from(q), "e");
  };
  loop.run(main());
}

TEST(priority_queue, agrees_with_a_stable_sort_whatever_is_put_taken_and_given_back) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    virtual_loop loop;
    testing::random_source random(seed);
    priority_queue<std::pair<int, int>> q{unbounded};
    std::vector<std::pair<int, int>> model;
    auto main = [&]() -> task<> {
      for (int number = 0; number < 60; ++number) {
        if (random.one_in(3) && !model.empty()) {
          auto next = co_await q.take();
          EXPECT_EQ(*next, model.front());
          if (random.one_in(3)) {
            next.give_back();
          } else {
            model.erase(model.begin());
          }
        } else {
          std::pair<int, int> item{static_cast<int>(random.below(4)), number};
          const auto after = std::upper_bound(model.begin(), model.end(), item);
          model.insert(after, item);
          co_await q.put(item);
        }
      }
    };
    loop.run(main());
    ASSERT_EQ(q.abort(), model);
  }
}

}  // namespace
}  // namespace brigade
