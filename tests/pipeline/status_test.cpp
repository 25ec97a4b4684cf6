#include "pipeline/engine_fixture.hpp"

#include <brigade/async/event.hpp>
#include <brigade/pipeline/status.hpp>
#include <brigade/testing/fakes.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using testing::virtual_loop;

/// Runs the plan, looks at it after some time, and stops it then.
run_status seen_after(std::chrono::milliseconds time, pipeline_plan plan, bool with_board = true) {
  virtual_loop loop;
  plan.rules.stop_timeout = 1ms;
  if (with_board) plan.observer.board = std::make_shared<status_board>();
  engine own(std::move(plan), nullptr);
  run_status seen;
  auto watcher = [&]() -> task<> {
    co_await sleep_for(time);
    seen = own.status();
    own.stop_now(0, "seen");
  };
  auto main = [&]() -> task<> {
    auto watching = spawn(watcher);
    static_cast<void>(co_await own.execute({}));
    co_await watching;
  };
  loop.run(main());
  return seen;
}

auto never_ends = [](int) -> task<> { co_await sleep_for(24h); };

/// A sink that is down from the first write on.
class dead_sink final : public sink {
 public:
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>{};
  }
  task<write_result> write(std::span<const sink_item>, std::span<const partition_mark>) override {
    throw sink_down("no route to host");
    co_return write_result{};
  }
};

TEST(time_histogram, counts_a_time_in_the_first_bucket_that_holds_it) {
  time_histogram times;
  times.add(100us);
  times.add(101us);
  times.add(1h);
  times.add(-1s);
  EXPECT_EQ(times.counts.front(), 2U);
  EXPECT_EQ(times.counts[1], 1U);
  EXPECT_EQ(times.counts.back(), 1U);
  EXPECT_EQ(times.count(), 4U);
  EXPECT_NEAR(times.sum, 3600.000201, 1e-6);
}

TEST(liveness, is_good_where_nothing_is_pending_or_no_stop_can_hang) {
  run_status now;
  EXPECT_TRUE(liveness(now, 60s).good) << "not begun";
  now.phase = status_phase::running;
  EXPECT_TRUE(liveness(now, 60s).good);
  now.stalled = 59.9;
  EXPECT_TRUE(liveness(now, 60s).good);
  now.stalled = 61;
  EXPECT_FALSE(liveness(now, 60s).good);
  now.phase = status_phase::draining;
  EXPECT_TRUE(liveness(now, 60s).good) << "a stop has its own deadline";
}

TEST(liveness, waits_for_the_longest_timeout_of_a_stage) {
  run_status now;
  now.phase = status_phase::running;
  now.stalled = 100;
  now.attempt_timeout_max = 2min;
  EXPECT_TRUE(liveness(now, 60s).good);
  now.stalled = 126;
  EXPECT_FALSE(liveness(now, 60s).good);
}

TEST(liveness, ends_with_a_loop_that_does_not_turn) {
  run_status now;
  now.phase = status_phase::running;
  now.silent = 61;
  EXPECT_FALSE(liveness(now, 60s).good);
  EXPECT_NE(liveness(now, 60s).text.find("held the loop's thread for 61 s"), std::string::npos);
}

TEST(engine_status, names_who_holds_up_everything) {
  auto plan = pipeline("orders")
                  .from(numbers(5))
                  .stage("charge", never_ends, {.workers = 2})
                  .to("out", [](int) {})
                  .take_plan();
  const run_status now = seen_after(100s, std::move(plan));
  EXPECT_EQ(now.phase, status_phase::running);
  EXPECT_EQ(now.taken, 5U);
  EXPECT_EQ(now.in_flight, 5U);
  EXPECT_EQ(now.oldest_item, "items:0:0");
  EXPECT_NEAR(now.oldest_seconds, 100, 1);
  const stage_status& charge = now.stages.at(0);
  EXPECT_EQ(charge.workers, 2U);
  EXPECT_EQ(charge.busy_workers, 2U);
  EXPECT_EQ(charge.queue_items, 3U);
  EXPECT_EQ(charge.busy.at(0).item, "items:0:0");
  EXPECT_NE(charge.busy.at(0).waits_for, "");
  EXPECT_NEAR(now.stalled, 100, 2);
  EXPECT_EQ(now.waits_because, "");
  const health live = liveness(now, 60s);
  EXPECT_FALSE(live.good);
  EXPECT_NE(live.text.find("stage 'charge' has items:0:0 in work since 100 s"), std::string::npos)
      << live.text;
  EXPECT_TRUE(readiness(now).good);
}

TEST(engine_status, is_not_stuck_by_one_item_that_hangs_while_others_move) {
  auto work = [](int item) -> task<> {
    const std::chrono::seconds takes = item == 1 ? 24h : 1s;
    co_await sleep_for(takes);
  };
  auto plan = pipeline("orders")
                  .from(numbers(500))
                  .stage("charge", work, {.workers = 2})
                  .to("out", [](int) {})
                  .take_plan();
  const run_status now = seen_after(100s, std::move(plan));
  EXPECT_LT(now.stalled, 2.5);
  EXPECT_TRUE(liveness(now, 60s).good);
  EXPECT_NEAR(now.stages.at(0).busy.at(0).seconds, 100, 1);
}

// Items that only arrive are no progress: a consumer that takes and takes may be deaf all the same.
TEST(engine_status, is_stuck_though_items_keep_coming) {
  auto slowly = [n = 0]() mutable -> task<std::optional<int>> {
    co_await sleep_for(5s);
    co_return ++n;
  };
  auto plan =
      pipeline("orders").from(slowly).stage("charge", never_ends).to("out", [](int) {}).take_plan();
  const run_status now = seen_after(100s, std::move(plan));
  EXPECT_GT(now.taken, 15U);
  EXPECT_FALSE(liveness(now, 60s).good);
}

TEST(engine_status, knows_no_stall_where_nothing_is_to_be_done) {
  auto late = [n = 0]() mutable -> task<std::optional<int>> {
    const std::chrono::seconds pause = n == 0 ? 100s : 24h;
    co_await sleep_for(pause);
    co_return ++n;
  };
  auto plan =
      pipeline("orders").from(late).stage("charge", never_ends).to("out", [](int) {}).take_plan();
  const run_status now = seen_after(110s, std::move(plan));
  EXPECT_EQ(now.in_flight, 1U);
  EXPECT_NEAR(now.stalled, 10, 2);
}

TEST(engine_status, says_that_the_sink_is_down_and_is_alive_and_not_ready) {
  auto plan = pipeline("orders").from(numbers(5)).to("store", [](int) {}).take_plan();
  plan.to = std::make_unique<dead_sink>();
  const run_status now = seen_after(100s, std::move(plan));
  ASSERT_FALSE(now.pauses.empty());
  EXPECT_EQ(now.pauses.front().reason, "sink_down");
  EXPECT_EQ(now.connections.back().state, "down");
  EXPECT_EQ(now.connections.back().text, "no route to host");
  EXPECT_GT(now.stalled, 60);
  const health live = liveness(now, 60s);
  EXPECT_TRUE(live.good);
  EXPECT_NE(live.text.find("no route to host"), std::string::npos) << live.text;
  EXPECT_FALSE(readiness(now).good);
}

TEST(engine_status, is_not_stuck_while_all_items_wait_for_a_retry) {
  auto fails = [](int) { throw std::runtime_error("no"); };
  const stage_policy policy{.retry = {.backoff_min = 1h, .backoff_max = 1h}};
  auto plan = pipeline("orders")
                  .from(numbers(3))
                  .stage("charge", fails, policy)
                  .to("out", [](int) {})
                  .take_plan();
  plan.jitter_seed = 1;
  const run_status now = seen_after(100s, std::move(plan));
  EXPECT_EQ(now.stages.at(0).retrying, 3U);
  EXPECT_TRUE(liveness(now, 60s).good);
  EXPECT_EQ(now.waits_because, "all items wait for their next attempt");
}

TEST(engine_status, is_not_stuck_by_a_rate) {
  const stage_policy policy{.rate = {.items = 1, .per = 1h}};
  auto plan = pipeline("orders")
                  .from(numbers(3))
                  .stage(
                      "charge", [](int) {}, policy)
                  .to("out", [](int) {})
                  .take_plan();
  const run_status now = seen_after(100s, std::move(plan));
  EXPECT_TRUE(now.stages.at(0).waits_for_rate);
  EXPECT_EQ(now.waits_because, "the rate of 'charge'");
  EXPECT_TRUE(liveness(now, 60s).good);
}

TEST(engine_status, is_not_ready_while_an_error_budget_pauses_a_stage) {
  auto fails = [](int) { throw permanent_error("bad"); };
  stage_policy policy;
  policy.failure = on_error::tolerate;
  policy.budget = {.count = 2, .then = error_budget::spent::pause};
  auto plan = pipeline("orders")
                  .from(numbers(9))
                  .stage("charge", fails, policy)
                  .to("out", [](int) {})
                  .take_plan();
  const run_status now = seen_after(20s, std::move(plan));
  ASSERT_FALSE(now.pauses.empty());
  EXPECT_EQ(now.pauses.front().reason, "error_budget");
  EXPECT_EQ(now.pauses.front().where, "charge");
  const health ready = readiness(now);
  EXPECT_FALSE(ready.good);
  EXPECT_NE(ready.text.find("3 items failed, and 2 are tolerated"), std::string::npos)
      << ready.text;
}

TEST(engine_status, counts_retries_by_their_reason) {
  auto work = [](int item) -> task<> {
    if (item == 1) throw std::runtime_error("no");
    co_await sleep_for(24h);
  };
  const stage_policy policy{.workers = 2,
                            .retry = {.attempts_max = 2, .backoff_min = 1ms, .backoff_max = 1ms},
                            .attempt_timeout = 5s};
  auto plan = pipeline("orders")
                  .from(numbers(2))
                  .stage("charge", work, policy)
                  .to("out", [](int) {})
                  .take_plan();
  const run_status now = seen_after(8s, std::move(plan));
  const auto& retries = now.stages.at(0).retries;
  EXPECT_EQ(retries[static_cast<std::size_t>(retry_reason::error)], 1U);
  EXPECT_EQ(retries[static_cast<std::size_t>(retry_reason::timeout)], 1U);
  EXPECT_EQ(now.attempt_timeout_max, 5s);
}

TEST(engine_status, measures_times_for_a_board_and_only_then) {
  for (const bool with_board : {true, false}) {
    auto work = [](int) -> task<> { co_await sleep_for(2s); };
    auto plan = pipeline("orders")
                    .from(numbers(20))
                    .stage("charge", work)
                    .to("out", [](int) {})
                    .take_plan();
    const run_status now = seen_after(11s, std::move(plan), with_board);
    const stage_status& charge = now.stages.at(0);
    if (!with_board) {
      EXPECT_EQ(charge.work.count() + now.end_to_end.count(), 0U);
      continue;
    }
    EXPECT_EQ(charge.work.count(), 5U);
    EXPECT_NEAR(charge.work.sum, 10, 0.1);
    EXPECT_EQ(charge.queue_wait.count(), 6U);
    EXPECT_NEAR(charge.queue_wait.sum, 0 + 2 + 4 + 6 + 8 + 10, 0.1);
    EXPECT_EQ(now.end_to_end.count(), 5U);
    EXPECT_GE(now.end_to_end.sum, 2 + 4 + 6 + 8 + 10);
  }
}

TEST(engine_status, measures_how_long_workers_wait_for_room) {
  auto quick = [](int) -> task<> { co_await sleep_for(1ms); };
  auto plan = pipeline("orders")
                  .from(numbers(50))
                  .stage("first", quick)
                  .stage("second", never_ends, {.queue_items_max = 2})
                  .to("out", [](int) {})
                  .take_plan();
  plan.rules.window_items_max = 50;
  auto slow = [](int) -> task<> { co_await sleep_for(10s); };
  auto moving = pipeline("orders")
                    .from(numbers(50))
                    .stage("first", quick)
                    .stage("second", slow, {.queue_items_max = 2})
                    .to("out", [](int) {})
                    .take_plan();
  EXPECT_EQ(seen_after(100s, std::move(plan)).stages.at(0).push_blocked_seconds, 0)
      << "counted when it is over";
  EXPECT_NEAR(seen_after(101s, std::move(moving)).stages.at(0).push_blocked_seconds, 100, 11);
}

TEST(status_board, is_starting_before_the_run_and_keeps_its_end) {
  auto board = std::make_shared<status_board>();
  EXPECT_EQ(board->look().phase, status_phase::starting);
  EXPECT_FALSE(readiness(board->look()).good);
  EXPECT_TRUE(liveness(board->look(), 1s).good);
  run_observer watching;
  watching.board = board;
  auto ready = pipeline("orders").from(numbers(7)).to("out", [](int) {});
  ready.observe(watching);
  static_cast<void>(ready.run());
  const run_status last = board->look();
  EXPECT_EQ(last.phase, status_phase::ended);
  EXPECT_EQ(last.count(outcome::delivered), 7U);
  EXPECT_EQ(last.in_flight, 0U);
}

TEST(status_board, is_asked_by_other_threads_while_the_run_goes_on) {
  auto board = std::make_shared<status_board>();
  std::atomic<bool> seen_running = false;
  std::atomic<bool> over = false;
  std::thread asking([&] {
    while (!over) {
      const run_status now = board->look();
      if (now.phase == status_phase::running && now.stages.size() == 2) seen_running = true;
    }
  });
  auto until_seen = [&, n = 0]() mutable -> task<std::optional<int>> {
    co_await sleep_for(1ms);
    if (seen_running) co_return std::nullopt;
    co_return ++n;
  };
  run_observer watching;
  watching.board = board;
  auto ready = pipeline("orders").from(until_seen).stage("work", [](int) {}).to("out", [](int) {});
  ready.observe(watching);
  const report result = ready.run();
  over = true;
  asking.join();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(seen_running);
}

TEST(status_board, gives_the_last_status_of_a_loop_that_does_not_answer) {
  status_board board;
  std::atomic<bool> attached = false;
  std::atomic<bool> looked = false;
  std::thread busy([&] {
    loop own;
    auto spins = [&]() -> task<> {
      board.attach(loop::current(), [taken = 0]() mutable {
        run_status now;
        now.phase = status_phase::running;
        now.taken = static_cast<std::uint64_t>(++taken);
        return now;
      });
      attached = true;
      while (!looked) std::this_thread::yield();
      board.detach({});
      co_return;
    };
    own.run(spins());
  });
  while (!attached) std::this_thread::yield();
  run_status now = board.look(10ms);
  while (now.age <= 0.1) now = board.look(10ms);  // a young one is given again
  const run_status silent = board.look(10ms);
  EXPECT_EQ(silent.taken, 1U);
  EXPECT_GT(silent.age, 0.1);
  EXPECT_GT(silent.silent, 0.1);
  looked = true;
  busy.join();
}

}  // namespace
}  // namespace brigade
