#include "cli/verbs.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace brigade::cli {
namespace {

/// A ledger of one run: an order that was delivered, and one that failed twice.
class ledger_verbs : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "brigade-verbs-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ / "orders.ledger.db";
    ledger_options options(path_, "orders");
    const auto book = ledger::open(options);
    book->reconcile({});
    static_cast<void>(book->begin_run());
    std::vector<settlement> batch;
    batch.push_back(settled(0, outcome::delivered));
    batch.push_back(settled(40, outcome::dead_lettered));
    batch.back().business_id = "o-847";
    batch.back().stage = "charge";
    batch.back().attempts = 1;
    batch.back().error = "card declined";
    batch.back().failed_attempts.push_back(
        attempt_record{"charge", 1, 3, "card declined", batch.back().settled_at});
    batch.back().dead = std::make_unique<letter>();
    batch.back().dead->payload = R"({"id":847,"checked":true})";
    batch.back().dead->source_payload = R"({"id":847})";
    static_cast<void>(book->record(std::move(batch), {"main:8f3a"}, {}));
    brigade::report account;
    account.pipeline = "orders";
    account.run = 1;
    account.exit_code = 3;
    account.taken = 2;
    account.settled[static_cast<std::size_t>(outcome::delivered)] = 1;
    account.settled[static_cast<std::size_t>(outcome::dead_lettered)] = 1;
    book->end_run(account);
    book->close();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static settlement settled(std::uint64_t begin, outcome result) {
    settlement one;
    one.id = "main:8f3a:" + std::to_string(begin);
    one.begin = begin;
    one.end = begin + 40;
    one.result = result;
    one.taken_at = one.settled_at = std::chrono::system_clock::from_time_t(1'800'000'000);
    return one;
  }

  int explain(const std::string& item) {
    explain_options options;
    options.ledger = path_;
    options.item = item;
    out_.str("");
    err_.str("");
    return explain_verb(options, out_, err_);
  }

  std::filesystem::path folder_;
  std::filesystem::path path_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(ledger_verbs, report_shows_the_account_of_the_last_run) {
  report_options options;
  options.ledger = path_;
  EXPECT_EQ(report_verb(options, out_), 0);
  EXPECT_NE(out_.str().find("card declined"), std::string::npos) << out_.str();
}

TEST_F(ledger_verbs, explain_tells_a_failed_items_history_and_what_to_do) {
  EXPECT_EQ(explain("o-847"), 0);
  EXPECT_EQ(out_.str(),
            "run 1: main:8f3a:40 dead_lettered at stage 'charge' after 1 attempt: card declined\n"
            "  business id  o-847\n"
            "  taken        2027-01-15T08:00:00.000Z\n"
            "  settled      2027-01-15T08:00:00.000Z\n"
            "  attempt 1    2027-01-15T08:00:00.000Z  stage 'charge', worker 3: card declined\n"
            "dead letter 1: main:8f3a:40 at stage 'charge', not replayed\n"
            "  see it:  brigade dlq show " +
                path_.string() +
                " main:8f3a:40\n"
                "  replay:  brigade dlq replay " +
                path_.string() + " main:8f3a:40\n");
}

TEST_F(ledger_verbs, explain_of_an_item_nobody_knows_fails) {
  EXPECT_EQ(explain("o-848"), 1);
  EXPECT_EQ(err_.str(), path_.string() + ": o-848: the ledger has never heard of it\n");
  EXPECT_EQ(explain("main:8f3a:80"), 0);
  EXPECT_EQ(out_.str(), "main:8f3a:80: unfinished: not taken yet, in work, or returned\n");
}

TEST_F(ledger_verbs, dlq_ls_has_a_line_for_each_letter_that_matches) {
  dlq_list_options options;
  options.ledger = path_;
  EXPECT_EQ(dlq_list_verb(options, out_), 0);
  EXPECT_EQ(out_.str(),
            "id            stage   attempts  business id  error\n"
            "main:8f3a:40  charge         1  o-847        card declined\n");
  out_.str("");
  options.which.stage = "validate";
  EXPECT_EQ(dlq_list_verb(options, out_), 0);
  EXPECT_EQ(out_.str(), "no dead letters\n");
}

TEST_F(ledger_verbs, dlq_show_has_the_payload_as_it_was_there_and_at_the_source) {
  dlq_show_options options;
  options.ledger = path_;
  options.which.ids = {"o-847"};
  EXPECT_EQ(dlq_show_verb(options, out_), 0);
  EXPECT_EQ(out_.str(),
            "main:8f3a:40\n"
            "  business id  o-847\n"
            "  stage        charge, 1 attempt\n"
            "  error        card declined\n"
            "  failed       2027-01-15T08:00:00.000Z, run 1\n"
            "  payload      {\"id\":847,\"checked\":true}\n"
            "  at source    {\"id\":847}\n");
}

TEST_F(ledger_verbs, dlq_drop_gives_letters_up_and_explain_says_so) {
  dlq_drop_options options;
  options.ledger = path_;
  options.which.stage = "validate";
  EXPECT_EQ(dlq_drop_verb(options, out_, err_), 0);
  EXPECT_EQ(out_.str(), "dropped 0 dead letters\n");
  options.which.stage.clear();
  options.which.ids = {"o-847", "o-848"};
  out_.str("");
  EXPECT_EQ(dlq_drop_verb(options, out_, err_), 1);
  EXPECT_EQ(out_.str(), "dropped 1 dead letter\n");
  EXPECT_EQ(err_.str(), path_.string() + ": there is no such dead letter to drop: o-848\n");
  EXPECT_EQ(explain("o-847"), 0);
  EXPECT_NE(out_.str().find("dead letter 1: main:8f3a:40 at stage 'charge', dropped\n"),
            std::string::npos)
      << out_.str();
  EXPECT_EQ(out_.str().find("replay:"), std::string::npos);
  out_.str("");
  EXPECT_EQ(dlq_list_verb({path_, {}}, out_), 0);
  EXPECT_EQ(out_.str(), "no dead letters\n");
}

TEST_F(ledger_verbs, a_ledger_that_is_not_there_is_an_error) {
  report_options options;
  options.ledger = folder_ / "nothing.db";
  EXPECT_THROW(static_cast<void>(report_verb(options, out_)), ledger_error);
}

TEST_F(ledger_verbs, replay_needs_to_know_the_pipeline_file) {
  replay_options options;
  options.ledger = path_;
  const registry none;
  EXPECT_THROW(static_cast<void>(dlq_replay_verb(options, none)), std::runtime_error);
  options.pipeline = (folder_ / "absent.yaml").string();
  EXPECT_THROW(static_cast<void>(dlq_replay_verb(options, none)), invalid_pipeline);
}

}  // namespace
}  // namespace brigade::cli
