// Many loops, threads, cancellations and ends at random, and a checker that counts every item.
#include <brigade/async/error.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/shared_queue.hpp>
#include <brigade/async/threads.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::random_source;

struct order {
  int producer = 0;
  int number = 0;
};

/// What was put, and what became of it.
class book {
 public:
  void was_put() { ++put_; }
  /// By a consumer, of what it took and kept.
  void was_taken(int consumer, const order& one) {
    const std::lock_guard lock(mutex_);
    ++seen_[{one.producer, one.number}];
    int& last = last_of_[{consumer, one.producer}];
    if (one.number < last) ++late_;
    last = std::max(last, one.number);
  }
  void came_back(const std::vector<order>& left) {
    const std::lock_guard lock(mutex_);
    for (const order& one : left) ++seen_[{one.producer, one.number}];
  }
  void check(std::uint64_t given_back) {
    for (const auto& [key, count] : seen_) {
      EXPECT_EQ(count, 1) << "item " << key.second << " of producer " << key.first;
    }
    EXPECT_EQ(seen_.size(), put_.load()) << "lost, or made up";
    EXPECT_LE(late_, given_back) << "out of order within a producer";
  }

 private:
  std::atomic<std::uint64_t> put_{0};
  std::mutex mutex_;
  std::map<std::pair<int, int>, int> seen_;
  std::map<std::pair<int, int>, int> last_of_;
  std::uint64_t late_ = 0;
};

struct scenario {
  explicit scenario(std::uint64_t seed)
      : random(seed),
        capacity(1 + random.below(9)),
        loops(2 + random.below(2)),
        producers(1 + random.below(2)),
        consumers(1 + random.below(3)),
        items(20 + random.below(60)),
        cancels(random.one_in(2)),
        aborts(random.one_in(4)),
        threads(random.one_in(3)),
        queue(capacity, "orders") {}
  random_source random;
  std::uint64_t capacity;
  std::uint64_t loops;
  std::uint64_t producers;  ///< a loop
  std::uint64_t consumers;  ///< a loop
  std::uint64_t items;      ///< a producer
  bool cancels;
  bool aborts;
  bool threads;
  shared_queue<order> queue;
  book kept;
  std::atomic<std::uint64_t> producing{0};
  std::atomic<std::uint64_t> given_back{0};
  std::atomic<bool> over_capacity{false};
  std::atomic<int> next_consumer{0};
};

/// Puts its items in order; a put that was cancelled is tried again, for it did not happen.
task<> produce(scenario& all, int producer, std::uint64_t seed) {
  random_source random(seed);
  for (std::uint64_t number = 1; number <= all.items; ++number) {
    const order one{producer, static_cast<int>(number)};
    for (bool put = false; !put;) {
      try {
        if (all.cancels && random.one_in(4)) {
          auto attempt = [](shared_queue<order>& into, order item) -> task<> {
            co_await into.put(item);
          };
          co_await timeout(std::chrono::microseconds(random.below(40)), attempt(all.queue, one));
        } else {
          co_await all.queue.put(one);
        }
        put = true;
      } catch (const timed_out&) {
      } catch (const queue_closed&) {
        number = all.items;
        break;
      }
      if (put) all.kept.was_put();
    }
    if (random.one_in(8)) co_await yield();
  }
  if (--all.producing == 0) all.queue.close();
}

/// Takes until the end, or goes early and leaves the rest to the others.
task<> consume(scenario& all, std::uint64_t seed, bool may_go) {
  random_source random(seed);
  const int consumer = all.next_consumer++;
  auto take = [](shared_queue<order>& from) -> task<shared_ticket<order>> {
    co_return co_await from.take(on_cancel::end);
  };
  for (;;) {
    std::chrono::nanoseconds patience = 1h;
    if (all.cancels && random.one_in(3)) patience = std::chrono::microseconds(random.below(50));
    auto ticket = co_await timeout(patience, take(all.queue));
    if (!ticket) {
      if (ticket.why() == shared_ticket<order>::end::closed) co_return;
      continue;
    }
    if (all.queue.size() > all.capacity + all.given_back) all.over_capacity = true;
    if (all.cancels && random.one_in(16)) {
      ++all.given_back;
      ticket.give_back();
      continue;
    }
    all.kept.was_taken(consumer, *ticket);
    ticket.done();
    if (random.one_in(8)) co_await yield();
    if (may_go && random.one_in(40)) co_return;
  }
}

task<> member(scenario& all, std::size_t index, std::uint64_t seed) {
  auto crowd = [&](task_group& group) {
    for (std::uint64_t i = 0; i < all.producers; ++i) {
      const auto producer = static_cast<int>(index * all.producers + i);
      group.spawn(produce, std::ref(all), producer, seed * 7 + i);
    }
    for (std::uint64_t i = 0; i < all.consumers; ++i) {
      const bool may_go = index != 0 && all.cancels;
      group.spawn(consume, std::ref(all), seed * 13 + i, may_go);
    }
  };
  co_await with_group(std::ref(crowd));
}

void run_scenario(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  scenario all(seed);
  all.producing = all.loops * all.producers + (all.threads ? 1 : 0);
  std::vector<std::jthread> outside;
  if (all.threads) {
    auto end = std::make_unique<shared_queue<order>::blocking_end>(all.queue);
    outside.emplace_back([&all, own = std::move(end)] {
      for (std::uint64_t number = 1; number <= all.items; ++number) {
        const order one{-1, static_cast<int>(number)};
        try {
          own->put(one);
        } catch (const queue_closed&) {
          break;
        }
        all.kept.was_put();
      }
      if (--all.producing == 0) all.queue.close();
    });
  }
  if (all.aborts) {
    outside.emplace_back([&all] {
      while (all.queue.statistics().done < all.items / 2) std::this_thread::yield();
      all.kept.came_back(all.queue.abort());
    });
  }
  run_threads(all.loops, [&](std::size_t index) { return member(all, index, seed + index); });
  outside.clear();
  all.kept.came_back(all.queue.abort());
  all.kept.check(all.given_back + all.queue.sent_back());
  EXPECT_FALSE(all.over_capacity);
  EXPECT_EQ(all.queue.unfinished(), 0U);
}

TEST(shared_queue_stress,
     under_load_nothing_is_lost_doubled_reordered_or_let_in_beyond_the_capacity) {
  for (std::uint64_t seed = 1; seed <= 150 && !HasFailure(); ++seed) run_scenario(seed);
}

}  // namespace
}  // namespace brigade
