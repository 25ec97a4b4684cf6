#include "cli/progress.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::cli {
namespace {

progress_snapshot half_way() {
  progress_snapshot now;
  now.taken = 6184;
  now.delivered = 6000;
  now.filtered = 117;
  now.dead_lettered = 3;
  now.in_flight = 64;
  now.retrying = 2;
  now.rate = 1234.4;
  now.bytes_done = 500;
  now.bytes_total = 1000;
  now.seconds = 72.9;
  return now;
}

/// Collects what would go to stderr.
struct screen {
  std::vector<std::string> writes;
  std::size_t columns = 80;

  progress_output output(bool is_terminal) {
    progress_output result;
    result.write = [this](std::string_view text) { writes.emplace_back(text); };
    result.width = [this] { return columns; };
    result.is_terminal = is_terminal;
    return result;
  }
};

TEST(progress, a_bar_shows_how_far_how_fast_and_what_went_wrong) {
  EXPECT_EQ(progress_bar("orders", half_way(), 200),
            "orders  [##########----------]   50%  6120 done  1234/s  in flight 64  failed 3  "
            "retrying 2  1:12  ETA 1:13");
}

TEST(progress, the_end_is_foretold_from_the_pace_of_this_run_alone) {
  progress_snapshot now = half_way();
  now.bytes_before = 400;
  now.seconds = 10;
  EXPECT_EQ(progress_bar("orders", now, 200),
            "orders  [##########----------]   50%  6120 done  1234/s  in flight 64  failed 3  "
            "retrying 2  0:10  ETA 0:50");
  EXPECT_EQ(progress_line("orders", now),
            "orders: 6120 done (50%), 1234/s, in flight 64, failed 3, retrying 2, 0:10, ETA 0:50");
  now.bytes_done = 400;
  EXPECT_EQ(progress_line("orders", now).find("ETA"), std::string::npos);
}

TEST(progress, without_a_known_size_there_is_no_share_and_no_end) {
  progress_snapshot now = half_way();
  now.bytes_total.reset();
  now.retrying = 0;
  now.seconds = 3723;
  EXPECT_EQ(progress_bar("orders", now, 200),
            "orders  6120 done  1234/s  in flight 64  failed 3  1:02:03");
}

TEST(progress, a_narrow_terminal_loses_what_matters_least_first) {
  EXPECT_EQ(progress_bar("orders", half_way(), 80),
            "orders   50%  6120 done  1234/s  in flight 64  failed 3  1:12  ETA 1:13");
  EXPECT_EQ(progress_bar("orders", half_way(), 40), " 50%  6120 done  1234/s  failed 3");
  EXPECT_EQ(progress_bar("orders", half_way(), 10), "6120 done");
}

TEST(progress, the_bar_is_never_wider_than_asked) {
  for (std::size_t width = 0; width < 130; ++width) {
    EXPECT_LE(progress_bar("a-rather-long-name", half_way(), width).size(), width);
  }
}

TEST(progress, a_source_that_grew_is_done_and_not_more) {
  progress_snapshot now = half_way();
  now.bytes_done = 2000;
  EXPECT_NE(progress_bar("orders", now, 200).find("100%"), std::string::npos);
}

TEST(progress, the_live_line_is_redrawn_in_place_and_cleared) {
  screen shown;
  {
    progress_display display(progress_mode::automatic, "orders", shown.output(true));
    display.update(half_way());
    display.log("something happened");
  }
  const std::string bar = progress_bar("orders", half_way(), 79);
  EXPECT_EQ(shown.writes, (std::vector<std::string>{
                              "\r\x1b[K" + bar, "\r\x1b[Ksomething happened\n" + bar, "\r\x1b[K"}));
}

TEST(progress, without_a_terminal_there_is_a_line_every_ten_seconds) {
  screen shown;
  progress_display display(progress_mode::automatic, "orders", shown.output(false));
  progress_snapshot now = half_way();
  for (const double seconds : {0.0, 9.9, 10.0, 15.0, 19.9, 31.0, 39.0, 40.0}) {
    now.seconds = seconds;
    display.update(now);
  }
  display.log("something happened");
  ASSERT_EQ(shown.writes.size(), 4u);
  EXPECT_EQ(
      shown.writes.at(0),
      "orders: 6120 done (50%), 1234/s, in flight 64, failed 3, retrying 2, 0:10, ETA 0:10\n");
  EXPECT_NE(shown.writes.at(1).find("0:31"), std::string::npos);
  EXPECT_NE(shown.writes.at(2).find("0:40"), std::string::npos);
  EXPECT_EQ(shown.writes.at(3), "something happened\n");
}

TEST(progress, none_writes_the_log_only) {
  screen shown;
  progress_display display(progress_mode::none, "orders", shown.output(true));
  display.update(half_way());
  EXPECT_TRUE(shown.writes.empty());
  display.log("something happened");
  EXPECT_EQ(shown.writes, std::vector<std::string>{"something happened\n"});
}

}  // namespace
}  // namespace brigade::cli
