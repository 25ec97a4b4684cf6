#include "pipeline/ledger_fixture.hpp"

#include <brigade/pipeline/ledger.hpp>

namespace brigade {
namespace {

TEST_F(ledger_test, begins_with_nothing_finished) {
  const auto account = ledger::open(options());
  const resume_point start = account->resume();
  EXPECT_EQ(start.epoch, 1U);
  EXPECT_TRUE(start.finished.empty());
  EXPECT_FALSE(start.has_history);
  EXPECT_EQ(account->begin_run(), 1U);
}

TEST_F(ledger_test, keeps_a_row_for_every_item_in_full_mode) {
  settlement retried = settled(10);
  retried.business_id = "order 7";
  retried.attempts = 1;
  retried.failed_attempts.push_back({"charge", 1, 2, "timed out", retried.settled_at});
  settlement filtered = settled(20, outcome::filtered);
  filtered.stage = "validate";
  run_through(options(), batch(settled(0), std::move(retried)),
              batch(std::move(filtered), dead(30, "card declined"), settled(40, outcome::dropped),
                    settled(50, outcome::returned)));
  EXPECT_EQ(query("SELECT id, business_id, run, outcome, stage, attempts, error, taken_at, "
                  "settled_at FROM items ORDER BY position LIMIT 2"),
            "main:8f3a:0||1|delivered|receipts|1||2023-11-14T22:13:20.123Z|"
            "2023-11-14T22:13:21.456Z\n"
            "main:8f3a:10|order 7|1|delivered|receipts|1||2023-11-14T22:13:20.123Z|"
            "2023-11-14T22:13:21.456Z\n");
  EXPECT_EQ(query("SELECT id, outcome, stage, attempts, error FROM items WHERE position >= 20"),
            "main:8f3a:20|filtered|validate|1|\n"
            "main:8f3a:30|dead_lettered|charge|2|card declined\n"
            "main:8f3a:40|dropped|receipts|1|\n"
            "main:8f3a:50|returned|receipts|1|\n");
  EXPECT_EQ(query("SELECT id, run, stage, attempt, worker, error, at FROM attempts"),
            "main:8f3a:10|1|charge|1|2|timed out|2023-11-14T22:13:21.456Z\n"
            "main:8f3a:30|1|charge|1|3|card declined|2023-11-14T22:13:21.456Z\n"
            "main:8f3a:30|1|charge|2|3|card declined|2023-11-14T22:13:21.456Z\n");
  EXPECT_EQ(query("SELECT run, pipeline, ended, exit, delivered, filtered, dead_lettered, dropped, "
                  "returned, retries FROM runs"),
            "1|orders|normally|0|2|1|1|1|1|2\n");
}

TEST_F(ledger_test, keeps_rows_of_what_was_not_simply_delivered_in_failures_mode) {
  ledger_options with = options();
  with.mode = ledger_mode::failures;
  settlement retried = settled(10);
  retried.failed_attempts.push_back({"charge", 1, 0, "timed out", retried.settled_at});
  run_through(with, batch(settled(0), std::move(retried), settled(20, outcome::filtered),
                          dead(30, "no"), settled(40), settled(50, outcome::returned)));
  EXPECT_EQ(query("SELECT position, outcome FROM items"),
            "10|delivered\n20|filtered\n30|dead_lettered\n50|returned\n");
  EXPECT_EQ(query("SELECT count(*) FROM attempts"), "3\n");
  EXPECT_EQ(query("SELECT source, low, above FROM marks"), "main:8f3a|50|[]\n");
  EXPECT_EQ(query("SELECT delivered FROM runs"), "3\n");
}

TEST_F(ledger_test, needs_no_more_than_the_position_of_what_was_simply_delivered) {
  ledger_options with = options();
  EXPECT_TRUE(ledger::open(with)->keeps_delivered());
  with.mode = ledger_mode::failures;
  EXPECT_FALSE(ledger::open(with)->keeps_delivered());
  settled_batch mixed(batch(dead(10, "no")));
  mixed.delivered = {{0, 0, 10}, {0, 30, 40}};
  run_through(with, std::move(mixed));
  EXPECT_EQ(query("SELECT position, outcome FROM items"), "10|dead_lettered\n");
  EXPECT_EQ(query("SELECT source, low, above FROM marks"), "main:8f3a|20|[[30,40]]\n");
  EXPECT_EQ(query("SELECT delivered, dead_lettered FROM runs"), "2|1\n");
}

TEST_F(ledger_test, keeps_runs_marks_and_dead_letters_when_it_is_off) {
  ledger_options with = options();
  with.mode = ledger_mode::off;
  run_through(with, batch(settled(0), dead(10, "no"), settled(20, outcome::returned)));
  EXPECT_EQ(query("SELECT count(*) FROM items"), "0\n");
  EXPECT_EQ(query("SELECT count(*) FROM attempts"), "0\n");
  EXPECT_EQ(query("SELECT id, error FROM dead_letters"), "main:8f3a:10|no\n");
  EXPECT_EQ(query("SELECT low, above FROM marks"), "20|[]\n");
  EXPECT_EQ(query("SELECT delivered, dead_lettered, returned FROM runs"), "1|1|1\n");
}

// Reliability row 1, for the ledger's own marks.
TEST_F(ledger_test, an_item_that_was_returned_stays_a_hole) {
  run_through(options(), batch(settled(20), settled(0), settled(10, outcome::returned)),
              batch(settled(30)));
  EXPECT_EQ(query("SELECT low, above FROM marks"), "10|[[20,40]]\n");
  run_through(options(), batch(settled(10)));
  EXPECT_EQ(query("SELECT low, above FROM marks"), "40|[]\n");
  EXPECT_EQ(query("SELECT run, outcome FROM items WHERE position = 10"),
            "1|returned\n2|delivered\n");
}

TEST_F(ledger_test, the_children_of_an_item_are_parts_until_it_is_finished) {
  run_through(options(), batch(settled(0), child(10, "0"), child(10, "1/2", outcome::filtered),
                               child(10, "2", outcome::returned)));
  EXPECT_EQ(query("SELECT low, above FROM marks"),
            "10|{\"ranges\":[],\"parts\":[[10,\"0\"],[10,\"1/2\"]]}\n");
  run_through(options(), batch(child(10, "2"), settled(10)));
  EXPECT_EQ(query("SELECT low, above FROM marks"), "20|[]\n");
  EXPECT_EQ(query("SELECT id, outcome FROM items WHERE position = 10 AND run = 1"),
            "main:8f3a:10/0|delivered\nmain:8f3a:10/1/2|filtered\nmain:8f3a:10/2|returned\n");
  EXPECT_EQ(query("SELECT run, delivered, returned FROM runs"), "1|1|0\n2|1|0\n");
}

TEST_F(ledger_test, goes_on_where_the_last_run_stopped) {
  const std::vector<std::string> two = {"main:8f3a", "main:77aa"};
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(settled(0), settled(20)), one_file, {{"out", "4711"}});
    settlement elsewhere = settled(0);
    elsewhere.partition = 1;
    elsewhere.id = "main:77aa:0";
    account->record(batch(std::move(elsewhere)), two, {});
    account->end_run(report{});
  }
  const auto account = ledger::open(options());
  const resume_point start = account->resume();
  ASSERT_EQ(start.finished.size(), 2U);
  EXPECT_EQ(start.finished[0].partition, "main:8f3a");
  EXPECT_EQ(start.finished[0].at, mark_of(10, {{20, 30}}));
  EXPECT_EQ(start.finished[1].at, mark_of(10, {}));
  EXPECT_EQ(start.accounted[0].at, start.finished[0].at);
  EXPECT_EQ(start.token_of("out", false), "4711");
  EXPECT_TRUE(start.has_history);
  EXPECT_EQ(account->begin_run(), 2U);
}

TEST_F(ledger_test, keeps_what_the_source_notes_and_forgets_what_is_over) {
  ledger_options failures = options();
  failures.mode = ledger_mode::failures;
  {
    const auto account = ledger::open(failures);
    account->begin_run();
    account->keep_with_next({"state 1", {}});
    account->record(batch(settled(0)), one_file, {});
    account->end_run(report{});
  }
  EXPECT_EQ(query("SELECT name FROM partitions"), "main:8f3a\n");
  {
    const auto account = ledger::open(failures);
    EXPECT_EQ(account->resume().source_state, "state 1");
    account->begin_run();
    std::vector<std::string> names = one_file;
    account->record({}, names, {});
    account->keep_with_next({"state 2", {"main:8f3a"}});
    names[0].clear();
    account->record({}, names, {});
    names[0] = "main:0001";  // under the same index
    settlement next = settled(0, outcome::filtered);
    next.id = "main:0001:0";
    account->record(batch(std::move(next)), names, {});
    account->end_run(report{});
  }
  const resume_point start = ledger::open(failures)->resume();
  EXPECT_EQ(start.source_state, "state 2");
  ASSERT_EQ(start.finished.size(), 1U);
  EXPECT_EQ(start.finished[0].partition, "main:0001");
  EXPECT_EQ(query("SELECT name FROM partitions"), "main:0001\n");
  EXPECT_EQ(query("SELECT id FROM items"), "main:0001:0\n");
}

// Who asks for an item's history does not mind that its file is gone.
TEST_F(ledger_test, keeps_the_rows_of_what_is_over) {
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(settled(0)), one_file, {});
    account->end_run(report{});
  }
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->keep_with_next({std::nullopt, one_file});
    account->record({}, {""}, {});
    account->end_run(report{});
  }
  EXPECT_TRUE(ledger::open(options())->resume().finished.empty());
  EXPECT_EQ(query("SELECT id FROM items"), "main:8f3a:0\n");
}

TEST_F(ledger_test, keeps_a_token_for_each_sink) {
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(settled(0)), one_file, {{"a", "1"}, {"b", "2"}});
    account->record(batch(settled(10)), one_file, {{"a", "3"}});
    account->end_run(report{});
  }
  const resume_point point = ledger::open(options())->resume();
  EXPECT_EQ(point.token_of("a", false), "3");
  EXPECT_EQ(point.token_of("b", false), "2");
  EXPECT_EQ(point.token_of("c", true), "");
}

// Before pipelines had several sinks the token had no name.
TEST_F(ledger_test, gives_the_token_of_an_old_ledger_to_its_sink) {
  {
    static_cast<void>(ledger::open(options()));
  }
  EXPECT_EQ(query("INSERT INTO meta VALUES ('sink_token', '4711') ON CONFLICT DO UPDATE SET "
                  "value = excluded.value"),
            "");
  const auto account = ledger::open(options());
  EXPECT_EQ(account->resume().token_of("out", true), "4711");
  account->keep("", std::vector<sink_token>{{"out", "4711"}, {"other", "0"}});
  EXPECT_EQ(account->resume().token_of("out", false), "4711");
  EXPECT_EQ(account->resume().token_of("third", false), "");
}

TEST_F(ledger_test, keeps_an_id_that_does_not_follow_from_the_position) {
  settlement odd = settled(0);
  odd.id = "orders/3/0";
  run_through(options(), batch(std::move(odd)));
  EXPECT_EQ(query("SELECT id FROM items"), "orders/3/0\n");
}

TEST_F(ledger_test, keeps_a_payload_byte_by_byte) {
  run_through(options(), batch(dead(0, "not UTF-8: \xFF", std::string("a\0b\xFF", 4)),
                               dead(10, "no", "{\"total\": 12.50}")));
  EXPECT_EQ(query("SELECT typeof(payload), hex(payload), error FROM dead_letters WHERE letter = 1"),
            "blob|610062FF|not UTF-8: \xEF\xBF\xBD\n");
  EXPECT_EQ(
      query("SELECT id, run, stage, stage_index, attempts, error, status, replayable, source, "
            "position, payload, source_payload FROM dead_letters WHERE letter = 2"),
      "main:8f3a:10|1|charge|1|2|no|new|1|main:8f3a|10|{\"total\": 12.50}|"
      "source of {\"total\": 12.50}\n");
}

TEST_F(ledger_test, begins_again_when_told_to) {
  run_through(options(), batch(settled(0)));
  ledger_options with = options();
  with.fresh = true;
  with.source_fingerprint = "file others.ndjson";
  {
    const auto account = ledger::open(with);
    const resume_point start = account->resume();
    EXPECT_EQ(start.epoch, 2U);
    ASSERT_EQ(start.finished.size(), 1U);
    EXPECT_EQ(start.finished[0].partition, "main:8f3a");
    EXPECT_EQ(start.finished[0].at, mark{});
    EXPECT_EQ(start.token_of("out", false), "");
    EXPECT_FALSE(start.has_history);
  }
  with.fresh = false;
  run_through(with, batch(settled(0)));
  EXPECT_EQ(query("SELECT epoch, low FROM marks"), "1|10\n2|10\n");
  EXPECT_EQ(query("SELECT id, run FROM items"), "main:8f3a:0|1\nmain:8f3a:0|2\n");
}

TEST_F(ledger_test, tells_of_a_business_id_that_came_twice) {
  const auto account = ledger::open(options());
  std::vector<repeated_id> repeated;
  account->on_repeated_id = [&](const repeated_id& each) { repeated.push_back(each); };
  account->begin_run();
  for (const auto& [begin, id] : {std::pair(0U, "a"), {10U, "b"}, {20U, "a"}, {30U, "c"}}) {
    settlement item = settled(begin);
    item.business_id = id;
    account->record(batch(std::move(item)), one_file, {});
  }
  account->end_run(report{});
  account->close();
  ASSERT_EQ(repeated.size(), 1U);
  EXPECT_EQ(repeated[0].business_id, "a");
  EXPECT_EQ(repeated[0].id, "main:8f3a:20");
  EXPECT_EQ(repeated[0].earlier_id, "main:8f3a:0");
  EXPECT_EQ(query("SELECT business_id, id FROM repeated_ids"), "a|main:8f3a:0\na|main:8f3a:20\n");
}

TEST_F(ledger_test, an_item_that_is_taken_again_is_no_repetition) {
  const auto once_more = [&](outcome result) {
    settlement item = settled(0, result);
    item.business_id = "a";
    run_through(options(), batch(std::move(item)));
  };
  once_more(outcome::returned);
  once_more(outcome::delivered);
  EXPECT_EQ(query("SELECT * FROM repeated_ids"), "");
}

TEST_F(ledger_test, deletes_rows_that_are_older_than_it_was_told_to_keep) {
  run_through(options(), batch(dead(0, "no"), settled(10)));
  run_through(options(), batch(settled(20)));
  (void)query("UPDATE runs SET ended_at = '2001-01-01T00:00:00.000Z' WHERE run = 1");
  ledger_options with = options();
  with.keep = std::chrono::hours(24);
  run_through(with);
  EXPECT_EQ(query("SELECT id FROM items"), "main:8f3a:20\n");
  EXPECT_EQ(query("SELECT count(*) FROM attempts"), "0\n");
  EXPECT_EQ(query("SELECT id FROM dead_letters"), "main:8f3a:0\n");
  EXPECT_EQ(query("SELECT run FROM runs"), "1\n2\n3\n");
  EXPECT_EQ(query("SELECT low FROM marks"), "30\n");
}

// The ledger is killed between the sink's commit and its own: 20 to 40 are in the sink only.
TEST_F(ledger_test, follows_what_a_transactional_sink_has) {
  run_through(options(), batch(settled(0), settled(10)));
  const std::vector<partition_mark> sink = {{"main:8f3a", mark_of(40, {{60, 70}}, {{50, "1"}})}};
  {
    const auto account = ledger::open(options());
    account->reconcile(sink);
    const resume_point start = account->resume();
    EXPECT_EQ(start.finished[0].at, sink[0].at);
    EXPECT_EQ(start.accounted[0].at, mark_of(20, {}, {{50, "1"}}));
  }
  EXPECT_EQ(query("SELECT low, above FROM marks"),
            "40|{\"ranges\":[[60,70]],\"parts\":[[50,\"1\"]]}\n");
  EXPECT_EQ(query("SELECT position, position_end, run FROM recovered"), "20|40|1\n60|70|1\n");
  EXPECT_EQ(query("SELECT id, outcome, run FROM items WHERE part <> ''"),
            "main:8f3a:50/1|delivered|1\n");

  const auto account = ledger::open(options());
  account->reconcile(sink);  // the same again changes nothing
  EXPECT_EQ(account->resume().accounted[0].at, mark_of(20, {}, {{50, "1"}}));
  account->begin_run();
  account->record(batch(settled(20)), one_file, {});
  account->record(batch(settled(30), settled(60)), one_file, {});
  account->end_run(report{});
  account->close();
  EXPECT_EQ(query("SELECT * FROM recovered"), "");
  EXPECT_EQ(query("SELECT count(*) FROM items WHERE part = ''"), "5\n");
}

// A stop returned what its sink had: nobody knew yet.
TEST_F(ledger_test, follows_a_sink_that_has_a_part_that_was_returned) {
  run_through(options(), batch(child(50, "1", outcome::returned), child(50, "2")));
  const auto account = ledger::open(options());
  const std::vector<partition_mark> sink = {{"main:8f3a", mark_of(0, {}, {{50, "1"}, {50, "2"}})}};
  account->reconcile(sink);
  EXPECT_EQ(query("SELECT id, outcome, run FROM items ORDER BY id"),
            "main:8f3a:50/1|delivered|1\nmain:8f3a:50/2|delivered|1\n");
}

TEST_F(ledger_test, completes_the_account_of_what_was_recovered_over_several_runs) {
  run_through(options());
  {
    const auto account = ledger::open(options());
    account->reconcile(std::vector<partition_mark>{{"main:8f3a", mark_of(45, {})}});
    account->begin_run();
    account->record(batch(settled(5)), one_file, {});  // behind a header of five bytes
    account->close();                                  // and killed again
  }
  EXPECT_EQ(query("SELECT position, position_end FROM recovered"), "15|45\n");
  const auto account = ledger::open(options());
  EXPECT_EQ(account->resume().finished[0].at, mark_of(45, {}));
  EXPECT_EQ(account->resume().accounted[0].at, mark_of(15, {}));
}

TEST_F(ledger_test, marks_a_letter_replayed_with_the_replays_outcome) {
  run_through(options(), batch(dead(0, "first"), dead(10, "second"), dead(20, "third")));
  const std::vector<std::string> replay = {std::string(replay_partition)};
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(replayed(1, settled(0)), replayed(2, dead(10, "again")),
                          replayed(3, settled(20, outcome::returned))),
                    replay, {});
    account->end_run(report{});
    account->close();
  }
  EXPECT_EQ(query("SELECT letter, id, run, status, error, replay_of, source, position "
                  "FROM dead_letters"),
            "1|main:8f3a:0|1|replayed|first||main:8f3a|0\n"
            "2|main:8f3a:10|1|replayed|second||main:8f3a|10\n"
            "3|main:8f3a:20|1|new|third||main:8f3a|20\n"
            "4|main:8f3a:10|2|new|again|main:8f3a:10|main:8f3a|10\n");
  EXPECT_EQ(query("SELECT id, outcome, replay_of FROM items WHERE run = 2"),
            "main:8f3a:0|delivered|main:8f3a:0\n"
            "main:8f3a:10|dead_lettered|main:8f3a:10\n"
            "main:8f3a:20|returned|main:8f3a:20\n");
  const resume_point start = ledger::open(options())->resume();
  ASSERT_EQ(start.finished.size(), 1U);
  EXPECT_EQ(start.finished[0].at, mark_of(30, {}));
  EXPECT_EQ(start.replayed, mark_of(0, {{1, 3}}));
}

// Killed in a replay, between the sink's commit and the ledger's.
TEST_F(ledger_test, follows_a_sink_that_has_replayed_letters) {
  run_through(options(), batch(dead(0, "first"), dead(10, "second"), dead(20, "third")));
  run_through(options());
  const auto account = ledger::open(options());
  account->reconcile(
      std::vector<partition_mark>{{std::string(replay_partition), mark_of(0, {{1, 2}, {3, 4}})}});
  account->close();
  EXPECT_EQ(query("SELECT letter, status FROM dead_letters"), "1|replayed\n2|new\n3|replayed\n");
  EXPECT_EQ(query("SELECT id, outcome, replay_of FROM items WHERE run = 2"),
            "main:8f3a:0|delivered|main:8f3a:0\nmain:8f3a:20|delivered|main:8f3a:20\n");
  EXPECT_EQ(query("SELECT run, delivered FROM runs"), "1|0\n2|2\n");
}

TEST_F(ledger_test, stores_the_report_of_a_run) {
  const auto account = ledger::open(options());
  report done;
  done.pipeline = "orders";
  done.run = account->begin_run();
  done.exit_code = 5;
  done.error = "stopped";
  account->end_run(done);
  account->close();
  EXPECT_EQ(query("SELECT ended, exit, error, report FROM runs"),
            "normally|5|stopped|" + done.json() + "\n");
}

TEST_F(ledger_test, says_whether_all_that_was_written_is_recorded) {
  EXPECT_FALSE(ledger::open(options())->resume().ended_well);
  run_through(options(), batch(settled(0)));
  EXPECT_TRUE(ledger::open(options())->resume().ended_well);
  run_through(options(), batch(settled(10), settled(20, outcome::returned)));
  EXPECT_FALSE(ledger::open(options())->resume().ended_well);
  run_through(options(), batch(settled(20)));
  EXPECT_TRUE(ledger::open(options())->resume().ended_well);
  ledger::open(options())->begin_run();  // and is killed
  EXPECT_FALSE(ledger::open(options())->resume().ended_well);
}

TEST_F(ledger_test, closes_a_run_without_an_end_as_killed) {
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(settled(0)), one_file, {});
  }
  EXPECT_EQ(query("SELECT ended, ended_at IS NULL FROM runs"), "|1\n");
  const auto account = ledger::open(options());
  EXPECT_EQ(query("SELECT ended, ended_at = active_at, exit FROM runs"), "killed|1|\n");
  EXPECT_TRUE(account->resume().has_history);
}

TEST_F(ledger_test, queued_batches_become_durable_in_order) {
  const auto account = ledger::open(options());
  heard from(*account);
  account->begin_run();
  for (std::uint64_t number = 1; number <= 50; ++number) {
    EXPECT_EQ(
        account->record(batch(settled(number * 10)), one_file, {{"out", std::to_string(number)}}),
        number);
  }
  from.wait_durable(50);
  EXPECT_EQ(query("SELECT count(*) FROM items"), "50\n");
  EXPECT_EQ(account->record({}, one_file, {}), 51U);
  from.wait_durable(51);
  account->close();
  EXPECT_EQ(ledger::open(options())->resume().token_of("out", false), "50");
}

}  // namespace
}  // namespace brigade
