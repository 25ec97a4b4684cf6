#include <brigade/async/channel.hpp>
#include <brigade/async/for_each.hpp>
#include <brigade/async/queue.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

std::vector<int> numbers_to(int last) {
  std::vector<int> numbers;
  for (int i = 1; i <= last; ++i) numbers.push_back(i);
  return numbers;
}

/// The first items take longest.
task<int> tenfold(int item) {
  co_await sleep_for(std::chrono::milliseconds(100 - item));
  co_return item * 10;
}

task<> fill(queue<int>& jobs, int last) {
  for (int job = 1; job <= last; ++job) co_await jobs.put(job);
  jobs.close();
}

TEST(for_each, map_gives_the_results_in_the_order_of_the_items) {
  virtual_loop loop;
  auto main = []() -> task<std::vector<int>> {
    const std::vector<int> items = numbers_to(10);
    co_return co_await map(items, 3, tenfold);
  };
  EXPECT_EQ(loop.run(main()), (std::vector<int>{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}));
}

TEST(for_each, at_most_so_many_run_at_once_and_no_more_tasks_than_that_are_started) {
  virtual_loop loop;
  int running = 0;
  int most = 0;
  std::size_t most_tasks = 0;
  auto main = [&]() -> task<> {
    auto work = [&](int) -> task<> {
      most = std::max(most, ++running);
      most_tasks = std::max(most_tasks, loop::current().task_count());
      co_await sleep_for(1s);
      --running;
    };
    const std::vector<int> items = numbers_to(100);
    co_await for_each(items, 7, work);
  };
  loop.run(main());
  EXPECT_EQ(most, 7);
  EXPECT_LE(most_tasks, 8U);
}

TEST(for_each, few_items_start_few_tasks) {
  virtual_loop loop;
  std::size_t most_tasks = 0;
  auto main = [&]() -> task<> {
    auto work = [&](int) -> task<> {
      most_tasks = std::max(most_tasks, loop::current().task_count());
      co_await sleep_for(1s);
    };
    const std::vector<int> items = numbers_to(2);
    co_await for_each(items, 1'000'000, work);
  };
  loop.run(main());
  EXPECT_LE(most_tasks, 4U);
}

TEST(for_each, of_no_items_ends_at_once) {
  virtual_loop loop;
  auto main = []() -> task<std::size_t> {
    auto results = co_await map(std::vector<int>(), 4, tenfold);
    co_return results.size();
  };
  EXPECT_EQ(loop.run(main()), 0U);
}

TEST(for_each, items_of_an_lvalue_are_references_and_those_of_an_rvalue_are_moved) {
  virtual_loop loop;
  auto main = []() -> task<> {
    std::vector<int> mine = numbers_to(3);
    auto twice = [](int& item) -> task<> {
      co_await yield();
      item *= 2;
    };
    co_await for_each(mine, 2, twice);
    EXPECT_EQ(mine, (std::vector<int>{2, 4, 6}));
    std::vector<std::unique_ptr<int>> given;
    given.push_back(std::make_unique<int>(7));
    auto eat = [](std::unique_ptr<int> item) -> task<int> {
      co_await yield();
      co_return *item;
    };
    const auto eaten = co_await map(std::move(given), 2, eat);
    EXPECT_EQ(eaten, (std::vector<int>{7}));
  };
  loop.run(main());
}

TEST(for_each, a_range_of_one_pass_is_read_as_it_goes) {
  virtual_loop loop;
  auto main = []() -> task<std::vector<std::string>> {
    std::istringstream text("one two three");
    std::vector<std::string> copies;
    auto upper = [](std::string word) -> task<std::string> {
      co_await yield();
      word[0] = static_cast<char>(word[0] - 'a' + 'A');
      co_return word;
    };
    auto words = std::ranges::subrange(std::istream_iterator<std::string>(text),
                                       std::istream_iterator<std::string>());
    co_return co_await map(words, 2, upper);
  };
  EXPECT_EQ(loop.run(main()), (std::vector<std::string>{"One", "Two", "Three"}));
}

TEST(for_each, the_first_error_cancels_the_rest_and_begins_no_item_any_more) {
  virtual_loop loop;
  int begun = 0;
  int struck = 0;
  auto main = [&]() -> task<> {
    auto work = [&](int item) -> task<> {
      ++begun;
      try {
        co_await sleep_for(std::chrono::seconds(item == 2 ? 1 : 100));
      } catch (const cancelled&) {
        ++struck;
        throw;
      }
      throw std::runtime_error("item " + std::to_string(item));
    };
    const std::vector<int> items = numbers_to(10);
    co_await for_each(items, 3, work);
  };
  try {
    loop.run(main());
    FAIL() << "no error came out";
  } catch (const exception_group& group) {
    ASSERT_EQ(group.errors().size(), 1U);
    EXPECT_EQ(error_text(group.errors()[0]), "item 2");
  }
  EXPECT_EQ(begun, 3);
  EXPECT_EQ(struck, 2);
}

task<int> fails_at_even(int item) {
  co_await sleep_for(std::chrono::milliseconds(100 - item));
  if (item % 2 == 0) throw std::runtime_error(std::to_string(item));
  co_return item;
}

TEST(for_each, collected_errors_stop_nothing) {
  virtual_loop loop;
  auto main = []() -> task<> {
    const std::vector<int> items = numbers_to(5);
    const auto ends = co_await map(collect_errors, items, 5, fails_at_even);
    EXPECT_EQ(ends.size(), 5U);
    for (std::size_t i = 0; i < ends.size(); ++i) {
      EXPECT_EQ(ends[i].has_value(), i % 2 == 0) << i;
    }
    EXPECT_EQ(ends[4].value(), 5);
    EXPECT_EQ(error_text(ends[3].error()), "4");
    auto drop = [](int item) -> task<> { static_cast<void>(co_await fails_at_even(item)); };
    std::string texts;
    try {
      co_await for_each(collect_errors, items, 5, drop);
    } catch (const exception_group& group) {
      for (const auto& error : group.errors()) texts += error_text(error);
    }
    EXPECT_EQ(texts, "42");  // in the order they came
  };
  loop.run(main());
}

TEST(for_each, an_item_that_awaited_something_cancelled_is_not_taken_for_done) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto awaits_cancelled = [](int item) -> task<int> {
      auto nap = []() -> task<> { co_await sleep_for(1h); };
      auto other = spawn(nap);
      co_await yield();
      if (item == 2) other.cancel();
      if (item == 2) co_await other;
      co_return item;
    };
    const std::vector<int> items = numbers_to(3);
    EXPECT_THROW(co_await map(items, 1, awaits_cancelled), cancelled);
    const auto ends = co_await map(collect_errors, items, 1, awaits_cancelled);
    EXPECT_TRUE(ends.at(1).cancelled());
    EXPECT_EQ(ends.at(2).value(), 3);
  };
  loop.run(main());
}

TEST(for_each, takes_what_a_queue_gives_until_it_is_closed) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> jobs{2};
    auto filling = spawn(fill, std::ref(jobs), 20);
    const auto results = co_await map(jobs, 4, tenfold);
    EXPECT_EQ(results.size(), 20U);
    EXPECT_TRUE(std::ranges::is_sorted(results));
    EXPECT_EQ(jobs.statistics().done, 20U);
    EXPECT_EQ(jobs.unfinished(), 0U);
    co_await filling;
  };
  loop.run(main());
}

TEST(for_each, an_item_that_failed_is_settled_as_failed_also_when_errors_are_collected) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> jobs{10};
    co_await fill(jobs, 4);
    const auto ends = co_await map(collect_errors, jobs, 2, fails_at_even);
    EXPECT_EQ(ends.size(), 4U);
    EXPECT_EQ(jobs.statistics().done, 2U);
    EXPECT_EQ(jobs.statistics().failed, 2U);
  };
  loop.run(main());
}

TEST(for_each, cancelled_it_loses_no_item_of_a_stream) {
  for (const bool by_scope : {false, true}) {
    virtual_loop loop;
    auto main = [&]() -> task<> {
      queue<int> jobs{10};
      for (int job = 1; job <= 10; ++job) co_await jobs.put(job);
      int done = 0;
      auto work = [&](int job) -> task<> {
        co_await sleep_for(std::chrono::seconds(job));
        ++done;
      };
      auto all = [&]() -> task<> { co_await for_each(jobs, 3, work); };
      if (by_scope) {
        EXPECT_THROW(co_await timeout(3500ms, all()), timed_out);
      } else {
        auto handle = spawn(all);
        co_await sleep_for(3500ms);
        handle.cancel();
        EXPECT_THROW(co_await handle, cancelled);
      }
      const queue_statistics seen = jobs.statistics();
      EXPECT_EQ(done, 3);
      EXPECT_EQ(seen.done, 3U);
      EXPECT_EQ(seen.abandoned, 3U);
      EXPECT_EQ(jobs.size(), 4U);
      EXPECT_EQ(jobs.peek(0), 7);
      const auto rest = jobs.abort();
      EXPECT_EQ(rest.size(), 4U);
    };
    loop.run(main());
  }
}

TEST(for_each, a_worker_cancelled_while_it_waits_for_an_item_is_not_the_end_of_the_stream) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> jobs{10};
    auto work = [](int) -> task<> { co_await yield(); };
    auto all = [&]() -> task<> { co_await for_each(jobs, 1, work); };
    auto handle = spawn(all);
    co_await sleep_for(1s);
    for (task_ref& task : all_tasks()) {
      if (task != current_task() && task != handle) task.cancel("one worker");
    }
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
}

TEST(for_each, a_callable_may_take_the_ticket_and_give_the_item_back) {
  virtual_loop loop;
  auto main = []() -> task<> {
    queue<int> jobs{10};
    for (int job = 1; job <= 3; ++job) co_await jobs.put(job);
    auto picky = [](ticket<int>& job) -> task<> {
      try {
        co_await sleep_for(1h);
      } catch (const cancelled&) {
        job.give_back();
        throw;
      }
    };
    auto all = for_each(jobs, 2, picky);
    EXPECT_THROW(co_await timeout(1s, std::move(all)), timed_out);
    EXPECT_EQ(jobs.size(), 3U);
    EXPECT_EQ(jobs.statistics().abandoned, 0U);
    EXPECT_EQ(jobs.abort().size(), 3U);
  };
  loop.run(main());
}

TEST(for_each, takes_what_a_receiver_gives_until_the_last_sender_is_gone) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto [to_workers, jobs] = channel<std::unique_ptr<int>>(2, "jobs");
    auto produce = [](sender<std::unique_ptr<int>> out) -> task<> {
      for (int job = 1; job <= 5; ++job) co_await out.send(std::make_unique<int>(job));
    };
    auto producing = spawn(produce, std::move(to_workers));
    auto eat = [](std::unique_ptr<int> job) -> task<int> {
      co_await yield();
      co_return *job;
    };
    const auto eaten = co_await map(jobs, 2, eat);
    EXPECT_EQ(eaten, numbers_to(5));
    co_await producing;
  };
  loop.run(main());
}

/// What only has `next()`, and fails at the end.
class countdown {
 public:
  explicit countdown(int from) : left_(from) {}
  task<std::optional<int>> next() {
    co_await sleep_for(1ms);
    if (left_ == 0) throw std::runtime_error("the source broke");
    co_return left_--;
  }

 private:
  int left_;
};

TEST(for_each, an_error_of_the_stream_ends_it_also_when_errors_are_collected) {
  virtual_loop loop;
  int done = 0;
  auto main = [&]() -> task<> {
    auto work = [&](int) -> task<> {
      ++done;
      co_await yield();
    };
    co_await for_each(collect_errors, countdown(3), 1, work);
  };
  try {
    loop.run(main());
    FAIL() << "no error came out";
  } catch (const exception_group& group) {
    EXPECT_EQ(error_text(group.errors().at(0)), "the source broke");
  }
  EXPECT_EQ(done, 3);
}

TEST(for_each, in_a_cancelled_scope_begins_one_item_at_most) {
  virtual_loop loop;
  int begun = 0;
  auto main = [&]() -> task<> {
    auto work = [&](int) -> task<> {
      ++begun;
      co_await sleep_for(1s);
    };
    const std::vector<int> items = numbers_to(100);
    cancel_scope scope;
    scope.cancel("before");
    try {
      co_await for_each(items, 10, work);
    } catch (const cancelled&) {
    }
  };
  loop.run(main());
  EXPECT_LE(begun, 1);
}

TEST(for_each, items_that_never_wait_let_others_run) {
  virtual_loop loop;
  int turns_of_the_other = 0;
  auto main = [&]() -> task<> {
    auto other = [&]() -> task<> {
      for (;;) {
        ++turns_of_the_other;
        co_await yield();
      }
    };
    auto handle = spawn(other);
    auto work = [](int) -> task<> { co_return; };
    const std::vector<int> items = numbers_to(10'000);
    co_await for_each(items, 2, work);
    handle.cancel();
  };
  loop.run(main());
  EXPECT_GT(turns_of_the_other, 10);
}

TEST(for_each, a_worker_that_is_destroyed_is_noticed) {
  virtual_loop loop;
  auto main = []() -> task<> {
    auto all = []() -> task<> {
      const std::vector<int> items = numbers_to(2);
      static_cast<void>(co_await map(items, 1, tenfold));
    };
    auto handle = spawn(all);
    co_await sleep_for(1ms);
    for (const task_ref& task : all_tasks()) {
      const bool is_worker = task != current_task() && task != handle;
      if (is_worker) loop::current().kill(task.record());
    }
    EXPECT_THROW(co_await handle, cancelled);
  };
  loop.run(main());
}

// Die at every step: what is left of the items is in the queue or settled.
TEST(for_each, a_task_that_is_killed_at_any_step_leaves_nothing_behind) {
  bool survived = false;
  for (std::uint64_t steps = 1; !survived; ++steps) {
    ASSERT_LT(steps, 1000U);
    queue<std::shared_ptr<int>> jobs{20};
    auto held = std::make_shared<int>(1);
    virtual_loop loop(steps);
    loop.kill_after(steps);
    auto main = [&]() -> task<> {
      for (int i = 0; i < 10; ++i) co_await jobs.put(held);
      jobs.close();
      auto work = [](std::shared_ptr<int> mine) -> task<int> {
        co_await sleep_for(std::chrono::milliseconds(*mine));
        co_return *mine;
      };
      static_cast<void>(co_await map(jobs, 3, work));
    };
    try {
      loop.run(main());
    } catch (const cancelled&) {
    }
    survived = !loop.killed();
    const auto seen = jobs.statistics();
    const auto left = jobs.abort();
    EXPECT_EQ(static_cast<std::size_t>(held.use_count()), left.size() + 1);
    EXPECT_TRUE(!survived || seen.done == 10U);
  }
}

TEST(for_each_deathtest, a_concurrency_of_0_is_a_misuse) {
  auto main = []() -> task<> {
    const std::vector<int> items = numbers_to(3);
    static_cast<void>(co_await map(items, 0, tenfold));
  };
  EXPECT_DEATH(
      {
        virtual_loop loop;
        loop.run(main());
      },
      "concurrency of 0");
}

}  // namespace
}  // namespace brigade
