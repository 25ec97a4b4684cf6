#include "pipeline/engine_fixture.hpp"

#include <brigade/async/loop.hpp>
#include <brigade/pipeline/threaded_stage.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <functional>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using test::run_on;

/// Calls a function, and says when two threads are in it at once.
class watched_body final : public stage_body {
 public:
  using thread_set = std::shared_ptr<std::set<std::thread::id>>;
  watched_body(std::function<void(int&)> work, thread_set threads)
      : work_(std::move(work)), threads_(std::move(threads)) {}
  [[nodiscard]] bool immediate() const override { return true; }
  attempt_result run_now(payload& item, const attempt_info&) override {
    if (inside_.exchange(true)) twice_at_once = true;
    threads_->insert(std::this_thread::get_id());
    work_(item.get<int>());
    inside_ = false;
    return attempt_result::unchanged();
  }
  static inline std::atomic<bool> twice_at_once = false;

 private:
  std::function<void(int&)> work_;
  thread_set threads_;
  std::atomic<bool> inside_ = false;
};

struct spread {
  explicit spread(int threads, const std::function<void(int&)>& work) {
    watched_body::twice_at_once = false;
    std::vector<std::unique_ptr<stage_body>> made;
    for (int n = 0; n < threads; ++n) {
      seen.push_back(std::make_shared<std::set<std::thread::id>>());
      made.push_back(std::make_unique<watched_body>(work, seen.back()));
    }
    stage = std::make_unique<threaded_stage>("work", std::move(made));
  }
  pipeline_plan plan(int items, std::function<void(int)> out, const stage_policy& rules) {
    auto made = pipeline("spread").from(numbers(items)).to("out", std::move(out)).take_plan();
    made.stages.push_back(stage_plan{"work", std::move(stage), rules});
    return made;
  }
  std::vector<watched_body::thread_set> seen;  ///< the threads that each body was used by
  std::unique_ptr<threaded_stage> stage;
};

TEST(threaded_stage, each_body_is_used_by_one_thread_that_is_not_the_loops) {
  loop own;
  spread work(3, [](int& item) { item *= 2; });
  std::set<int> got;
  auto keep = [&](int item) { got.insert(item); };
  const report result = run_on(own, work.plan(300, keep, {.workers = 6}));
  EXPECT_EQ(result.count(outcome::delivered), 300U);
  EXPECT_EQ(got.size(), 300U);
  EXPECT_EQ(*got.rbegin(), 600);
  std::set<std::thread::id> all;
  for (const auto& threads : work.seen) {
    EXPECT_EQ(threads->size(), 1U);
    all.insert(*threads->begin());
  }
  EXPECT_EQ(all.size(), 3U);
  EXPECT_FALSE(all.contains(std::this_thread::get_id()));
  EXPECT_FALSE(watched_body::twice_at_once);
}

// The first two, which go one by one, meet at a barrier: it would stay closed if one ran after the
// other.
TEST(threaded_stage, its_threads_work_at_the_same_time) {
  loop own;
  auto both = std::make_shared<std::barrier<>>(2);
  spread work(2, [both](int& item) {
    if (item <= 2) both->arrive_and_wait();
  });
  const report result = run_on(own, work.plan(20, [](int) {}, {.workers = 2}));
  EXPECT_EQ(result.count(outcome::delivered), 20U);
}

TEST(threaded_stage, until_it_knows_how_long_an_item_takes_it_takes_one) {
  spread work(2, [](int&) {});
  EXPECT_EQ(work.stage->together_max(), 1U);
}

TEST(threaded_stage, an_exception_is_the_items_own) {
  loop own;
  spread work(2, [](int& item) {
    if (item % 10 == 0) throw permanent_error("a round number");
  });
  const report result = run_on(own, work.plan(100, [](int) {}, {.workers = 4}));
  EXPECT_EQ(result.count(outcome::dead_lettered), 10U);
  EXPECT_EQ(result.dead_letters.front().error, "a round number");
  EXPECT_EQ(result.count(outcome::delivered), 90U);
}

TEST(threaded_stage, many_cheap_items_all_come_through) {
  loop own;
  spread work(2, [](int& item) {
    if (item % 1000 == 0) throw permanent_error("a round number");
    item = -item;
  });
  std::set<int> got;
  const report result =
      run_on(own, work.plan(50'000, [&](int item) { got.insert(item); }, {.workers = 4}));
  EXPECT_EQ(result.count(outcome::dead_lettered), 50U);
  EXPECT_EQ(result.count(outcome::delivered), 49'950U);
  EXPECT_EQ(got.size(), 49'950U);
  EXPECT_EQ(*got.begin(), -49'999);
}

// The engine destroys what does not end; the item must not be used after that.
TEST(threaded_stage, a_stop_waits_for_the_call_that_has_the_item) {
  loop own;
  std::atomic<bool> begun = false;
  std::atomic<bool> may_end = false;
  std::atomic<bool> ended = false;
  spread work(1, [&](int& item) {
    begun = true;
    while (!may_end) std::this_thread::yield();
    item = -1;
    ended = true;
  });
  engine running(work.plan(5, [](int) {}, {}), nullptr);
  auto main = [&]() -> task<report> {
    auto stop = [&]() -> task<> {
      while (!begun) co_await yield();
      may_end = true;
      running.stop_now(1, "enough");
    };
    auto stopping = brigade::spawn(stop);
    report result = co_await running.execute({});
    co_await stopping;
    co_return result;
  };
  const report result = own.run(main());
  EXPECT_TRUE(ended);
  EXPECT_EQ(result.taken, 5U);
  EXPECT_TRUE(result.adds_up());
}

}  // namespace
}  // namespace brigade
