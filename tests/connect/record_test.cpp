#include <brigade/connect/record.hpp>
#include <brigade/pipeline/payload.hpp>
#include <brigade/pipeline/stage.hpp>

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace brigade {
namespace {

using namespace std::string_literals;

TEST(record, a_line_as_json_is_an_object_with_the_line) {
  EXPECT_EQ(record::line("GET / 200").json_text(), R"({"line":"GET / 200"})");
  EXPECT_EQ(record::line("a\"b\\c\td\x01\x7f").json_text(),
            "{\"line\":\"a\\\"b\\\\c\\td\\u0001\x7f\"}");
  EXPECT_EQ(record::line("").json_text(), R"({"line":""})");
}

TEST(record, json_keeps_its_bytes) {
  EXPECT_EQ(record::json("{\"n\": 1.50, \"big\":12345678901234567890}").json_text(),
            "{\"n\": 1.50, \"big\":12345678901234567890}");
}

TEST(record, a_line_that_is_not_utf8_is_no_json_and_says_where) {
  try {
    const std::string text = record::line("caf\xe9 au lait").json_text();
    FAIL() << text;
  } catch (const permanent_error& error) {
    EXPECT_STREQ(error.what(), "invalid UTF-8 at byte 4 of the line 'caf\\xe9 au lait'");
  }
}

TEST(record, a_failed_append_leaves_the_text_as_it_was) {
  std::string text = "before";
  EXPECT_THROW(record::line("\xff").append_json_text(text), permanent_error);
  EXPECT_EQ(text, "before");
}

TEST(record, a_cut_line_is_no_json) {
  EXPECT_THROW(static_cast<void>(record::cut("abc", 5'000'000, 12).json_text()), permanent_error);
}

TEST(record, reads_well_as_text) {
  EXPECT_EQ(text_of(record::line("GET / \"x\" \\ \t caf\xc3\xa9")),
            "line:GET / \"x\" \\ \t caf\xc3\xa9");
  EXPECT_EQ(text_of(record::line("caf\xe9 \\ \x01"s + "\0"s)), "bytes:caf\\xe9 \\\\ \\x01\\x00");
  EXPECT_EQ(text_of(record::json(R"({"total": 5})")), R"({"total": 5})");
  EXPECT_EQ(text_of(record::cut("GET", 5'000'000, 123)), "cut:5000000@123:GET");
}

TEST(record, is_found_by_its_payload) {
  const payload item(record::line("abc"));
  EXPECT_EQ(item.text(), "line:abc");
  EXPECT_GE(item.bytes(), 3U);
}

void expect_same(const record& before) {
  const record after = record::from_text(text_of(before));
  EXPECT_EQ(after.what(), before.what());
  EXPECT_EQ(after.raw(), before.raw());
  EXPECT_EQ(after.whole_bytes(), before.whole_bytes());
  EXPECT_EQ(after.offset(), before.offset());
}

TEST(record, reads_back_from_text_as_it_was) {
  for (const char* const line :
       {"", "x", "line:x", "bytes:\\x41", "cut:1@2:x", "{\"a\":1}", "\\xe9", "\\", "\\\\x41",
        "\xe9", "\xe9\\x41\\", "tab\tand \xe2\x82\xac", "\x7f", "cr\r"}) {
    expect_same(record::line(line));
    expect_same(record::cut(line, 70'000, 0));
  }
  expect_same(record::json(R"({"line":"x"})"));
  expect_same(record::json(R"("line:x")"));
  expect_same(record::json("12345678901234567890"));
}

TEST(record, reads_back_whatever_bytes_a_line_has) {
  std::mt19937 random(4711);
  for (int round = 0; round < 2000; ++round) {
    std::string line(random() % 12, '\0');
    for (char& c : line)
      c = round % 2 == 0 ? static_cast<char>(random()) : "\\x4a\xc3\xa9\n"[random() % 7];
    expect_same(record::line(line));
  }
}

TEST(valid_utf8, accepts_exactly_what_unicode_does) {
  for (const char* const good :
       {"", "ascii only, longer than eight", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
        "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "12345678\xe2\x82\xac"}) {
    EXPECT_TRUE(valid_utf8(good)) << good;
  }
  for (const char* const bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xe0\x9f\xbf",
                                "\xed\xa0\x80", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                "\xf5\x80\x80\x80", "\xff", "12345678\xe2\x82", "1234567\x80"}) {
    EXPECT_FALSE(valid_utf8(bad)) << bad;
  }
}

TEST(valid_utf8, names_the_first_bad_sequence) {
  EXPECT_EQ(valid_utf8_prefix("0123456789\xff"), 10U);
  EXPECT_EQ(valid_utf8_prefix("\xe2\x82\xac\xe2\x82"), 3U);
}

TEST(excerpt, stays_short_and_on_one_line) {
  EXPECT_EQ(excerpt("short"), "short");
  EXPECT_EQ(excerpt("two\nlines"), "two\\x0alines");
  EXPECT_EQ(excerpt("abcdef", 3), "abc...");
  EXPECT_EQ(excerpt("ab\xe2\x82\xac", 3), "ab...");
}

}  // namespace
}  // namespace brigade
