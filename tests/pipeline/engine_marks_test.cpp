#include <brigade/async/spawn.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/testing/virtual_loop.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using testing::virtual_loop;

// Becomes durable when the test says so.
class slow_journal final : public journal {
 public:
  std::uint64_t record(settled_batch, const std::vector<std::string>&,
                       std::vector<sink_token>) override {
    return ++last_;
  }
  void all_durable() { on_durable(last_); }

 private:
  std::uint64_t last_ = 0;
};

class marking_sink final : public sink {
 public:
  explicit marking_sink(std::vector<mark>& marks) : marks_(marks) {}
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>();
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override {
    marks_.push_back(marks[0].at);
    write_result result;
    result.failures.resize(batch.size());
    co_return result;
  }
  [[nodiscard]] bool transactional() const override { return true; }
  task<> commit_marks(std::span<const partition_mark> marks) override {
    marks_.push_back(marks[0].at);
    co_return;
  }

 private:
  std::vector<mark>& marks_;
};

std::vector<mark> marks_of_run(pipeline_plan plan, std::size_t batch_items,
                               engine_resume resume = {}) {
  virtual_loop loop;
  std::vector<mark> marks;
  slow_journal account;
  plan.to = std::make_unique<marking_sink>(marks);
  plan.sink_rules.batch_items_max = batch_items;
  plan.sink_rules.batch_age_max = 1ms;
  engine own(std::move(plan), &account);
  auto main = [&]() -> task<> {
    auto run = [&]() -> task<report> { co_return co_await own.execute(std::move(resume)); };
    auto running = spawn(run);
    co_await sleep_for(1h);
    EXPECT_FALSE(running.done());
    while (!running.done()) {
      account.all_durable();
      co_await sleep_for(1s);
    }
    const report result = co_await running;
    EXPECT_EQ(result.exit_code, 0);
  };
  loop.run(main());
  return marks;
}

// Else a crash between the two would deliver the first batch again.
TEST(engine_marks, a_batchs_marks_have_what_the_sink_committed_before_durable_or_not) {
  const std::vector<int> items = {1, 2, 3, 4, 5, 6};
  pipeline_plan plan = pipeline("marks").from(items).to("out", [](int) {}).take_plan();
  const std::vector<mark> marks = marks_of_run(std::move(plan), 2);
  ASSERT_EQ(marks.size(), 4U);
  EXPECT_EQ(marks[0].low, 2U);
  EXPECT_EQ(marks[1].low, 4U);
  EXPECT_EQ(marks[2].low, 6U);
  EXPECT_EQ(marks[3].low, 6U);
}

TEST(engine_marks, an_item_the_sink_had_from_the_run_before_needs_no_place_in_a_batchs_marks) {
  const std::vector<int> items = {1, 2, 3, 4, 5, 6};
  pipeline_plan plan = pipeline("marks").from(items).to("out", [](int) {}).take_plan();
  engine_resume resume;
  resume.finished.push_back({"items:0", mark{2, {}, {}}});  // and nothing is accounted for
  const std::vector<mark> marks = marks_of_run(std::move(plan), 2, std::move(resume));
  ASSERT_EQ(marks.size(), 3U);
  EXPECT_EQ(marks[0].low, 4U);
  EXPECT_EQ(marks[1].low, 6U);
  EXPECT_EQ(marks[2].low, 6U);
}

class splitting_stage final : public stage_body {
 public:
  [[nodiscard]] bool immediate() const override { return true; }
  attempt_result run_now(payload& item, const attempt_info&) override {
    const int value = item.get<int>();
    std::vector<payload> parts;
    for (int i = 0; i < 4; ++i) parts.emplace_back(value * 10 + i);
    return attempt_result::split(std::move(parts));
  }
};

TEST(engine_marks, so_do_those_of_the_children_of_a_split_item) {
  const std::vector<int> items = {1};
  pipeline_plan plan = pipeline("marks").from(items).to("out", [](int) {}).take_plan();
  stage_plan stage;
  stage.name = "split";
  stage.body = std::make_unique<splitting_stage>();
  plan.stages.push_back(std::move(stage));
  const std::vector<mark> marks = marks_of_run(std::move(plan), 2);
  ASSERT_EQ(marks.size(), 3U);
  EXPECT_EQ(marks[0].parts.size(), 2U);
  EXPECT_EQ(marks[1].parts.size(), 4U);
  EXPECT_EQ(marks[2].low, 1U);
}

/// A partition an item, each over once its item is acknowledged; all under one index.
class rotating_source final : public source {
 public:
  task<> open(std::vector<partition_mark>, std::string) override { co_return; }
  [[nodiscard]] std::optional<std::string> changed_state(state_kept when) override {
    if (when == state_kept::with_outcomes) return std::nullopt;
    return "state " + std::to_string(given_);
  }
  [[nodiscard]] std::vector<std::uint32_t> take_forgotten() override {
    if (!over_) return {};
    over_ = false;
    names_[0].clear();
    return {0};
  }
  task<std::vector<source_item>> read(std::size_t) override {
    while (!names_.empty() && !names_[0].empty()) co_await sleep_for(1ms);
    std::vector<source_item> items;
    if (given_ == 3) co_return items;
    names_.assign(1, "main:" + std::to_string(++given_));
    items.emplace_back(payload(std::string("x")), 0, 0, 1);
    co_return items;
  }
  void acknowledge(std::uint32_t, const watermark& at) override {
    EXPECT_EQ(at.low(), 1U);
    EXPECT_EQ(at.low(), at.at().low);
    over_ = true;
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return names_; }
  [[nodiscard]] bool finite() const override { return false; }
  [[nodiscard]] std::string fingerprint() const override { return "rotating"; }

 private:
  std::vector<std::string> names_;
  int given_ = 0;
  bool over_ = false;
};

/// Says what it is given, in order; durable a millisecond later.
class telling_journal final : public journal {
 public:
  void keep_with_next(source_note note) override {
    if (note.state) story += *note.state + "; ";
    for (const std::string& name : note.forgotten) story += "forget " + name + "; ";
  }
  std::uint64_t record(settled_batch batch, const std::vector<std::string>& partitions,
                       std::vector<sink_token>) override {
    for (const settlement& each : batch.items) {
      EXPECT_EQ(each.id, partitions[each.partition] + ":0");
      story += "record " + each.id + "; ";
    }
    auto later = [this, number = ++last_]() -> task<> {
      co_await sleep_for(1ms);
      on_durable(number);
    };
    durable_.push_back(spawn(std::move(later)));
    return last_;
  }
  std::string story;

 private:
  std::vector<task_handle<>> durable_;
  std::uint64_t last_ = 0;
};

class telling_sink final : public sink {
 public:
  explicit telling_sink(std::string& story) : story_(story) {}
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>();
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark> marks) override {
    for (const partition_mark& each : marks) {
      story_ += (each.forgotten ? "sink forgets " : "sink marks ") + each.partition + "; ";
    }
    write_result result;
    result.failures.resize(batch.size());
    co_return result;
  }
  [[nodiscard]] bool transactional() const override { return true; }
  task<> commit_marks(std::span<const partition_mark>) override { co_return; }

 private:
  std::string& story_;
};

// Guards: the wait for the state before items; the marks of what is over.
TEST(engine_marks, the_state_is_kept_before_items_and_what_is_over_is_forgotten) {
  virtual_loop loop;
  telling_journal account;
  pipeline_plan plan;
  plan.name = "p";
  plan.source_name = "main";
  plan.from = std::make_unique<rotating_source>();
  plan.to = std::make_unique<telling_sink>(account.story);
  plan.sink_rules.batch_age_max = 0ms;
  engine own(std::move(plan), &account);
  auto main = [&]() -> task<> { co_await own.execute({}); };
  loop.run(main());
  EXPECT_EQ(account.story,
            "state 1; sink marks main:1; record main:1:0; "
            "forget main:1; state 2; sink marks main:2; sink forgets main:1; record main:2:0; "
            "forget main:2; state 3; sink marks main:3; sink forgets main:2; record main:3:0; "
            "forget main:3; state 3; ");
}

// Takes rows, and last marks as `commits` says.
class unmarkable_sink final : public sink {
 public:
  explicit unmarkable_sink(std::function<task<>()> commits) : commits_(std::move(commits)) {}
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>();
  }
  task<write_result> write(std::span<const sink_item> batch,
                           std::span<const partition_mark>) override {
    write_result result;
    result.failures.resize(batch.size());
    co_return result;
  }
  [[nodiscard]] bool transactional() const override { return true; }
  task<> commit_marks(std::span<const partition_mark>) override { co_await commits_(); }

 private:
  std::function<task<>()> commits_;
};

struct end_of_run {
  report result;
  std::chrono::nanoseconds took{};
};

/// A run of five items, which is told to stop, with 2 s to do so.
end_of_run run_with_last_marks(std::function<task<>()> commits) {
  virtual_loop loop;
  slow_journal account;
  pipeline_plan plan = pipeline("p").from(std::vector<int>(5)).to("out", [](int) {}).take_plan();
  plan.to = std::make_unique<unmarkable_sink>(std::move(commits));
  plan.rules.stop_timeout = 2s;
  engine own(std::move(plan), &account);
  end_of_run all;
  auto main = [&]() -> task<> {
    auto run = [&]() -> task<report> { co_return co_await own.execute({}); };
    auto running = spawn(run);
    co_await sleep_for(1s);
    own.drain();
    const auto began = loop.now();
    while (!running.done()) {
      co_await sleep_for(10ms);
      account.all_durable();
    }
    all.result = co_await running;
    all.took = loop.now() - began;
  };
  loop.run(main());
  return all;
}

task<> goes_down() {
  throw sink_down("gone");
  co_return;
}
task<> says_nothing() { co_await sleep_for(24h); }

// Guards: the limit; the ledger knows what these marks say.
TEST(engine_marks, a_sink_that_does_not_take_the_last_marks_is_no_failure) {
  const end_of_run down = run_with_last_marks(goes_down);
  EXPECT_EQ(down.result.count(outcome::delivered), 5U);
  EXPECT_EQ(down.result.exit_code, 0) << down.result.error;
  const end_of_run silent = run_with_last_marks(says_nothing);
  EXPECT_EQ(silent.result.count(outcome::delivered), 5U);
  EXPECT_EQ(silent.result.exit_code, 0) << silent.result.error;
  EXPECT_LT(silent.took, 4s);
}

}  // namespace
}  // namespace brigade
