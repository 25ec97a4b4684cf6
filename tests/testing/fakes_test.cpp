#include <brigade/async/timeout.hpp>
#include <brigade/testing/fakes.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace brigade::testing {
namespace {

using namespace std::chrono_literals;
using texts = std::vector<std::string>;

fake_store store_of(std::uint64_t count) {
  fake_store store;
  for (std::uint64_t at = 0; at < count; ++at) store.add("s:t", {at, at + 1, std::to_string(at)});
  return store;
}

task<texts> read_all(fake_source& from) {
  texts got;
  for (;;) {
    const std::vector<source_item> some = co_await from.read(3);
    if (some.empty()) co_return got;
    for (const source_item& each : some) got.push_back(each.value.get<std::string>());
  }
}

TEST(fake_source, gives_what_the_mark_does_not_call_finished_and_names_what_it_has_no_more) {
  virtual_loop loop;
  fake_store store = store_of(6);
  source_faults faults;
  faults.read_delay_max = 5ms;
  faults.trims = true;
  watermark all((mark()));
  for (std::uint64_t at = 0; at < 6; ++at) all.finished(all.taken(at, at + 1));
  mark some;
  some.low = 1;
  some.above = {{3, 4}};
  auto main = [&]() -> task<> {
    fake_source first(store, faults, 1);
    co_await first.open({}, {});
    const texts everything = co_await read_all(first);
    EXPECT_EQ(everything, (texts{"0", "1", "2", "3", "4", "5"}));
    fake_source second(store, faults, 2);
    std::vector<partition_mark> resume(1, partition_mark{"s:t", some});
    co_await second.open(std::move(resume), {});
    const texts rest = co_await read_all(second);
    EXPECT_EQ(rest, (texts{"1", "2", "4", "5"}));
    first.acknowledge(0, all);
    fake_source third(store, faults, 3);
    co_await third.open({}, {});
    const texts kept = co_await read_all(third);
    EXPECT_EQ(kept.size() + store.lost().size(), 6U);
    EXPECT_FALSE(store.lost().empty());
  };
  loop.run(main());
}

class fake_sink_test : public ::testing::Test {
 protected:
  task<write_result> write(fake_sink& to, std::size_t count) {
    values_.clear();
    std::vector<sink_item> batch;
    for (std::size_t n = 0; n < count; ++n) values_.emplace_back(std::to_string(n));
    for (const payload& each : values_) batch.push_back(sink_item{"id", "key", &each});
    std::vector<partition_mark> marks(1);
    marks[0].partition = "s:t";
    marks[0].at.low = written_ += count;
    co_return co_await to.write(batch, marks);
  }
  virtual_loop loop_;
  fake_table table_;
  std::vector<payload> values_;
  std::uint64_t written_ = 0;
};

TEST_F(fake_sink_test, cuts_its_table_to_the_recorded_length) {
  auto main = [&]() -> task<> {
    fake_sink first(table_, fake_sink_kind::cut, {}, 1);
    sink_resume resume;
    co_await first.open(resume);
    EXPECT_EQ(first.first_token(), "0");
    const write_result recorded = co_await write(first, 3);
    co_await write(first, 2);
    EXPECT_EQ(table_.rows.size(), 5U);
    fake_sink second(table_, fake_sink_kind::cut, {}, 1);
    resume.token = recorded.token;
    co_await second.open(resume);
    EXPECT_EQ(table_.rows.size(), 3U);
  };
  loop_.run(main());
}

TEST_F(fake_sink_test, writes_nothing_of_a_batch_with_a_bad_row_when_transactional) {
  sink_faults faults;
  faults.item_fails_one_in = 1;
  auto main = [&]() -> task<> {
    fake_sink bad(table_, fake_sink_kind::transactional, faults, 1);
    const write_result refused = co_await write(bad, 2);
    EXPECT_TRUE(refused.failures[0].has_value());
    EXPECT_TRUE(table_.rows.empty());
    EXPECT_TRUE(table_.marks.empty());
    fake_sink good(table_, fake_sink_kind::transactional, {}, 1);
    co_await write(good, 2);
    EXPECT_EQ(table_.rows.size(), 2U);
    EXPECT_EQ(table_.marks["s:t"].low, 4U);
  };
  loop_.run(main());
}

TEST_F(fake_sink_test, is_down_for_a_while_and_comes_back) {
  sink_faults faults;
  faults.outage_one_in = 2;
  faults.outage_max = 1s;
  fake_sink sink(table_, fake_sink_kind::plain, faults, 7);
  int down = 0;
  auto main = [&]() -> task<> {
    while (table_.rows.size() < 10) {
      try {
        co_await write(sink, 1);
      } catch (const sink_down&) {
        ++down;
      }
      co_await sleep_for(100ms);
    }
  };
  loop_.run(main());
  EXPECT_GT(down, 0);
}

settlement delivered(std::uint64_t begin) {
  settlement one;
  one.id = "s:t:" + std::to_string(begin);
  one.begin = begin;
  one.end = begin + 1;
  return one;
}

std::vector<settlement> batch_of(std::uint64_t begin) {
  std::vector<settlement> batch;
  batch.push_back(delivered(begin));
  return batch;
}

TEST(memory_journal, keeps_what_is_durable_in_a_crash_and_forgets_the_rest) {
  memory_journal account(1, 10ms);
  const std::vector<std::string> partitions(1, "s:t");
  std::vector<std::uint64_t> durable;
  account.on_durable = [&](std::uint64_t number) { durable.push_back(number); };
  account.begin_run();
  {
    virtual_loop loop;
    auto main = [&]() -> task<> {
      account.record(batch_of(0), partitions, {{"out", "one"}});
      account.record(batch_of(2), partitions, {{"out", "two"}});
      co_await sleep_for(20ms);
      account.record(batch_of(1), partitions, {{"out", "three"}});
      co_await sleep_for(1h);
    };
    loop.kill_after(3);
    EXPECT_THROW(loop.run(main()), cancelled);
  }
  account.crash();
  EXPECT_EQ(durable, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(account.rows().size(), 2U);
  const resume_point point = account.resume();
  EXPECT_EQ(point.token_of("out", false), "two");
  ASSERT_EQ(point.finished.size(), 1U);
  EXPECT_EQ(point.finished[0].at.low, 1U);
  EXPECT_TRUE(point.finished[0].at.finished(2));
  EXPECT_EQ(account.begin_run(), 2U);
}

TEST(memory_journal, follows_the_sink_and_counts_what_it_had_once_it_is_given_again) {
  memory_journal account(1, 0ms);
  const std::vector<std::string> partitions(1, "s:t");
  std::vector<partition_mark> sink_has(1);
  sink_has[0].partition = "s:t";
  sink_has[0].at.low = 2;
  account.reconcile(sink_has);
  EXPECT_EQ(account.resume().finished[0].at.low, 2U);
  EXPECT_EQ(account.resume().accounted[0].at.low, 0U);
  account.begin_run();
  virtual_loop loop;
  auto main = [&]() -> task<> {
    account.record(batch_of(0), partitions, {});
    account.record(batch_of(1), partitions, {});
    co_await sleep_for(1ms);
  };
  loop.run(main());
  EXPECT_EQ(account.resume().accounted[0].at.low, 2U);
}

TEST(memory_journal, breaks_when_told_and_records_nothing_after) {
  memory_journal account(1, 1ms);
  const std::vector<std::string> partitions(1, "s:t");
  std::string failed;
  account.on_failed = [&](const std::string& why) { failed = why; };
  account.begin_run();
  account.break_at(2);
  virtual_loop loop;
  auto main = [&]() -> task<> {
    for (std::uint64_t n = 0; n < 4; ++n) account.record(batch_of(n), partitions, {});
    co_await sleep_for(5ms);
    account.record(batch_of(4), partitions, {});
    co_await sleep_for(5ms);
  };
  loop.run(main());
  EXPECT_EQ(account.rows().size(), 1U);
  EXPECT_EQ(failed, "the journal's disk broke");
}

}  // namespace
}  // namespace brigade::testing
