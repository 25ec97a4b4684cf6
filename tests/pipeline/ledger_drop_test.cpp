#include "pipeline/ledger_fixture.hpp"

#include <brigade/pipeline/ledger_reader.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace brigade {
namespace {

class ledger_drop_test : public ledger_test {
 protected:
  void record(std::vector<settlement> items) {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(std::move(items), one_file, {});
    account->end_run(report{});
  }
  /// `1 new`, ...: of all letters.
  std::string letters() {
    std::string result;
    letter_filter all;
    all.include_settled = true;
    for (const letter_row& each : ledger_reader(file_).dead_letters(all)) {
      result += std::to_string(each.number) +
                (each.replayed  ? " replayed"
                 : each.dropped ? " dropped"
                                : " new") +
                "\n";
    }
    return result;
  }
};

TEST_F(ledger_drop_test, drops_the_letters_it_is_given_and_no_other) {
  record(batch(dead(0, "no"), dead(10, "no"), dead(20, "no")));
  EXPECT_EQ(drop_letters(file_, std::array<std::uint64_t, 2>{1, 3}), 2u);
  EXPECT_EQ(letters(), "1 dropped\n2 new\n3 dropped\n");
  EXPECT_EQ(ledger_reader(file_).dead_letters({}).size(), 1u);
}

TEST_F(ledger_drop_test, leaves_what_was_replayed_or_dropped_or_is_not_there) {
  record(batch(dead(0, "no"), dead(10, "no")));
  {
    const auto account = ledger::open(options());
    account->begin_run();
    account->record(batch(replayed(2, settled(10))), {std::string(replay_partition)}, {});
    account->end_run(report{});
  }
  EXPECT_EQ(drop_letters(file_, std::array<std::uint64_t, 3>{1, 2, 99}), 1u);
  EXPECT_EQ(drop_letters(file_, std::array<std::uint64_t, 1>{1}), 0u);
  EXPECT_EQ(letters(), "1 dropped\n2 replayed\n");
}

TEST_F(ledger_drop_test, leaves_a_dropped_letter_in_its_items_history) {
  record(batch(dead(0, "card declined", "the payload")));
  drop_letters(file_, std::array<std::uint64_t, 1>{1});
  const item_history told = ledger_reader(file_).history("main:8f3a:0");
  ASSERT_EQ(told.outcomes.size(), 1u);
  EXPECT_EQ(told.outcomes[0].result, "dead_lettered");
  ASSERT_EQ(told.letters.size(), 1u);
  EXPECT_TRUE(told.letters[0].dropped);
  EXPECT_EQ(ledger_reader(file_).letter(1).payload, "the payload");
}

TEST_F(ledger_drop_test, is_refused_while_somebody_has_the_ledger_and_where_there_is_none) {
  record(batch(dead(0, "no")));
  {
    const auto held = ledger::open(options());
    EXPECT_THROW(drop_letters(file_, std::array<std::uint64_t, 1>{1}), ledger_error);
  }
  EXPECT_EQ(letters(), "1 new\n");
  EXPECT_THROW(drop_letters(folder_ / "none.db", std::array<std::uint64_t, 1>{1}), ledger_error);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "none.db"));
}

TEST_F(ledger_drop_test, a_letter_that_a_killed_replay_had_delivered_counts_as_replayed) {
  record(batch(dead(0, "no"), dead(10, "no")));
  drop_letters(file_, std::array<std::uint64_t, 1>{1});
  const auto account = ledger::open(options());
  const std::vector<partition_mark> in_the_sink = {
      partition_mark{one_file[0], mark_of(0, {})},
      partition_mark{std::string(replay_partition), mark_of(0, {{1, 2}})}};
  account->reconcile(in_the_sink);
  account->close();
  EXPECT_EQ(letters(), "1 replayed\n2 new\n");
}

}  // namespace
}  // namespace brigade
