#include "pipeline/letter_file.hpp"

#include "pipeline/failing_vfs.hpp"
#include "pipeline/ledger_fixture.hpp"

#include <brigade/pipeline/ledger.hpp>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace brigade {
namespace {

class letter_file_test : public ledger_test {
 protected:
  [[nodiscard]] ledger_options with_letters(std::uint64_t bytes_max = 0) const {
    ledger_options result = options();
    result.letters = letters();
    result.letters_bytes_max = bytes_max;
    return result;
  }
  [[nodiscard]] std::filesystem::path letters() const { return folder_ / "dead.ndjson"; }
  [[nodiscard]] std::string lines() const {
    std::ostringstream text;
    text << std::ifstream(letters()).rdbuf();
    return text.str();
  }
};

TEST_F(letter_file_test, a_letter_is_a_line_with_its_payload_as_it_is) {
  settlement bad = dead(40, "card declined", R"({"order": 847})");
  bad.business_id = "o-847";
  run_through(with_letters(), batch(std::move(bad)), batch(settled(80)));
  const std::string text = lines();
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
  EXPECT_NE(text.find(R"("business_id": "o-847", "run": 1, "stage": "charge")"), text.npos) << text;
  EXPECT_NE(text.find(R"("item": {"order": 847})"), text.npos) << text;
  EXPECT_NE(text.find(R"("source_item": "source of {\"order\": 847}"})"), text.npos) << text;
  EXPECT_EQ(query("SELECT count(*) FROM dead_letters"), "1\n");
}

TEST_F(letter_file_test, what_is_no_json_or_has_line_breaks_is_still_one_line) {
  run_through(with_letters(), batch(dead(40, "bad", "no json\nat all\xff"),
                                    dead(80, "bad", "{\n \"order\":\n 1 }")));
  const std::string text = lines();
  EXPECT_EQ(std::ranges::count(text, '\n'), 2);
  EXPECT_NE(text.find(R"("item": "no json\nat all)"
                      "\xEF\xBF\xBD\""),
            text.npos)
      << text;
  EXPECT_NE(text.find(R"("item": {  "order":  1 })"), text.npos) << text;
}

TEST_F(letter_file_test, only_its_owner_may_read_it) {
  run_through(with_letters(), batch(dead(40, "bad", "1")));
  EXPECT_EQ(std::filesystem::status(letters()).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(letter_file_test, a_file_at_its_limit_holds_everything_up_until_it_is_moved_away) {
  const auto account = ledger::open(with_letters(500));
  heard from(*account);
  account->begin_run();
  account->record(batch(dead(40, "bad", "1")), one_file, {});
  from.wait_durable(1);
  account->record(batch(dead(80, "bad", std::string(100, '2'))), one_file, {});
  from.wait_full(1);
  EXPECT_EQ(from.durable(), 1U);
  EXPECT_EQ(query("SELECT count(*) FROM dead_letters"), "1\n");
  std::filesystem::rename(letters(), folder_ / "dead.old.ndjson");
  from.wait_durable(2);
  EXPECT_EQ(std::ranges::count(lines(), '\n'), 1);
  ASSERT_EQ(from.full().size(), 2U);
  EXPECT_NE(from.full()[0].find("has reached its limit of 500 bytes"), std::string::npos);
  EXPECT_EQ(from.full()[1], "");
  account->end_run(report{});
}

TEST_F(letter_file_test, an_empty_file_takes_letters_that_are_larger_than_its_limit) {
  run_through(with_letters(50), batch(dead(40, "bad", R"({"order": 847})")));
  EXPECT_EQ(std::ranges::count(lines(), '\n'), 1);
}

TEST_F(letter_file_test, what_is_no_regular_file_is_refused_at_once) {
  ASSERT_EQ(::mkfifo(letters().c_str(), 0600), 0);
  ledger_options device = options();
  device.letters = "/dev/null";
  for (const ledger_options& odd : {with_letters(), device}) {
    try {
      static_cast<void>(ledger::open(odd));
      ADD_FAILURE() << odd.letters << " was taken for a file";
    } catch (const ledger_error& refused) {
      EXPECT_EQ(refused.what(),
                odd.letters.string() + ", the file of dead letters, is no regular file; name one");
    }
  }
}

TEST_F(letter_file_test, a_file_that_was_moved_away_is_begun_again) {
  const auto account = ledger::open(with_letters());
  heard from(*account);
  account->begin_run();
  account->record(batch(dead(40, "bad", "1")), one_file, {});
  from.wait_durable(1);
  std::filesystem::rename(letters(), folder_ / "dead.old.ndjson");
  account->record(batch(dead(80, "bad", "2")), one_file, {});
  from.wait_durable(2);
  EXPECT_NE(lines().find(R"("item": 2)"), std::string::npos) << lines();
  account->end_run(report{});
}

TEST_F(letter_file_test, half_a_letter_that_a_crash_left_is_not_run_into) {
  std::filesystem::create_directories(folder_);
  const std::string whole = R"({"id": "main:8f3a:0"})";
  const std::string half = R"({"id": "main:8f3a:10", "stage": ")" + std::string(100'000, 'x');
  struct {
    std::string before, after;
  } const cases[] = {{whole + "\n" + half, whole + "\n"},
                     {half, ""},
                     {R"({"i)", ""},
                     {whole + "\n" + whole, whole + "\n" + whole + "\n"},
                     {"somebody's notes", "somebody's notes\n"}};
  std::uint64_t position = 0;
  for (const auto& [before, after] : cases) {
    std::ofstream(letters()) << before;
    run_through(with_letters(), batch(dead(position += 10, "bad", "1")));
    const std::string text = lines();
    EXPECT_TRUE(text.starts_with(after + R"({"id": "main:8f3a:)" + std::to_string(position)))
        << text.substr(0, 200);
  }
}

TEST_F(letter_file_test, a_letter_that_the_ledger_has_no_room_for_leaves_no_line) {
  ledger_options small = with_letters();
  small.bytes_max = 200 * 1024;
  const auto account = ledger::open(small);
  heard from(*account);
  account->begin_run();
  account->record(batch(dead(40, "bad", std::string(400 * 1024, '2'))), one_file, {});
  from.wait_full(1);
  account->hurry();
  from.wait_failed();
  EXPECT_EQ(lines(), "");
}

// What was not synced may be there all the same when the ledger is opened again.
TEST_F(letter_file_test, a_line_stays_where_nobody_knows_whether_the_ledger_has_its_letter) {
  const failing_vfs disk;
  const auto account = ledger::open(with_letters());
  heard from(*account);
  account->begin_run();
  account->record(batch(dead(40, "bad", "1")), one_file, {});
  from.wait_durable(1);
  const std::string before = lines();
  failing_vfs::fail_syncs();
  account->record(batch(dead(80, "bad", "2")), one_file, {});
  from.wait_failed();
  EXPECT_NE(before, "");
  EXPECT_TRUE(lines().starts_with(before));
  EXPECT_GT(lines().size(), before.size());
}

TEST_F(letter_file_test, what_is_taken_back_is_taken_from_the_file_it_went_to) {
  ledger_detail::letter_file file(letters(), 0);
  file.append("one\n");
  const std::filesystem::path old = folder_ / "dead.old.ndjson";
  std::filesystem::rename(letters(), old);
  std::ofstream(letters()) << "somebody else's\n";
  file.take_back();
  EXPECT_EQ(lines(), "somebody else's\n");
  EXPECT_EQ(std::filesystem::file_size(old), 0U);
}

TEST_F(letter_file_test, a_file_that_cannot_be_made_is_refused_at_once) {
  ledger_options wrong = with_letters();
  wrong.letters = folder_ / "nowhere" / "dead.ndjson";
  EXPECT_NE(refusal(wrong).find("cannot open"), std::string::npos) << refusal(wrong);
}

}  // namespace
}  // namespace brigade
