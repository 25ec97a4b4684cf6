#include <brigade/pipeline/report.hpp>

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace brigade {
namespace {

std::array<std::uint64_t, outcome_count> settled(std::uint64_t delivered, std::uint64_t filtered,
                                                 std::uint64_t dead, std::uint64_t returned = 0) {
  return {delivered, filtered, dead, 0, returned};
}

stage_report stage(std::string name, std::uint64_t in, std::uint64_t passed,
                   std::uint64_t dead_lettered) {
  stage_report result;
  result.name = std::move(name);
  result.in = in;
  result.passed = passed;
  result.settled = settled(0, 0, dead_lettered);
  return result;
}

report orders() {
  report result;
  result.pipeline = "orders";
  result.run = 2;
  result.exit_code = 3;
  result.taken = 1000;
  result.settled = settled(997, 0, 3);
  result.retries = 7;
  result.seconds = 12.34;
  stage_report charge = stage("charge", 1000, 997, 3);
  charge.retries = 7;
  charge.workers = {{0, 501, 9}, {1, 499, 0}};
  result.stages = {charge, stage("receipts", 997, 997, 0)};
  result.dead_letters = {{"main:8f3a:40960", "charge", "card declined", 5},
                         {"main:8f3a:50000", "charge", "timed out", 5},
                         {"main:8f3a:60000", "charge", "card declined", 1}};
  return result;
}

TEST(report, ends_in_one_line_that_adds_up) {
  EXPECT_EQ(orders().line(),
            "orders: taken 1000 = delivered 997 + filtered 0 + dead_lettered 3 + dropped 0 + "
            "returned 0; retries 7; 12.3 s; exit 3");
}

TEST(report, names_what_is_in_flight_when_the_sum_needs_it) {
  report running = orders();
  running.taken = 1002;
  running.in_flight = 2;
  EXPECT_NE(running.line().find("returned 0 + in_flight 2; retries 7"), std::string::npos);
  running.state = run_state::killed;
  EXPECT_TRUE(running.line().ends_with("; killed")) << running.line();
}

TEST(report, adds_up_only_when_the_run_and_every_stage_do) {
  EXPECT_TRUE(orders().adds_up());
  report lost = orders();
  lost.settled = settled(996, 0, 3);
  EXPECT_FALSE(lost.adds_up());
  lost.in_flight = 1;
  EXPECT_TRUE(lost.adds_up());
  report lost_in_stage = orders();
  lost_in_stage.stages[1].in = 998;
  EXPECT_FALSE(lost_in_stage.adds_up());
  lost_in_stage.stages[1].settled = settled(0, 0, 0, 1);
  EXPECT_TRUE(lost_in_stage.adds_up());
}

TEST(report, counts_children_that_were_born_in_a_stage) {
  stage_report split = stage("split", 10, 25, 0);
  EXPECT_FALSE(split.adds_up());
  split.born = 15;
  EXPECT_TRUE(split.adds_up());
}

TEST(report, writes_json_with_its_keys_in_order) {
  EXPECT_EQ(
      orders().json(),
      R"({"pipeline": "orders", "run": 2, "exit": 3, "taken": 1000, "delivered": 997, )"
      R"("filtered": 0, "dead_lettered": 3, "dropped": 0, "returned": 0, "in_flight": 0, )"
      R"("retries": 7, "seconds": 12.340, "stages": [)"
      R"({"name": "charge", "in": 1000, "born": 0, "passed": 997, "filtered": 0, )"
      R"("dead_lettered": 3, "dropped": 0, "returned": 0, "in_flight": 0, "retries": 7, )"
      R"("workers": [{"id": 0, "items": 501, "failed": 9}, )"
      R"({"id": 1, "items": 499, "failed": 0}]}, )"
      R"({"name": "receipts", "in": 997, "born": 0, "passed": 997, "filtered": 0, )"
      R"("dead_lettered": 0, "dropped": 0, "returned": 0, "in_flight": 0, "retries": 0, )"
      R"("workers": []}], "dead_letters": [)"
      R"({"id": "main:8f3a:40960", "stage": "charge", "error": "card declined", "attempts": 5}, )"
      R"({"id": "main:8f3a:50000", "stage": "charge", "error": "timed out", "attempts": 5}, )"
      R"({"id": "main:8f3a:60000", "stage": "charge", "error": "card declined", "attempts": 1}]})");
}

TEST(report, writes_json_whatever_an_error_consists_of) {
  report odd = orders();
  odd.dead_letters = {{"a", "s", "said \"no\\\"\n\tand \x01, \xC3\xA4, \xFF, \xED\xA0\x80", 1}};
  const auto parsed = boost::json::parse(odd.json());
  EXPECT_EQ(
      parsed.at("dead_letters").at(0).at("error").as_string(),
      "said \"no\\\"\n\tand \x01, \xC3\xA4, \xEF\xBF\xBD, \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(report, lists_the_first_hundred_dead_letters_only) {
  report many = orders();
  many.dead_letters.assign(250, {"a", "charge", "no", 1});
  EXPECT_EQ(boost::json::parse(many.json()).at("dead_letters").as_array().size(), 100U);
}

TEST(report, reads_well_for_a_person) {
  EXPECT_EQ(
      orders().text(),
      "orders, run 2: exit 3 (finished, but some items were dead-lettered or dropped), 12.3 s\n"
      "\n"
      "  taken 1000\n"
      "  = delivered      997\n"
      "  + filtered         0\n"
      "  + dead_lettered    3\n"
      "  + dropped          0\n"
      "  + returned         0\n"
      "  retries 7\n"
      "\n"
      "  stage       in  passed  dead_lettered  retries  items of each worker\n"
      "  charge    1000     997              3        7  501 (9 failed)  499\n"
      "  receipts   997     997              0        0\n"
      "\n"
      "  failures\n"
      "  2 x  charge  card declined  (e.g. main:8f3a:40960)\n"
      "  1 x  charge  timed out  (e.g. main:8f3a:50000)\n");
}

TEST(report, shows_a_column_once_a_stage_has_something_in_it) {
  report stopped = orders();
  stopped.stages[1].settled = settled(0, 0, 0, 12);
  EXPECT_NE(stopped.text().find("dead_lettered  returned  retries"), std::string::npos);
}

TEST(report, says_when_it_knows_a_part_of_the_failures_only) {
  report many = orders();
  many.settled = settled(700, 0, 300);
  EXPECT_NE(many.text().find("failures (the first 3 of 300)\n"), std::string::npos);
  many.failures = {{"charge", "card declined", 300, "main:8f3a:40960"}};
  EXPECT_NE(many.text().find("failures\n  300 x  charge  card declined"), std::string::npos);
}

TEST(report, sums_up_a_crowd_of_workers) {
  report crowded = orders();
  crowded.stages[0].workers.clear();
  for (int id = 0; id < 64; ++id) {
    crowded.stages[0].workers.push_back({id, 10U + static_cast<std::uint64_t>(id % 3), 1});
  }
  EXPECT_NE(crowded.text().find("64 workers: 10 to 12 each (64 failed)"), std::string::npos);
}

TEST(report, says_why_a_run_failed) {
  report failed = orders();
  failed.exit_code = 1;
  failed.error = "receipts.db: the disk is full";
  EXPECT_TRUE(failed.text().starts_with(
      "orders, run 2: exit 1 (the run failed), 12.3 s\n  receipts.db: the disk is full\n"));
}

}  // namespace
}  // namespace brigade
