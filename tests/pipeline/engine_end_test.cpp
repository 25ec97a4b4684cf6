#include <brigade/async/event.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

std::vector<int> numbers(int count) {
  std::vector<int> result;
  for (int i = 1; i <= count; ++i) result.push_back(i);
  return result;
}

struct sink_log {
  std::size_t written = 0;
  std::vector<std::size_t> batches;
  int commits = 0;
  int closes = 0;
};

// Says what it was asked to do; `before_write` is what a write waits for.
class logging_sink final : public sink {
 public:
  logging_sink(sink_log& log, bool transactional, std::chrono::nanoseconds write_takes = {})
      : log_(log), transactional_(transactional), write_takes_(write_takes) {}
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>();
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark>) override {
    co_await sleep_for(write_takes_);
    log_.written += batch.size();
    log_.batches.push_back(batch.size());
    write_result result;
    result.failures.resize(batch.size());
    co_return result;
  }
  task<> close() override {
    ++log_.closes;
    co_return;
  }
  [[nodiscard]] bool transactional() const override { return transactional_; }
  task<> commit_marks(std::span<const partition_mark>) override {
    ++log_.commits;
    co_return;
  }

 private:
  sink_log& log_;
  bool transactional_;
  std::chrono::nanoseconds write_takes_;
};

// Passes everything; `opening` and `closing` are its open and close.
class passing_stage final : public stage_body {
 public:
  std::function<task<>()> opening;
  std::function<task<>()> closing;
  task<> open(int) override {
    if (opening) co_await opening();
  }
  task<> close() override {
    if (closing) co_await closing();
  }
  [[nodiscard]] bool immediate() const override { return true; }
  attempt_result run_now(payload&, const attempt_info&) override {
    return attempt_result::unchanged();
  }
};

pipeline_plan plan_of(int items) {
  return pipeline("end").from(numbers(items)).to("out", [](int) {}).take_plan();
}

passing_stage& add_stage(pipeline_plan& plan) {
  auto body = std::make_unique<passing_stage>();
  passing_stage& result = *body;
  stage_plan stage;
  stage.name = "pass";
  stage.body = std::move(body);
  plan.stages.push_back(std::move(stage));
  return result;
}

struct outcome_of_run {
  report result;
  std::chrono::nanoseconds took{};
};

outcome_of_run run_with(loop& where, pipeline_plan plan,
                        std::chrono::milliseconds drain_after = 0ms) {
  engine own(std::move(plan), nullptr);
  auto stopper = [](engine& running, std::chrono::milliseconds after) -> task<> {
    co_await sleep_for(after);
    running.drain();
  };
  outcome_of_run all;
  auto main = [&]() -> task<report> {
    if (drain_after.count() != 0) spawn(stopper, std::ref(own), drain_after);
    const auto began = loop::current().now();
    report result = co_await own.execute({});
    all.took = loop::current().now() - began;
    co_return result;
  };
  all.result = where.run(main());
  return all;
}

TEST(engine_end, the_last_batch_does_not_wait_for_company_that_cannot_come) {
  virtual_loop loop;
  sink_log log;
  auto drops_the_last_slowly = [](int item) -> task<std::optional<int>> {
    if (item != 10) co_return item;
    co_await sleep_for(2s);
    co_return std::nullopt;
  };
  pipeline_plan plan = pipeline("end")
                           .from(numbers(10))
                           .stage("drop", drops_the_last_slowly)
                           .to("out", [](int) {})
                           .take_plan();
  plan.to = std::make_unique<logging_sink>(log, false);
  plan.sink_rules.batch_age_max = 1h;
  const outcome_of_run all = run_with(loop, std::move(plan));
  EXPECT_EQ(all.result.exit_code, 0);
  EXPECT_EQ(log.written, 9U);
  EXPECT_LT(all.took, 3s);
}

TEST(engine_end, a_drain_flushes_the_batch_at_once) {
  virtual_loop loop;
  sink_log log;
  int next = 0;
  auto trickle = [&]() -> task<std::optional<int>> {
    if (++next > 5) co_await sleep_for(24h);
    co_return next;
  };
  pipeline_plan plan = pipeline("trickle").from(trickle).to("out", [](int) {}).take_plan();
  plan.to = std::make_unique<logging_sink>(log, false);
  plan.sink_rules.batch_age_max = 1h;
  plan.rules.stop_timeout = 30s;
  const outcome_of_run all = run_with(loop, std::move(plan), 2s);
  EXPECT_EQ(log.written, 5U);
  EXPECT_LT(all.took, 3s);
}

TEST(engine_end, a_stage_that_fails_to_close_does_not_keep_the_sink_open) {
  virtual_loop loop;
  sink_log log;
  pipeline_plan plan = plan_of(10);
  plan.to = std::make_unique<logging_sink>(log, true);
  add_stage(plan).closing = []() -> task<> {
    throw std::runtime_error("its handler is stuck");
    co_return;
  };
  const outcome_of_run all = run_with(loop, std::move(plan));
  EXPECT_EQ(all.result.exit_code, 1);
  EXPECT_EQ(all.result.error, "its handler is stuck");
  EXPECT_EQ(all.result.count(outcome::delivered), 10U);
  EXPECT_EQ(log.closes, 1);
}

TEST(engine_end, a_stop_ends_a_stage_that_does_not_open) {
  virtual_loop loop;
  sink_log log;
  pipeline_plan plan = plan_of(10);
  plan.to = std::make_unique<logging_sink>(log, true);
  plan.rules.stop_timeout = 2s;
  add_stage(plan).opening = []() -> task<> { co_await sleep_for(24h); };
  const outcome_of_run all = run_with(loop, std::move(plan), 1s);
  EXPECT_EQ(all.result.exit_code, 5);
  EXPECT_EQ(all.result.taken, 0U);
  EXPECT_EQ(log.closes, 1);
  EXPECT_LT(all.took, 4s);
}

TEST(engine_end, marks_are_not_committed_over_those_of_a_write_that_may_still_succeed) {
  virtual_loop loop;
  sink_log log;
  pipeline_plan plan = plan_of(10);
  plan.to = std::make_unique<logging_sink>(log, true, 2h);
  plan.rules.stop_timeout = 2s;
  const outcome_of_run all = run_with(loop, std::move(plan), 1s);
  EXPECT_EQ(all.result.count(outcome::returned), all.result.taken);
  EXPECT_EQ(log.commits, 0);
  EXPECT_EQ(log.closes, 1);
}

TEST(engine_end, a_progress_callback_that_throws_ends_the_run_with_its_error) {
  virtual_loop loop;
  sink_log log;
  pipeline_plan plan = plan_of(10);
  plan.to = std::make_unique<logging_sink>(log, false, 10s);
  plan.observer.on_progress = [](const progress&) { throw std::runtime_error("no terminal"); };
  const outcome_of_run all = run_with(loop, std::move(plan));
  EXPECT_EQ(all.result.exit_code, 1);
  EXPECT_EQ(all.result.error, "progress: no terminal");
  EXPECT_TRUE(all.result.adds_up());
  EXPECT_EQ(log.closes, 1);
}

TEST(engine_end, the_item_that_reaches_the_bytes_of_a_batch_is_its_last) {
  virtual_loop loop;
  sink_log log;
  pipeline_plan plan = plan_of(100);
  plan.to = std::make_unique<logging_sink>(log, false);
  plan.sink_rules.batch_bytes_max = 10 * sizeof(int) - 1;
  const outcome_of_run all = run_with(loop, std::move(plan));
  EXPECT_EQ(all.result.exit_code, 0);
  EXPECT_EQ(log.written, 100U);
  EXPECT_EQ(log.batches, std::vector<std::size_t>(10, 10));
}

// A source whose acknowledgement fails.
class deaf_source final : public source {
 public:
  task<> open(std::vector<partition_mark>, std::string) override { co_return; }
  task<std::vector<source_item>> read(std::size_t) override {
    std::vector<source_item> result;
    if (at_ < 5) result.emplace_back(payload(1), 0, at_, at_ + 1);
    ++at_;
    co_return result;
  }
  void acknowledge(std::uint32_t, const watermark&) override {
    throw std::runtime_error("connection lost");
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return names_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::string fingerprint() const override { return "deaf"; }

 private:
  std::uint64_t at_ = 0;
  std::vector<std::string> names_{"deaf:0"};
};

/// What a source hears of the end of its run.
struct end_log {
  int stops = 0;
  std::size_t settled_before_the_stop = 0;
  std::size_t settled = 0;
};

class told_source final : public source {
 public:
  told_source(end_log& log, std::uint64_t items, bool fails)
      : log_(log), items_(items), fails_(fails) {}
  task<> open(std::vector<partition_mark>, std::string) override { co_return; }
  task<std::vector<source_item>> read(std::size_t items_max) override {
    if (fails_ && at_ == items_) throw std::runtime_error("connection lost");
    std::vector<source_item> result;
    for (; at_ < items_ && result.size() < items_max; ++at_) {
      result.emplace_back(payload(1), 0, at_, at_ + 1);
    }
    co_return result;
  }
  void stopping() override {
    ++log_.stops;
    log_.settled_before_the_stop = log_.settled;
  }
  [[nodiscard]] bool wants_outcomes() const override { return true; }
  void settled(const settled_item&) override { ++log_.settled; }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return names_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::string fingerprint() const override { return "told"; }

 private:
  end_log& log_;
  std::uint64_t items_;
  bool fails_;
  std::uint64_t at_ = 0;
  std::vector<std::string> names_{"told:0"};
};

// With a full window nobody is in `read`, whose cancellation would tell as much.
pipeline_plan told_plan(end_log& log, std::uint64_t items, const std::string& end = {}) {
  auto slow = [end](int item) -> task<int> {
    co_await sleep_for(1s);
    if (end == "a fatal error") throw fatal_error("no licence");
    co_return item;
  };
  pipeline_plan plan =
      pipeline("end").from(numbers(1)).stage("work", slow).to("out", [](int) {}).take_plan();
  plan.from = std::make_unique<told_source>(log, items, end == "its failure");
  plan.rules.window_items_max = 2;
  plan.rules.stop_timeout = 1h;
  return plan;
}

TEST(engine_end, a_source_hears_at_once_of_a_stop_though_the_window_is_full) {
  virtual_loop loop;
  end_log log;
  const outcome_of_run all = run_with(loop, told_plan(log, 1000), 1500ms);
  EXPECT_EQ(all.result.exit_code, 5);
  EXPECT_EQ(log.stops, 1);
  EXPECT_EQ(log.settled_before_the_stop, 1U);
  EXPECT_GT(log.settled, log.settled_before_the_stop);
}

TEST(engine_end, a_source_hears_once_that_the_run_ends_before_it_does) {
  for (const std::string end : {"its own", "its failure", "a fatal error"}) {
    SCOPED_TRACE(end);
    virtual_loop loop;
    end_log log;
    const outcome_of_run all = run_with(loop, told_plan(log, 5, end));
    EXPECT_EQ(all.result.exit_code, end == "its own" ? 0 : 1);
    EXPECT_EQ(log.stops, end == "its own" ? 0 : 1);
  }
}

TEST(engine_end, an_acknowledgement_that_fails_ends_the_run_with_its_error) {
  virtual_loop loop;
  sink_log log;
  pipeline_plan plan = plan_of(1);
  plan.from = std::make_unique<deaf_source>();
  plan.to = std::make_unique<logging_sink>(log, false);
  const outcome_of_run all = run_with(loop, std::move(plan));
  EXPECT_EQ(all.result.exit_code, 1);
  EXPECT_EQ(all.result.error, "source 'source': connection lost");
  EXPECT_TRUE(all.result.adds_up());
  EXPECT_EQ(log.closes, 1);
}

}  // namespace
}  // namespace brigade
