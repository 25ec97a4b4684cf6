#include "pipeline/engine_fixture.hpp"

#include <brigade/async/group.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/testing/fakes.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

using test::numbers;
using test::run_and_drain;
using test::run_on;

TEST(engine, one_bad_item_of_a_thousand_fails_alone) {
  virtual_loop loop;
  std::set<int> got;
  auto charge = [](int order) {
    if (order == 847) throw permanent_error("card declined");
    return order * 2;
  };
  report result = run_on(loop, pipeline("orders")
                                   .from(numbers(1000))
                                   .stage("charge", charge, {.workers = 4})
                                   .to("receipts", [&](int receipt) { got.insert(receipt); })
                                   .take_plan());
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.count(outcome::delivered), 999U);
  EXPECT_EQ(result.count(outcome::dead_lettered), 1U);
  EXPECT_TRUE(result.adds_up());
  EXPECT_EQ(got.size(), 999U);
  EXPECT_FALSE(got.contains(847 * 2));
  ASSERT_EQ(result.dead_letters.size(), 1U);
  EXPECT_EQ(result.dead_letters[0].stage, "charge");
  EXPECT_EQ(result.dead_letters[0].error, "card declined");
  EXPECT_EQ(result.dead_letters[0].id, "items:0:846");
}

TEST(engine, a_retryable_failure_is_tried_again_with_backoff_and_then_dead_lettered) {
  virtual_loop loop;
  std::map<int, int> tries;
  auto flaky = [&](int item) -> int {
    const int attempt = ++tries[item];
    if (item == 3) throw std::runtime_error("never");
    if (item == 5 && attempt < 3) throw std::runtime_error("not yet");
    return item;
  };
  std::vector<int> got;
  report result = run_on(loop, pipeline("flaky")
                                   .from(numbers(10))
                                   .stage("work", flaky, {.workers = 2})
                                   .to("out", [&](int item) { got.push_back(item); })
                                   .take_plan());
  EXPECT_EQ(tries[3], 5);
  EXPECT_EQ(tries[5], 3);
  EXPECT_EQ(got.size(), 9U);
  EXPECT_EQ(result.retries, 6U);
  EXPECT_EQ(result.dead_letters.at(0).attempts, 5);
  EXPECT_TRUE(result.adds_up());
}

TEST(engine, an_attempt_that_takes_too_long_is_tried_again) {
  virtual_loop loop;
  int attempts = 0;
  auto slow_once = [&](int item) -> task<int> {
    if (++attempts == 1) co_await sleep_for(1h);
    co_return item;
  };
  report result = run_on(loop, pipeline("slow")
                                   .from(numbers(1))
                                   .stage("work", slow_once, {.attempt_timeout = 5s})
                                   .to("out", [](int) {})
                                   .take_plan());
  EXPECT_EQ(attempts, 2);
  EXPECT_EQ(result.count(outcome::delivered), 1U);
  EXPECT_EQ(result.retries, 1U);
}

// Full queue, workers that all fail: it ends at once, names the error, returns the rest.
TEST(engine, fail_fast_ends_promptly_and_returns_the_rest) {
  virtual_loop loop;
  auto fails = [](int) -> task<int> {
    co_await sleep_for(10ms);
    throw permanent_error("out of gas");
  };
  const auto policy =
      stage_policy{.workers = 3, .queue_items_max = 19, .failure = on_error::fail_fast};
  report result = run_on(loop, pipeline("kitchen")
                                   .from(numbers(30))
                                   .stage("cook", fails, policy)
                                   .to("out", [](int) {})
                                   .take_plan());
  EXPECT_EQ(result.exit_code, 4);
  EXPECT_EQ(result.count(outcome::dead_lettered), 1U);
  EXPECT_EQ(result.count(outcome::returned), result.taken - 1);
  EXPECT_NE(result.error.find("out of gas"), std::string::npos);
  EXPECT_LT(result.seconds, 1.0);
  EXPECT_TRUE(result.adds_up());
}

TEST(engine, a_drain_finishes_what_is_under_way) {
  virtual_loop loop;
  int got = 0;
  auto slow = [](int item) -> task<int> {
    co_await sleep_for(1s);
    co_return item;
  };
  pipeline_plan plan = pipeline("slow")
                           .from(numbers(1000))
                           .stage("work", slow, {.workers = 4, .queue_items_max = 8})
                           .to("out", [&](int) { ++got; })
                           .take_plan();
  const report result = run_and_drain(loop, std::move(plan), 5500ms);
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.count(outcome::delivered), static_cast<std::uint64_t>(got));
  EXPECT_LE(result.count(outcome::returned), 1U);
  EXPECT_EQ(result.in_flight, 0U);
  EXPECT_GE(got, 28);
  EXPECT_LE(got, 40);
  EXPECT_TRUE(result.adds_up());
}

TEST(engine, at_the_deadline_the_rest_is_returned_even_if_a_worker_shields_itself) {
  virtual_loop loop;
  auto nap = []() -> task<> { co_await sleep_for(1h); };
  auto stubborn = [&](int item) -> task<int> {
    co_await shielded(2h, nap());
    co_return item;
  };
  pipeline_plan plan = pipeline("stuck")
                           .from(numbers(100))
                           .stage("work", stubborn, {.workers = 4})
                           .to("out", [](int) {})
                           .take_plan();
  plan.rules.stop_timeout = 2s;
  const report result = run_and_drain(loop, std::move(plan), 1s);
  EXPECT_EQ(result.exit_code, 5);
  EXPECT_EQ(result.count(outcome::returned), result.taken);
  EXPECT_LT(result.seconds, 7.0);
  EXPECT_TRUE(result.adds_up());
}

TEST(engine, a_drain_says_every_five_seconds_what_is_in_flight_and_what_it_waits_on) {
  virtual_loop loop;
  auto slow = [](int item) -> task<int> {
    co_await sleep_for(12s);
    co_return item;
  };
  pipeline_plan plan =
      pipeline("slow").from(numbers(3)).stage("work", slow).to("out", [](int) {}).take_plan();
  std::vector<std::string> lines;
  plan.observer.on_notice = [&](std::string_view line) { lines.emplace_back(line); };
  const report result = run_and_drain(loop, std::move(plan), 1s);
  EXPECT_EQ(result.exit_code, 5);  // 25 s are two items of 12 s
  EXPECT_EQ(result.count(outcome::delivered), 2U);
  ASSERT_GE(lines.size(), 4U);
  EXPECT_EQ(lines[0],
            "stopping: work 3 out 0 in flight; oldest 6 s; 20 s left; work worker 0 with "
            "items:0:0 waits: sleep");
}

TEST(engine, while_draining_a_retry_that_is_due_in_time_runs_once_and_a_late_one_does_not) {
  virtual_loop loop;
  std::map<int, int> tries;
  auto fails = [&](int item) {
    ++tries[item];
    throw std::runtime_error("busy");
  };
  const retry_policy soon{.attempts_max = 50, .backoff_min = 1000ms, .backoff_max = 2000ms};
  pipeline_plan plan = pipeline("busy")
                           .from(numbers(4))
                           .stage("work", fails, {.retry = soon})
                           .to("out", [](int) {})
                           .take_plan();
  plan.rules.stop_timeout = 25s;
  std::map<int, int> tries_before;
  const report result = run_and_drain(loop, std::move(plan), 20s, [&] { tries_before = tries; });
  EXPECT_EQ(result.count(outcome::returned), 4U);
  EXPECT_LT(result.seconds, 23.0);
  for (const auto& [item, count] : tries) EXPECT_EQ(count, tries_before[item] + 1) << item;
}

TEST(engine, a_drain_returns_at_once_what_would_be_tried_again_after_the_deadline) {
  virtual_loop loop;
  auto fails = [](int) { throw std::runtime_error("busy"); };
  const retry_policy late{
      .attempts_max = 50, .backoff_min = 3'600'000ms, .backoff_max = 3'600'000ms};
  pipeline_plan plan = pipeline("busy")
                           .from(numbers(4))
                           .stage("work", fails, {.retry = late})
                           .to("out", [](int) {})
                           .take_plan();
  plan.rules.stop_timeout = 100ms;  // full jitter: due within an hour, hardly within this
  const report result = run_and_drain(loop, std::move(plan), 1ms);
  EXPECT_EQ(result.count(outcome::returned), 4U);
  EXPECT_LE(result.seconds, 0.2);
}

TEST(engine, a_batch_does_not_wait_for_company_that_the_window_keeps_out) {
  virtual_loop loop;
  pipeline_plan plan = pipeline("narrow")
                           .from(numbers(100))
                           .stage("pass", [](int) {})
                           .to("out", [](int) {})
                           .take_plan();
  plan.rules.window_items_max = 1;
  const report result = run_on(loop, std::move(plan));
  EXPECT_EQ(result.count(outcome::delivered), 100U);
  EXPECT_LT(result.seconds, 0.1);
}

TEST(engine, one_that_is_stopped_before_it_runs_takes_nothing) {
  virtual_loop loop;
  engine own(pipeline("early").from(numbers(10)).to("out", [](int) {}).take_plan(), nullptr);
  EXPECT_EQ(own.account().taken, 0U);
  auto main = [&]() -> task<report> {
    own.drain();
    co_return co_await own.execute({});
  };
  const report result = loop.run(main());
  EXPECT_EQ(result.taken, 0U);
  EXPECT_EQ(result.exit_code, 5);
}

/// Never at its end. A pipe, when what was read is gone from it.
class pipe_source final : public source {
 public:
  explicit pipe_source(bool replayable = false) : replayable_(replayable) {}
  task<> open(std::vector<partition_mark>, std::string) override { co_return; }
  task<std::vector<source_item>> read(std::size_t items_max) override {
    std::vector<source_item> batch;
    for (; batch.size() < items_max; ++given) {
      batch.emplace_back(payload(static_cast<int>(given)), 0, given, given + 1);
    }
    co_return batch;
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return names_; }
  [[nodiscard]] bool finite() const override { return false; }
  [[nodiscard]] bool replayable() const override { return replayable_; }
  [[nodiscard]] std::string fingerprint() const override { return "pipe"; }
  std::uint64_t given = 0;

 private:
  bool replayable_;
  std::vector<std::string> names_{"pipe:0"};
};

TEST(engine, what_was_read_from_a_pipe_is_in_the_account_however_it_stops) {
  for (const auto stop_timeout : {1h, 0h}) {
    virtual_loop loop;
    auto slow = [](int item) -> task<int> {
      co_await sleep_for(100ms);
      co_return item;
    };
    pipeline_plan plan =
        pipeline("pipe").from(numbers(1)).stage("work", slow).to("out", [](int) {}).take_plan();
    auto from = std::make_unique<pipe_source>();
    const pipe_source& pipe = *from;
    plan.from = std::move(from);
    plan.rules.stop_timeout = stop_timeout;
    std::uint64_t given = 0;
    const report result = run_and_drain(loop, std::move(plan), 1s, [&] { given = pipe.given; });
    EXPECT_EQ(result.taken, given);
    EXPECT_EQ(result.count(outcome::returned) == 0, stop_timeout == 1h);
    EXPECT_TRUE(result.adds_up());
  }
}

TEST(engine, a_drained_endless_source_has_nothing_returned_and_ends_with_0) {
  for (const item_order order : {item_order::none, item_order::source}) {
    virtual_loop loop;
    auto slow = [](int item) -> task<int> {
      co_await sleep_for(100ms);
      co_return item;
    };
    pipeline_plan plan = pipeline("endless")
                             .from(numbers(1))
                             .stage("work", slow, {.queue_items_max = 2})
                             .to("out", [](int) {})
                             .take_plan();
    plan.from = std::make_unique<pipe_source>(true);
    plan.rules.stop_timeout = 1h;
    plan.rules.order = order;
    const report result = run_and_drain(loop, std::move(plan), 1s);
    EXPECT_GT(result.count(outcome::delivered), 10U);
    EXPECT_EQ(result.count(outcome::returned), 0U);
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_TRUE(result.adds_up());
  }
}

TEST(engine, the_identity_holds_at_every_step) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    virtual_loop loop(seed);
    testing::random_source random(seed);
    auto work = [&](int item) -> task<std::optional<int>> {
      if (random.one_in(2)) co_await sleep_for(std::chrono::milliseconds(random.below(5)));
      if (random.one_in(5)) throw std::runtime_error("flaky");
      if (random.one_in(20)) throw permanent_error("bad");
      if (random.one_in(10)) co_return std::nullopt;
      co_return item;
    };
    pipeline_plan plan =
        pipeline("sim")
            .from(numbers(60))
            .stage("one", work, {.workers = 3, .queue_items_max = 2, .retry = {.attempts_max = 3}})
            .stage("two", work, {.workers = 2, .queue_items_max = 2, .retry = {.attempts_max = 3}})
            .to("out", [](int) {})
            .take_plan();
    engine own(std::move(plan), nullptr);
    bool begun = false;
    loop.before_each_step([&] {
      if (!begun) return;
      const report now = own.account();
      EXPECT_TRUE(now.adds_up()) << now.line();
    });
    auto main = [&]() -> task<report> {
      auto running = own.execute({});
      begun = true;
      co_return co_await std::move(running);
    };
    const report result = loop.run(main());
    EXPECT_TRUE(result.adds_up()) << result.line();
    EXPECT_EQ(result.taken, 60U);
    EXPECT_EQ(result.in_flight, 0U);
    EXPECT_EQ(result.count(outcome::returned), 0U);
  }
}

testing::fake_store store_of(std::uint64_t count) {
  testing::fake_store store;
  for (std::uint64_t at = 0; at < count; ++at) {
    store.add("s:t", {at, at + 1, "s:t:" + std::to_string(at)});
  }
  return store;
}

pipeline_plan plan_between(testing::fake_store& store, testing::fake_table& table) {
  pipeline_plan plan;
  plan.name = "pipe";
  plan.from = std::make_unique<testing::fake_source>(store, testing::source_faults{}, 1);
  plan.to = std::make_unique<testing::fake_sink>(table, testing::fake_sink_kind::transactional,
                                                 testing::sink_faults{}, 1);
  return plan;
}

// Opens what `marks` say is finished, of which `accounted` is in the journal.
task<report> continue_from(pipeline_plan plan, journal& account, mark finished, mark accounted) {
  engine_resume resume;
  resume.finished.push_back({"s:t", std::move(finished)});
  resume.accounted.push_back({"s:t", std::move(accounted)});
  const sink_resume history;
  co_await plan.to->open(history);
  co_await plan.from->open(resume.accounted, {});
  engine own(std::move(plan), &account);
  co_return co_await own.execute(std::move(resume));
}

// The journal is far behind the sink: what the sink was told once stays in what it is told next.
TEST(engine, the_marks_of_a_sink_never_go_back) {
  virtual_loop loop;
  testing::fake_store store = store_of(40);
  testing::fake_table table;
  testing::memory_journal account(1, 10s);
  std::uint64_t low = 0;
  loop.before_each_step([&] {
    EXPECT_GE(table.marks["s:t"].low, low);
    low = table.marks["s:t"].low;
    EXPECT_EQ(low, table.rows.size());
  });
  account.begin_run();
  pipeline_plan plan = plan_between(store, table);
  plan.sink_rules.batch_items_max = 3;
  const report result = loop.run(continue_from(std::move(plan), account, {}, {}));
  EXPECT_EQ(result.count(outcome::delivered), 40U);
  EXPECT_EQ(low, 40U);
}

// What only the sink has is told to the source once it is in the journal, not before.
TEST(engine, the_source_hears_of_what_is_recorded_alone) {
  virtual_loop loop;
  testing::fake_store store = store_of(20);
  testing::fake_table table;
  testing::memory_journal account(1, 10s);
  mark finished;
  finished.above = {{10, 15}};
  table.marks["s:t"] = finished;
  std::size_t told = 0;
  store.on_acknowledge = [&](const std::string&, const mark& at) {
    told = 0;
    for (std::uint64_t each = 0; each < 20; ++each) told += at.finished(each) ? 1 : 0;
    EXPECT_LE(told, account.rows().size());
  };
  account.begin_run();
  pipeline_plan plan = plan_between(store, table);
  plan.rules.window_items_max = 2;
  const report result = loop.run(continue_from(std::move(plan), account, finished, {}));
  EXPECT_EQ(result.count(outcome::delivered), 20U);
  EXPECT_EQ(told, 20U);
  EXPECT_EQ(table.rows.size(), 15U);
  EXPECT_EQ(table.marks["s:t"].low, 20U);
}

class stage_that_does_not_close final : public stage_body {
 public:
  [[nodiscard]] bool immediate() const override { return true; }
  attempt_result run_now(payload&, const attempt_info&) override {
    return attempt_result::unchanged();
  }
  task<> close() override {
    co_await yield();
    throw std::runtime_error("the handler will not go");
  }
};

TEST(engine, a_stage_that_fails_to_close_fails_the_run_and_keeps_nothing_open) {
  virtual_loop loop;
  testing::fake_store store = store_of(5);
  testing::fake_table table;
  pipeline_plan plan = plan_between(store, table);
  const auto& from = static_cast<const testing::fake_source&>(*plan.from);
  const auto& to = static_cast<const testing::fake_sink&>(*plan.to);
  plan.stages.push_back({"work", std::make_unique<stage_that_does_not_close>(), {}});
  engine own(std::move(plan), nullptr);
  auto main = [&]() -> task<report> {
    const sink_resume history;
    co_await own.plan().to->open(history);
    co_await own.plan().from->open({}, {});
    co_return co_await own.execute({});
  };
  const report result = loop.run(main());
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.error, "the handler will not go");
  EXPECT_EQ(result.count(outcome::delivered), 5U);
  EXPECT_FALSE(from.is_open());
  EXPECT_FALSE(to.is_open());
}

}  // namespace
}  // namespace brigade
