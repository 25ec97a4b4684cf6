#include "pipeline/ledger_fixture.hpp"

#include <brigade/pipeline/ledger_reader.hpp>

namespace brigade {
namespace {

class ledger_reader_test : public ledger_test {
 protected:
  /// What a call throws; a failure of the test when it does not.
  template <class Call>
  static std::string error_of(Call call) {
    try {
      call();
    } catch (const ledger_error& error) {
      return error.what();
    }
    return "(no error)";
  }
};

report small_report() {
  report done;
  done.pipeline = "orders";
  done.run = 1;
  done.exit_code = 3;
  done.taken = 3;
  done.settled = {1, 0, 2, 0, 0};
  done.retries = 2;
  done.seconds = 1.5;
  stage_report stage;
  stage.name = "charge";
  stage.in = 3;
  stage.passed = 1;
  stage.settled = {0, 0, 2, 0, 0};
  stage.workers = {{0, 2, 4}, {1, 1, 0}};
  done.stages = {stage};
  done.dead_letters = {{"main:8f3a:10", "charge", "no", 2}, {"main:8f3a:20", "charge", "no", 2}};
  return done;
}

TEST_F(ledger_reader_test, gives_back_the_report_of_a_run) {
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(settled(0), dead(10, "no"), dead(20, "no"), dead(30, "other")), one_file,
                    {});
    report failed = small_report();
    failed.error = "stopped";
    account->end_run(failed);
  }
  const report read = ledger_reader(file_).run_report();
  EXPECT_EQ(read.json(), small_report().json());
  EXPECT_EQ(read.state, run_state::ended);
  EXPECT_EQ(read.error, "stopped");
  ASSERT_EQ(read.failures.size(), 2U);
  EXPECT_EQ(read.failures[0].error, "no");
  EXPECT_EQ(read.failures[0].items, 2U);
  EXPECT_EQ(read.failures[0].example, "main:8f3a:10");
  EXPECT_EQ(read.failures[1].items, 1U);
}

TEST_F(ledger_reader_test, counts_what_a_killed_run_recorded) {
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(settled(0), dead(10, "no"), settled(20, outcome::filtered)), one_file,
                    {});
  }
  const report read = ledger_reader(file_).run_report();
  EXPECT_EQ(read.state, run_state::killed);
  EXPECT_EQ(read.taken, 3U);
  EXPECT_EQ(read.count(outcome::filtered), 1U);
  EXPECT_EQ(read.retries, 1U);
  EXPECT_TRUE(read.adds_up());
  ASSERT_EQ(read.dead_letters.size(), 1U);
  EXPECT_EQ(read.dead_letters[0].id, "main:8f3a:10");
  EXPECT_EQ(read.dead_letters[0].attempts, 2);
}

TEST_F(ledger_reader_test, reads_beside_a_run_that_is_writing) {
  const auto account = ledger::open(options());
  heard from(*account);
  account->begin_run();
  const ledger_reader reader(file_);
  EXPECT_EQ(reader.run_report().state, run_state::running);
  account->record(batch(settled(0)), one_file, {});
  from.wait_durable(1);
  EXPECT_EQ(reader.run_report().taken, 1U);
  EXPECT_EQ(reader.history("main:8f3a:0").outcomes.size(), 1U);
}

TEST_F(ledger_reader_test, lists_the_runs) {
  run_through(options(), batch(settled(0)));
  {
    const auto account = ledger::open(options());
    account->begin_run();
  }
  run_through(options());
  const std::vector<run_record> runs = ledger_reader(file_).runs();
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(runs[0].run, 1U);
  EXPECT_EQ(runs[0].pipeline, "orders");
  EXPECT_EQ(runs[0].mode, "full");
  EXPECT_EQ(runs[0].exit_code, 0);
  EXPECT_EQ(runs[0].settled[0], 1U);
  EXPECT_EQ(runs[1].state, run_state::killed);
  EXPECT_FALSE(runs[1].exit_code.has_value());
  EXPECT_EQ(runs[2].state, run_state::ended);
  EXPECT_TRUE(error_of([&] {
                (void)ledger_reader(file_).run_report(7);
              }).ends_with(": there is no run 7; the last is 3"));
  EXPECT_EQ(ledger_reader(file_).run_report(2).run, 2U);
}

TEST_F(ledger_reader_test, knows_the_whole_history_of_an_item) {
  run_through(options(), batch(settled(0, outcome::returned), dead(10, "no")));
  run_through(options(), batch(settled(0)));
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(replayed(1, settled(10))), {std::string(replay_partition)}, {});
    account->end_run(report{});
  }
  const ledger_reader reader(file_);
  const item_history twice = reader.history("main:8f3a:0");
  EXPECT_EQ(twice.state, position_state::finished);
  ASSERT_EQ(twice.outcomes.size(), 2U);
  EXPECT_EQ(twice.outcomes[0].result, "returned");
  EXPECT_EQ(twice.outcomes[0].run, 1U);
  EXPECT_EQ(twice.outcomes[1].result, "delivered");
  EXPECT_EQ(twice.outcomes[1].settled_at, "2023-11-14T22:13:21.456Z");
  EXPECT_TRUE(twice.letters.empty());

  const item_history letter = reader.history("main:8f3a:10");
  ASSERT_EQ(letter.outcomes.size(), 2U);
  EXPECT_EQ(letter.outcomes[0].result, "dead_lettered");
  ASSERT_EQ(letter.outcomes[0].failed_attempts.size(), 2U);
  EXPECT_EQ(letter.outcomes[0].failed_attempts[1].number, 2);
  EXPECT_EQ(letter.outcomes[0].failed_attempts[1].worker, 3);
  EXPECT_EQ(letter.outcomes[0].failed_attempts[1].error, "no");
  EXPECT_EQ(letter.outcomes[1].result, "delivered");
  EXPECT_EQ(letter.outcomes[1].replay_of, "main:8f3a:10");
  ASSERT_EQ(letter.letters.size(), 1U);
  EXPECT_TRUE(letter.letters[0].replayed);
}

TEST_F(ledger_reader_test, tells_whether_an_id_was_recorded) {
  const auto account = ledger::open(options());
  heard from(*account);
  account->begin_run();
  settlement named = settled(0);
  named.id = "main:key-a";
  account->record(batch(std::move(named), settled(10)), one_file, {});
  from.wait_durable(1);
  const ledger_reader reader(file_);
  EXPECT_TRUE(reader.has_row("main:key-a"));
  EXPECT_FALSE(reader.has_row("main:key-"));
  EXPECT_FALSE(reader.has_row("main:key-a/1"));
}

TEST_F(ledger_reader_test, finds_an_item_by_its_business_id) {
  settlement delivered = settled(0);
  delivered.business_id = "order 7";
  settlement failed = dead(10, "no");
  failed.business_id = "order 8";
  run_through(options(), batch(std::move(delivered), std::move(failed)));
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(replayed(1, settled(10))), {std::string(replay_partition)}, {});
    account->end_run(report{});
  }
  const ledger_reader reader(file_);
  ASSERT_EQ(reader.history("order 7").outcomes.size(), 1U);
  EXPECT_EQ(reader.history("order 7").outcomes[0].id, "main:8f3a:0");
  EXPECT_EQ(reader.history("order 8").outcomes.size(), 2U);
  EXPECT_EQ(reader.history("order 8").letters.size(), 1U);
  EXPECT_EQ(reader.history("order 9").state, position_state::unknown);
  EXPECT_TRUE(reader.history("order 9").outcomes.empty());
}

TEST_F(ledger_reader_test, tells_of_the_replays_of_what_an_item_became) {
  settlement failed = dead(0, "no");
  failed.part = "1";
  failed.id += "/1";
  settlement parent = settled(0, outcome::dead_lettered);
  parent.business_id = "order 7";
  run_through(options(), batch(std::move(failed), std::move(parent), dead(10, "other")));
  {
    const auto account = ledger::open(options());
    account->begin_run();
    settlement again = settled(0);
    again.id += "/1";
    settlement its_child = settled(0);
    its_child.id += "/1/0";
    settlement of_the_child = replayed(1, std::move(its_child));
    of_the_child.part = "0";
    account->record(batch(std::move(of_the_child), replayed(1, std::move(again))),
                    {std::string(replay_partition)}, {});
    account->end_run(report{});
  }
  const ledger_reader reader(file_);
  for (const std::string asked : {"main:8f3a:0", "order 7", "main:8f3a:0/1"}) {
    const item_history told = reader.history(asked);
    std::vector<std::string> ids;
    for (const outcome_row& row : told.outcomes) ids.push_back(row.id);
    std::vector<std::string> expected = {"main:8f3a:0/1", "main:8f3a:0/1", "main:8f3a:0/1/0"};
    if (asked != "main:8f3a:0/1") expected.insert(expected.begin(), "main:8f3a:0");
    EXPECT_EQ(ids, expected) << asked;
    ASSERT_EQ(told.letters.size(), 1U) << asked;
    EXPECT_EQ(told.letters[0].id, "main:8f3a:0/1");
  }
}

TEST_F(ledger_reader_test, tells_the_children_of_an_item_apart) {
  run_through(options(), batch(child(0, "0"), child(0, "1"), child(0, "1/2"), child(0, "10"),
                               settled(0), settled(10)));
  const ledger_reader reader(file_);
  EXPECT_EQ(reader.history("main:8f3a:0").outcomes.size(), 5U);
  const item_history one = reader.history("main:8f3a:0/1");
  ASSERT_EQ(one.outcomes.size(), 2U);
  EXPECT_EQ(one.outcomes[0].id, "main:8f3a:0/1");
  EXPECT_EQ(one.outcomes[1].id, "main:8f3a:0/1/2");
}

TEST_F(ledger_reader_test, says_what_the_marks_know_of_an_item_without_a_row) {
  ledger_options with = options();
  with.mode = ledger_mode::failures;
  run_through(with, batch(settled(0), settled(10, outcome::returned), settled(20)));
  {
    const auto account = ledger::open(with);
    account->reconcile(std::vector<partition_mark>{{one_file[0], mark_of(20, {})}});
  }
  const ledger_reader reader(file_);
  EXPECT_EQ(reader.history("main:8f3a:0").state, position_state::finished);
  EXPECT_EQ(reader.history("main:8f3a:10").state, position_state::recovered);
  EXPECT_EQ(reader.history("main:8f3a:20").state, position_state::finished);
  EXPECT_EQ(reader.history("main:8f3a:30").state, position_state::unfinished);
  EXPECT_EQ(reader.history("other:8f3a:0").state, position_state::unknown);
  EXPECT_EQ(reader.history("nonsense").state, position_state::unknown);
}

TEST_F(ledger_reader_test, lists_dead_letters_by_stage_error_and_id) {
  settlement elsewhere = dead(20, "card expired");
  elsewhere.stage = "source";
  elsewhere.business_id = "order 3";
  run_through(options(),
              batch(dead(0, "card declined"), dead(10, "timed out"), std::move(elsewhere)));
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(replayed(2, settled(10))), {std::string(replay_partition)}, {});
    account->end_run(report{});
  }
  const ledger_reader reader(file_);
  const auto numbers = [&](const letter_filter& filter) {
    std::vector<std::uint64_t> result;
    for (const letter_row& each : reader.dead_letters(filter)) result.push_back(each.number);
    return result;
  };
  using expected = std::vector<std::uint64_t>;
  letter_filter filter;
  EXPECT_EQ(numbers(filter), (expected{1, 3}));
  filter.include_settled = true;
  EXPECT_EQ(numbers(filter), (expected{1, 2, 3}));
  filter.error = "card";
  EXPECT_EQ(numbers(filter), (expected{1, 3}));
  filter.stage = "source";
  EXPECT_EQ(numbers(filter), (expected{3}));
  filter = {};
  filter.ids = {"main:8f3a:0", "order 3", "main:8f3a:10"};
  EXPECT_EQ(numbers(filter), (expected{1, 3}));
  filter.ids = {""};  // an empty id names no item, not those without a business id
  EXPECT_EQ(numbers(filter), (expected{}));
}

TEST_F(ledger_reader_test, shows_a_letter_with_what_it_carries) {
  run_through(options(), batch(dead(0, "no", std::string("a\0b", 3))));
  const ledger_reader reader(file_);
  const letter_row letter = reader.letter(1);
  EXPECT_EQ(letter.id, "main:8f3a:0");
  EXPECT_EQ(letter.stage_index, 1);
  EXPECT_EQ(letter.payload, std::string("a\0b", 3));
  EXPECT_EQ(letter.source_payload, std::string("source of a\0b", 13));
  EXPECT_TRUE(error_of([&] {
                (void)reader.letter(2);
              }).ends_with(": there is no dead letter 2; `brigade dlq ls` lists them"));
}

TEST_F(ledger_reader_test, knows_the_pipeline_and_its_file) {
  ledger_options with = options();
  with.pipeline_file = folder_ / "." / "orders.yaml";
  run_through(with);
  EXPECT_EQ(ledger_reader(file_).pipeline(), "orders");
  EXPECT_EQ(ledger_reader(file_).pipeline_file(), folder_ / "orders.yaml");
}

TEST_F(ledger_reader_test, says_why_a_ledger_cannot_be_read) {
  EXPECT_EQ(error_of([&] { (void)ledger_reader(file_); }),
            file_.string() + ": there is no such ledger");
  (void)ledger::open(options());
  EXPECT_EQ(error_of([&] { (void)ledger_reader(file_).run_report(); }),
            file_.string() + ": no run has begun yet");
  (void)query("UPDATE meta SET value = '99' WHERE key = 'schema'");
  EXPECT_NE(error_of([&] { (void)ledger_reader(file_); }).find("is a ledger of version 99"),
            std::string::npos);
}

}  // namespace
}  // namespace brigade
