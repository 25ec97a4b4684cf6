#include "cli/units.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::cli {
namespace {

using namespace std::chrono_literals;

template <class Parse>
std::string message_of(Parse parse, std::string_view text) {
  try {
    static_cast<void>(parse(text));
  } catch (const unit_error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(units, durations_are_a_whole_number_and_a_unit) {
  EXPECT_EQ(parse_duration("250ms"), 250ms);
  EXPECT_EQ(parse_duration("5s"), 5s);
  EXPECT_EQ(parse_duration("2m"), 2min);
  EXPECT_EQ(parse_duration("1h"), 1h);
  EXPECT_EQ(parse_duration("7d"), 168h);
  EXPECT_EQ(parse_duration("0s"), 0s);
  EXPECT_EQ(parse_duration("36500d"), 876'000h);
}

TEST(units, a_wrong_duration_says_what_was_expected) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"5", "'5' needs a unit: 5s, 500ms, 2m"},
      {"s", "'s' is not a duration: write a whole number and a unit, such as 5s, 500ms, 2m"},
      {"", "'' is not a duration: write a whole number and a unit, such as 5s, 500ms, 2m"},
      {"-5s", "'-5s' is not a duration: write a whole number and a unit, such as 5s, 500ms, 2m"},
      {"5 s", "'5 s' has no unit brigade knows: a duration is a whole number and ms, s, m, h or d"},
      {"5S", "'5S' has no unit brigade knows: a duration is a whole number and ms, s, m, h or d"},
      {"1.5s",
       "'1.5s' has no unit brigade knows: a duration is a whole number and ms, s, m, h or "
       "d"},
      {"1h30m",
       "'1h30m' has no unit brigade knows: a duration is a whole number and ms, s, m, h "
       "or d"},
      {"36501d", "'36501d' is too much: at most 36500d"},
      {"99999999999999999999999s", "'99999999999999999999999s' is too much: at most 36500d"},
  };
  for (const auto& [text, message] : table) EXPECT_EQ(message_of(parse_duration, text), message);
}

TEST(units, sizes_know_powers_of_1000_and_of_1024) {
  EXPECT_EQ(parse_size("512B"), 512u);
  EXPECT_EQ(parse_size("10MB"), 10'000'000u);
  EXPECT_EQ(parse_size("64KiB"), 65'536u);
  EXPECT_EQ(parse_size("1GiB"), 1u << 30);
  EXPECT_EQ(message_of(parse_size, "64"), "'64' needs a unit: 64KiB, 10MB, 1GiB");
  EXPECT_EQ(message_of(parse_size, "64K"),
            "'64K' has no unit brigade knows: a size is a whole number and B, KB, MB, GB, TB, KiB, "
            "MiB, GiB or TiB");
  EXPECT_EQ(message_of(parse_size, "9000000TiB"), "'9000000TiB' is too much: at most 8388607TiB");
}

TEST(units, rates_are_so_many_a_second_a_minute_or_an_hour) {
  EXPECT_EQ(parse_rate("100/s").items, 100U);
  EXPECT_EQ(parse_rate("100/s").per, 1s);
  EXPECT_EQ(parse_rate("6/m").items, 6U);
  EXPECT_EQ(parse_rate("6/m").per, 60s);
  EXPECT_EQ(parse_rate("10/h").per, 3600s);
  EXPECT_EQ(message_of(parse_rate, "1000000001/s"),
            "'1000000001/s' is more than 1000000000/s: leave the rate out");
  for (const char* wrong : {"100", "/s", "0/s", "100/d", "100 /s", "-1/s", ""}) {
    EXPECT_EQ(message_of(parse_rate, wrong),
              "'" + std::string(wrong) + "' is not a rate: write 100/s, 600/m or 10/h");
  }
}

TEST(units, ranges_have_two_ends_the_lower_first) {
  EXPECT_EQ(parse_duration_range("200ms..30s").min, 200ms);
  EXPECT_EQ(parse_duration_range("200ms..30s").max, 30s);
  EXPECT_EQ(message_of(parse_duration_range, "200ms"),
            "'200ms' is not a range: write both ends, such as 200ms..30s");
  EXPECT_EQ(message_of(parse_duration_range, "30s..200ms"),
            "'30s..200ms' is a range from more to less: turn it round");
  EXPECT_EQ(message_of(parse_duration_range, "200..30s"), "'200' needs a unit: 5s, 500ms, 2m");
}

TEST(units, percentages_end_at_100) {
  EXPECT_DOUBLE_EQ(parse_percentage("5%"), 0.05);
  for (const char* wrong : {"5", "101%", "-5%", "%", "5 %"}) {
    EXPECT_EQ(message_of(parse_percentage, wrong),
              "'" + std::string(wrong) + "' is not a percentage: write 0% to 100%");
  }
}

TEST(units, integers_are_digits_and_nothing_else) {
  EXPECT_EQ(parse_integer("-17"), -17);
  EXPECT_EQ(message_of(parse_integer, "17x"), "'17x' is not a whole number");
  EXPECT_EQ(message_of(parse_integer, "1e3"), "'1e3' is not a whole number");
  EXPECT_EQ(message_of(parse_integer, "99999999999999999999"),
            "'99999999999999999999' is too large a number");
}

TEST(units, are_written_in_the_largest_that_gives_a_whole_number) {
  for (const char* text : {"0ms", "250ms", "1500ms", "5s", "90s", "2m", "1h", "36h", "7d"}) {
    EXPECT_EQ(duration_text(parse_duration(text)), text);
  }
  for (const char* text : {"0B", "1023B", "64KiB", "10MB", "1GiB", "1TB"}) {
    EXPECT_EQ(size_text(parse_size(text)), text);
  }
}

}  // namespace
}  // namespace brigade::cli
