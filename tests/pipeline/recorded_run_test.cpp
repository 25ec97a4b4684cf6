#include <brigade/pipeline/ledger.hpp>
#include <brigade/pipeline/ledger_reader.hpp>
#include <brigade/pipeline/pipeline.hpp>
#include <brigade/pipeline/recorded_run.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

namespace brigade {
namespace {

class recorded_run_test : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "brigade-run.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  [[nodiscard]] std::string path() const { return (folder_ / "orders.ledger.db").string(); }
  std::filesystem::path folder_;
};

std::vector<int> numbers(int count) {
  std::vector<int> result;
  for (int i = 1; i <= count; ++i) result.push_back(i);
  return result;
}

int picky(int item) {
  if (item % 10 == 0) throw permanent_error("a round number");
  return item;
}

TEST_F(recorded_run_test, every_item_has_its_row_and_every_failure_its_letter) {
  const report result = pipeline("orders")
                            .from(numbers(100))
                            .stage("picky", picky)
                            .to("out", [](int) {})
                            .ledger(path())
                            .run();
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.run, 1U);
  const ledger_reader reader(path());
  const report recorded = reader.run_report();
  EXPECT_EQ(recorded.count(outcome::delivered), 90U);
  EXPECT_EQ(recorded.count(outcome::dead_lettered), 10U);
  EXPECT_EQ(recorded.line(), result.line());
  EXPECT_EQ(reader.dead_letters({}).size(), 10U);
  const item_history history = reader.history("items:0:9");
  ASSERT_EQ(history.outcomes.size(), 1U);
  EXPECT_EQ(history.outcomes[0].result, "dead_lettered");
  EXPECT_EQ(history.outcomes[0].error, "a round number");
}

TEST_F(recorded_run_test, a_second_run_takes_only_what_is_not_finished) {
  auto run_once = [&](int count) {
    return pipeline("orders").from(numbers(count)).to("out", [](int) {}).ledger(path()).run();
  };
  EXPECT_EQ(run_once(10).count(outcome::delivered), 10U);
  const report again = run_once(15);
  EXPECT_EQ(again.taken, 5U);
  EXPECT_EQ(again.count(outcome::delivered), 5U);
  EXPECT_EQ(again.run, 2U);
}

TEST_F(recorded_run_test, a_ledger_in_use_is_refused) {
  const auto held = ledger::open(ledger_options(path(), "orders"));
  auto other = pipeline("orders").from(numbers(1)).to("out", [](int) {});
  EXPECT_THROW(static_cast<void>(other.ledger(path()).run()), ledger_error);
}

class source_that_fails_to_open final : public source {
 public:
  task<> open(std::vector<partition_mark>, std::string) override {
    throw std::runtime_error("orders.ndjson: no such file");
    co_return;
  }
  task<std::vector<source_item>> read(std::size_t) override {
    co_return std::vector<source_item>{};
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return none_; }
  [[nodiscard]] bool finite() const override { return true; }
  [[nodiscard]] std::string fingerprint() const override { return "absent"; }

 private:
  std::vector<std::string> none_;
};

TEST_F(recorded_run_test, a_source_that_cannot_be_opened_ends_the_run_with_its_message) {
  pipeline_plan plan = pipeline("orders").from(numbers(1)).to("out", [](int) {}).take_plan();
  plan.from = std::make_unique<source_that_fails_to_open>();
  const report result = run_recorded(recorded_run(std::move(plan)));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.error, "orders.ndjson: no such file");
  EXPECT_EQ(result.taken, 0U);
}

}  // namespace
}  // namespace brigade
