#include "cli/failure_log.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::cli {
namespace {

class failures : public testing::Test {
 protected:
  void fail(const std::string& error, bool is_final = true, int attempts = 5) {
    failure_event event;
    event.stage = "charge";
    event.id = "main:8f3a:40960";
    event.error = error;
    event.attempts = attempts;
    event.final = is_final;
    log_.add(event);
  }

  std::vector<std::string> lines_;
  failure_log log_{[this](const std::string& line) { lines_.push_back(line); }};
};

TEST_F(failures, a_failure_says_where_what_and_what_became_of_the_item) {
  fail("card declined");
  fail("timed out", false, 1);
  fail("no such customer", true, 1);
  EXPECT_EQ(lines_,
            (std::vector<std::string>{
                "stage 'charge': main:8f3a:40960 dead-lettered after 5 attempts: card declined",
                "stage 'charge': main:8f3a:40960 failed at attempt 1, to be tried again: timed out",
                "stage 'charge': main:8f3a:40960 dead-lettered after 1 attempt: no such "
                "customer"}));
}

TEST_F(failures, what_is_dropped_is_no_dead_letter) {
  log_.add({.stage = "charge",
            .id = "a:1",
            .error = "no",
            .attempts = 2,
            .final = true,
            .is_dropped = true});
  EXPECT_EQ(lines_, std::vector<std::string>{"stage 'charge': a:1 dropped after 2 attempts: no"});
}

TEST_F(failures, after_ten_of_a_kind_they_are_counted) {
  for (int i = 0; i < 130; ++i) fail("order " + std::to_string(i) + " declined");
  fail("another kind");
  ASSERT_EQ(lines_.size(), 11u);
  EXPECT_EQ(lines_.at(9),
            "stage 'charge': main:8f3a:40960 dead-lettered after 5 attempts: order 9 "
            "declined (from now on, these are counted)");
  lines_.clear();
  log_.tick(9.9);
  EXPECT_TRUE(lines_.empty());
  log_.tick(10.1);
  EXPECT_EQ(lines_, std::vector<std::string>{"stage 'charge': dead-lettered: 120 more like this in "
                                             "the last 10 s: order 0 declined"});
  log_.tick(20);
  EXPECT_EQ(lines_.size(), 1u) << "nothing new, nothing said";
}

TEST_F(failures, the_end_sums_up_what_was_not_shown) {
  for (int i = 0; i < 12; ++i) fail("order " + std::to_string(i) + " declined");
  fail("another kind");
  lines_.clear();
  log_.end();
  EXPECT_EQ(lines_, std::vector<std::string>{"stage 'charge': dead-lettered: 12 in all, the first "
                                             "10 shown: order 0 declined"});
}

TEST_F(failures, errors_that_are_all_different_do_not_eat_the_memory) {
  std::string error = "x";
  for (int i = 0; i < 5000; ++i) {
    error = std::string(1 + static_cast<std::size_t>(i) % 50, static_cast<char>('a' + i % 26)) +
            std::string(static_cast<std::size_t>(i) / 50, 'z');
    fail(error);
  }
  EXPECT_LE(lines_.size(), 5000u);
  lines_.clear();
  log_.end();
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_NE(lines_.front().find("errors of many kinds"), std::string::npos);
}

TEST_F(failures, an_error_cannot_give_the_terminal_orders) {
  fail("bad\x1b[2J\nline");
  EXPECT_EQ(lines_,
            std::vector<std::string>{"stage 'charge': main:8f3a:40960 dead-lettered after 5 "
                                     "attempts: bad [2J line"});
}

TEST(error_shape, is_the_error_without_its_numbers) {
  EXPECT_EQ(error_shape("order 847 of 1000: 3.5s"), "order # of #: #.#s");
  EXPECT_EQ(error_shape(""), "");
}

}  // namespace
}  // namespace brigade::cli
