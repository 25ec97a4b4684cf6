// A source that is told of each of its items, and names them itself.
#include "pipeline/engine_fixture.hpp"

#include <brigade/pipeline/source.hpp>
#include <brigade/testing/fakes.hpp>

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::numbers;
using testing::memory_journal;
using testing::virtual_loop;

// What the rows heard, and how much of it was durable then.
struct heard {
  std::map<std::uint64_t, std::string> of;
  std::vector<std::uint64_t> acknowledged;  ///< `low`, each time
};

class row_source final : public source {
 public:
  row_source(int rows, heard& what, const memory_journal* account)
      : rows_(rows), heard_(what), account_(account) {}
  task<> open(std::vector<partition_mark>, std::string) override { co_return; }
  task<std::vector<source_item>> read(std::size_t items_max) override {
    std::vector<source_item> items;
    for (; given_ < rows_ && items.size() < items_max; ++given_) {
      const auto at = static_cast<std::uint64_t>(given_);
      items.emplace_back(payload(given_), 0, at, at + 1);
      items.back().id = "rows:row-" + std::to_string(given_);
      if (given_ == 3) items.back().undecodable = "not a row";
    }
    co_return items;
  }
  [[nodiscard]] bool wants_outcomes() const override { return true; }
  void settled(const settled_item& what) override {
    EXPECT_EQ(what.partition, 0U);
    EXPECT_TRUE(account_ == nullptr || is_recorded(what));
    std::string text(to_string(what.result));
    if (!what.error.empty()) text += " at " + std::string(what.stage) + ": " += what.error;
    if (what.in_doubt) text += ", in doubt";
    EXPECT_TRUE(heard_.of.emplace(what.begin, std::move(text)).second) << what.begin << " twice";
  }
  void acknowledge(std::uint32_t, const watermark& at) override {
    for (std::uint64_t row = 0; row < at.low(); ++row) EXPECT_TRUE(heard_.of.contains(row)) << row;
    heard_.acknowledged.push_back(at.low());
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return names_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::string fingerprint() const override { return "rows"; }

 private:
  [[nodiscard]] bool is_recorded(const settled_item& what) const {
    for (const memory_journal::row& row : account_->rows()) {
      if (row.what.begin == what.begin && row.what.result == what.result) return true;
    }
    return false;
  }
  int rows_;
  int given_ = 0;
  heard& heard_;
  const memory_journal* account_;
  std::vector<std::string> names_{"rows:1"};
};

std::optional<int> picky(int row) {
  if (row == 1) throw permanent_error("a bad row");
  if (row == 2) return std::nullopt;
  return row;
}

pipeline_plan plan_over(std::unique_ptr<source> rows) {
  pipeline_plan plan =
      pipeline("p").from(numbers(1)).stage("picky", picky).to("out", [](int) {}).take_plan();
  plan.from = std::move(rows);
  plan.source_name = "rows";
  return plan;
}

// Guards: `settled` behind the journal and before the acknowledgement.
TEST(engine_outcomes, the_source_hears_of_each_item_once_and_only_when_it_is_durable) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    virtual_loop loop(seed);
    memory_journal account(seed);
    heard what;
    engine own(plan_over(std::make_unique<row_source>(20, what, &account)), &account);
    auto main = [&]() -> task<report> {
      account.begin_run();
      co_return co_await own.execute({});
    };
    const report result = loop.run(main());
    ASSERT_EQ(what.of.size(), 20U);
    EXPECT_EQ(what.of[0], "delivered");
    EXPECT_EQ(what.of[1], "dead_lettered at picky: a bad row");
    EXPECT_EQ(what.of[2], "filtered");
    EXPECT_EQ(what.of[3], "dead_lettered at source: not a row");
    EXPECT_EQ(what.acknowledged.back(), 20U);
    EXPECT_EQ(result.count(outcome::delivered), 17U);
  }
}

TEST(engine_outcomes, an_item_has_the_name_its_source_gives_it) {
  virtual_loop loop;
  memory_journal account(1);
  heard what;
  engine own(plan_over(std::make_unique<row_source>(4, what, nullptr)), &account);
  auto main = [&]() -> task<report> {
    account.begin_run();
    co_return co_await own.execute({});
  };
  const report result = loop.run(main());
  ASSERT_EQ(account.rows().size(), 4U);
  for (const memory_journal::row& row : account.rows()) {
    EXPECT_EQ(row.what.id, "rows:row-" + std::to_string(row.what.begin));
  }
  ASSERT_EQ(result.dead_letters.size(), 2U);
  EXPECT_EQ(result.dead_letters[0].id, "rows:row-3");
}

TEST(engine_outcomes, it_hears_of_what_is_returned) {
  virtual_loop loop;
  heard what;
  auto stuck = [](int row) -> task<int> {
    if (row != 0) co_await sleep_for(24h);
    co_return row;
  };
  pipeline_plan plan =
      pipeline("p").from(numbers(1)).stage("stuck", stuck).to("out", [](int) {}).take_plan();
  plan.from = std::make_unique<row_source>(3, what, nullptr);
  plan.rules.stop_timeout = 1s;
  const report result = test::run_and_drain(loop, std::move(plan), 1s);
  EXPECT_EQ(result.count(outcome::returned), 2U);
  ASSERT_EQ(what.of.size(), 3U);
  EXPECT_EQ(what.of[0], "delivered");
  for (std::uint64_t row = 1; row < 3; ++row) EXPECT_TRUE(what.of[row].starts_with("returned at"));
}

// The disk breaks under the first batch: nothing of it happened, whatever became of the items.
TEST(engine_outcomes, what_could_not_be_recorded_is_returned) {
  virtual_loop loop;
  memory_journal account(1);
  heard what;
  engine own(plan_over(std::make_unique<row_source>(4, what, nullptr)), &account);
  auto main = [&]() -> task<report> {
    account.begin_run();
    account.break_at(1);
    co_return co_await own.execute({});
  };
  const report result = loop.run(main());
  EXPECT_EQ(result.exit_code, 1);
  ASSERT_EQ(what.of.size(), 4U);
  for (const auto& [row, text] : what.of) EXPECT_TRUE(text.starts_with("returned")) << text;
  EXPECT_TRUE(what.acknowledged.empty());
}

// Keeps marks, and never says whether the first write came to be.
class silent_sink final : public sink {
 public:
  task<std::vector<partition_mark>> open(const sink_resume&) override {
    co_return std::vector<partition_mark>();
  }
  task<write_result> write(std::span<const sink_item> rows,
                           std::span<const partition_mark>) override {
    co_await sleep_for(24h);
    co_return write_result{std::vector<std::optional<failure>>(rows.size()), {}};
  }
  [[nodiscard]] bool transactional() const override { return true; }
};

// Guard: what may be in the sink is not given again under another position, which its marks do not
// know.
TEST(engine_outcomes, it_hears_that_what_is_returned_may_be_in_the_sink) {
  virtual_loop loop;
  heard what;
  pipeline_plan plan = plan_over(std::make_unique<row_source>(3, what, nullptr));
  plan.to = std::make_unique<silent_sink>();
  plan.rules.stop_timeout = 1s;
  const report result = test::run_and_drain(loop, std::move(plan), 1s);
  EXPECT_EQ(result.count(outcome::returned), 1U);
  EXPECT_TRUE(what.of[0].starts_with("returned at out")) << what.of[0];
  EXPECT_TRUE(what.of[0].ends_with(", in doubt")) << what.of[0];
}

}  // namespace
}  // namespace brigade
