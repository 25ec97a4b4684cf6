#include "connect/text_lines.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

namespace brigade {
namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

struct given {
  std::string text;
  std::vector<std::size_t> cuts = {};  ///< where the stream is cut into chunks
  std::uint64_t offset = 0;
  std::uint64_t line_bytes_max = mib;
  blank_lines blanks = blank_lines::keep;
};

/// With a text of its own.
struct kept_line : text_line {
  explicit kept_line(const text_line& from)
      : text_line(from), owned(std::make_shared<const std::string>(from.text)) {
    text = *owned;
  }
  std::shared_ptr<const std::string> owned;
};

std::vector<kept_line> split(const given& from) {
  line_splitter splitter(from.offset, from.line_bytes_max, from.blanks);
  std::vector<kept_line> lines;
  std::size_t at = 0;
  const auto feed_to = [&](std::size_t end) {
    // A copy of the exact size, so that a sanitizer sees a step beyond the chunk.
    const std::vector<char> chunk(from.text.begin() + static_cast<std::ptrdiff_t>(at),
                                  from.text.begin() + static_cast<std::ptrdiff_t>(end));
    splitter.feed({chunk.data(), chunk.size()});
    while (auto line = splitter.next()) lines.emplace_back(*line);
    at = end;
  };
  for (const std::size_t cut : from.cuts) feed_to(cut);
  feed_to(from.text.size());
  if (auto last = splitter.finish()) lines.emplace_back(*last);
  EXPECT_EQ(splitter.offset(), from.offset + from.text.size());
  return lines;
}

std::string shown(const std::vector<kept_line>& lines) {
  std::string text;
  for (const kept_line& line : lines) {
    text += std::to_string(line.begin) + "-" + std::to_string(line.end) + (line.cut ? "!" : ":") +
            *line.owned + (line.cut ? "(" + std::to_string(line.bytes) + ")" : "") + "|";
  }
  return text;
}

TEST(line_splitter, gives_lines_with_their_offsets) {
  EXPECT_EQ(shown(split({.text = "a\nbc\n"})), "0-2:a|2-5:bc|");
  EXPECT_EQ(shown(split({.text = "a\nbc"})), "0-2:a|2-4:bc|");
  EXPECT_EQ(shown(split({.text = ""})), "");
  EXPECT_EQ(shown(split({.text = "\n\n"})), "0-1:|1-2:|");
  EXPECT_EQ(shown(split({.text = "a\nb", .offset = 100})), "100-102:a|102-103:b|");
}

TEST(line_splitter, one_carriage_return_belongs_to_the_newline) {
  EXPECT_EQ(shown(split({.text = "a\r\nb\r\r\n\r\nc\r"})), "0-3:a|3-7:b\r|7-9:|9-11:c\r|");
}

TEST(line_splitter, skips_a_byte_order_mark_at_the_beginning_of_a_file) {
  EXPECT_EQ(shown(split({.text = "\xEF\xBB\xBF"
                                 "a\n\xEF\xBB\xBF"
                                 "b\n"})),
            "0-5:a|5-10:\xEF\xBB\xBF"
            "b|");
  EXPECT_EQ(shown(split({.text = "\xEF\xBB\xBF"
                                 "a\n",
                         .offset = 9})),
            "9-14:\xEF\xBB\xBF"
            "a|");
  EXPECT_EQ(shown(split({.text = "\xEF\xBB\xBF"})), "");
  EXPECT_EQ(shown(split({.text = "\xEF\xBB\xBF\n"})), "0-4:|");
}

TEST(line_splitter, skipped_blank_lines_belong_to_the_item_behind_them) {
  EXPECT_EQ(shown(split({.text = "\n \t\r\n{}\n\n[]\n\n", .blanks = blank_lines::skip})),
            "0-8:{}|8-12:[]|");
  EXPECT_EQ(shown(split({.text = "  ", .blanks = blank_lines::skip})), "");
  const auto lines = split({.text = "\n{}\n", .blanks = blank_lines::skip});
  EXPECT_EQ(lines.at(0).start, 1U);
}

TEST(line_splitter, a_line_may_be_exactly_as_long_as_allowed) {
  EXPECT_EQ(shown(split({.text = "abcd\nabcde\nabcd\r\nabcd", .line_bytes_max = 4})),
            "0-5:abcd|5-11!abcde(5)|11-17:abcd|17-21:abcd|");
}

TEST(line_splitter, never_holds_a_line_that_is_too_long) {
  const std::string much(3 * mib, 'x');
  for (const std::size_t chunk : {std::size_t{1000}, std::size_t{1} << 20, much.size()}) {
    line_splitter splitter(0, mib, blank_lines::keep);
    for (std::size_t at = 0; at < much.size(); at += chunk) {
      splitter.feed(std::string_view(much).substr(at, chunk));
      EXPECT_FALSE(splitter.next().has_value());
    }
    splitter.feed("\nnext\n");
    const auto line = splitter.next();
    ASSERT_TRUE(line.has_value());
    EXPECT_TRUE(line->cut);
    EXPECT_EQ(line->bytes, much.size());
    EXPECT_EQ(line->text, much.substr(0, cut_line_bytes));
    EXPECT_EQ(line->end, much.size() + 1);
    EXPECT_EQ(splitter.next()->text, "next");
  }
}

TEST(line_splitter, chunks_make_no_difference) {
  std::mt19937 random(2026);
  const std::string alphabet = "ab \r\n\n\t\xEF\xBB\xBF";
  for (int round = 0; round < 5000; ++round) {
    given from;
    from.line_bytes_max = 1 + random() % 6;
    from.blanks = round % 2 == 0 ? blank_lines::keep : blank_lines::skip;
    from.offset = random() % 2 == 0 ? 0 : 10;
    const std::size_t length = random() % 40;
    if (random() % 4 == 0) from.text = "\xEF\xBB\xBF";
    for (std::size_t i = 0; i < length; ++i) from.text += alphabet[random() % alphabet.size()];
    const auto whole = split(from);
    for (std::size_t at = 0; at < from.text.size(); at += random() % 4) from.cuts.push_back(at);
    const auto pieces = split(from);
    ASSERT_EQ(shown(pieces), shown(whole)) << "round " << round;
    std::uint64_t end = from.offset;
    for (const text_line& line : whole) {
      ASSERT_EQ(line.begin, end);
      ASSERT_LT(line.begin, line.end);
      end = line.end;
    }
  }
}

// Against a splitter too simple to be wrong.
TEST(line_splitter, gives_every_byte_once) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    std::vector<std::string> expected;
    for (unsigned lines = random() % 8; lines-- > 0;) {
      std::string line(random() % 5, 'a');
      text += line + "\n";
      expected.push_back(std::move(line));
    }
    std::vector<std::string> got;
    for (const kept_line& line : split({.text = text})) got.push_back(*line.owned);
    ASSERT_EQ(got, expected);
  }
}

TEST(decode_line, takes_json_as_it_is_written) {
  text_line line;
  line.text = R"({"n": 1.50})";
  const auto decoded = decode_line(line_format::ndjson, line, mib);
  EXPECT_EQ(decoded.value.what(), record::shape::json);
  EXPECT_EQ(decoded.value.raw(), R"({"n": 1.50})");
  EXPECT_FALSE(decoded.undecodable.has_value());
}

TEST(decode_line, says_why_a_line_is_not_json) {
  const auto why = [](const std::string& text) {
    text_line line;
    line.text = text;
    const auto decoded = decode_line(line_format::ndjson, line, mib);
    EXPECT_EQ(decoded.value.raw(), text);
    EXPECT_EQ(decoded.value.what(), record::shape::line);
    return decoded.undecodable.value_or("fine");
  };
  EXPECT_EQ(why("not json"), "not JSON: expected a value at byte 1");
  EXPECT_EQ(why(R"({"a": "caf)"
                "\xe9\"}"),
            "not JSON: invalid UTF-8 at byte 11");
  EXPECT_EQ(why(R"({"a": 1}})"), "not JSON: unexpected text behind the value at byte 9");
}

TEST(decode_line, keeps_the_beginning_of_a_line_that_is_too_long) {
  auto lines = split({.text = "12345\n", .offset = 50, .line_bytes_max = 4});
  const auto decoded = decode_line(line_format::lines, lines.at(0), 4);
  EXPECT_EQ(decoded.undecodable, "line of 5 bytes is longer than max_line (4 bytes)");
  EXPECT_EQ(text_of(decoded.value), "cut:5@50:12345");
  lines.at(0).bytes = 2 * mib;
  EXPECT_EQ(decode_line(line_format::ndjson, lines.at(0), mib).undecodable,
            "line of 2097152 bytes is longer than max_line (1MiB)");
}

TEST(decode_again, judges_a_dead_letter_as_the_source_would) {
  const auto again = [](const record& value) {
    const auto decoded = decode_again(line_format::ndjson, record::from_text(text_of(value)), mib);
    return decoded.undecodable ? *decoded.undecodable : decoded.value.json_text();
  };
  EXPECT_EQ(again(record::line("nope")), "not JSON: expected a value at byte 1");
  EXPECT_EQ(again(record::line("[1]")), "[1]");
  EXPECT_EQ(again(record::json("[1]")), "[1]");
  EXPECT_EQ(again(record::cut("1", 2 * mib, 0)),
            "line of 2097152 bytes is longer than max_line (1MiB)");
}

}  // namespace
}  // namespace brigade
