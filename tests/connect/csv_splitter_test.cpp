#include "connect/file_csv.hpp"

#include <brigade/connect/record.hpp>

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade {
namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

struct given {
  std::string text;
  std::vector<std::size_t> cuts = {};  ///< where the stream is cut into chunks
  std::uint64_t offset = 0;
  std::uint64_t row_bytes_max = mib;
};

std::string shown(const text_line& row) {
  return std::to_string(row.begin) + "-" + std::to_string(row.end) + (row.cut ? "!" : ":") +
         std::string(row.text) + (row.cut ? "(" + std::to_string(row.bytes) + ")" : "") + "|";
}

std::string split(const given& from) {
  csv_splitter splitter(from.offset, from.row_bytes_max);
  std::string rows;
  std::size_t at = 0;
  const auto feed_to = [&](std::size_t end) {
    const std::vector<char> chunk(from.text.begin() + static_cast<std::ptrdiff_t>(at),
                                  from.text.begin() + static_cast<std::ptrdiff_t>(end));
    splitter.feed({chunk.data(), chunk.size()});
    while (const auto row = splitter.next()) rows += shown(*row);
    at = end;
  };
  for (const std::size_t cut : from.cuts) feed_to(cut);
  feed_to(from.text.size());
  if (const auto last = splitter.finish()) rows += shown(*last);
  EXPECT_EQ(splitter.offset(), from.offset + from.text.size());
  return rows;
}

TEST(csv_splitter, a_newline_in_quotes_ends_no_row) {
  EXPECT_EQ(split({.text = "a,b\n\"x\ny\",2\n3,\"\n\"\"\n\""}),
            "0-4:a,b|4-12:\"x\ny\",2|12-20:3,\"\n\"\"\n\"|");
}

TEST(csv_splitter, one_carriage_return_belongs_to_the_newline) {
  EXPECT_EQ(split({.text = "a\r\n\"b\r\n\"\r\nc\r\r\nd\r"}),
            "0-3:a|3-10:\"b\r\n\"|10-14:c\r|14-16:d\r|");
}

TEST(csv_splitter, empty_lines_belong_to_the_row_behind_them) {
  EXPECT_EQ(split({.text = "\n\r\na\n\n\"\"\n\n"}), "0-5:a|5-9:\"\"|");
}

TEST(csv_splitter, a_byte_order_mark_is_no_part_of_the_first_field) {
  EXPECT_EQ(split({.text = "\xEF\xBB\xBF\"a\n\",1\nb\n"}), "0-10:\"a\n\",1|10-12:b|");
  EXPECT_EQ(split({.text = "\xEF\xBB\xBF"}), "");
}

TEST(csv_splitter, a_quote_opens_only_where_a_field_begins) {
  EXPECT_EQ(split({.text = "5\" pipe,a\"\nb\n"}), "0-11:5\" pipe,a\"|11-13:b|");
  EXPECT_EQ(split({.text = "\"a\"x\"\nb\n"}), "0-6:\"a\"x\"|6-8:b|");
}

TEST(csv_splitter, a_quote_never_closed_ends_with_the_line_on_which_the_row_is_too_long) {
  EXPECT_EQ(split({.text = "a,\"b\nc\nd\ne\nf,g\nh\n", .row_bytes_max = 4}),
            "0-11!a,\"b\nc\nd\ne(10)|11-15:f,g|15-17:h|");
  EXPECT_EQ(split({.text = "a,\"b\nc\n"}), "0-7:a,\"b\nc\n|");
}

TEST(csv_splitter, never_holds_a_row_that_is_too_long) {
  std::string much = "1,\"" + std::string(3 * mib, 'x') + "\n2,y\n3,\"z\"\n";
  const std::uint64_t end = 3 * mib + 4;
  for (const std::size_t chunk : {std::size_t{1000}, std::size_t{1} << 20, much.size()}) {
    csv_splitter splitter(0, mib);
    std::vector<std::string> rest;
    for (std::size_t at = 0; at < much.size(); at += chunk) {
      splitter.feed(std::string_view(much).substr(at, chunk));
      while (const auto row = splitter.next()) {
        if (!row->cut) {
          rest.push_back(shown(*row));
          continue;
        }
        EXPECT_EQ(row->bytes, end - 1);
        EXPECT_EQ(row->end, end);
        EXPECT_EQ(row->text, much.substr(0, cut_line_bytes));
      }
    }
    EXPECT_EQ(rest, (std::vector<std::string>{
                        std::to_string(end) + "-" + std::to_string(end + 4) + ":2,y|",
                        std::to_string(end + 4) + "-" + std::to_string(end + 10) + ":3,\"z\"|"}));
  }
}

TEST(csv_splitter, chunks_make_no_difference) {
  std::mt19937 random(2026);
  const std::string alphabet = "ab,,\"\"\"\r\n\n\xEF\xBB\xBF";
  for (int round = 0; round < 20000; ++round) {
    given from;
    from.row_bytes_max = 1 + random() % 12;
    from.offset = random() % 2 == 0 ? 0 : 10;
    const std::size_t length = random() % 40;
    if (random() % 4 == 0) from.text = "\xEF\xBB\xBF";
    for (std::size_t i = 0; i < length; ++i) from.text += alphabet[random() % alphabet.size()];
    const std::string whole = split(from);
    for (std::size_t at = random() % 4; at < from.text.size(); at += 1 + random() % 5) {
      from.cuts.push_back(at);
    }
    ASSERT_EQ(split(from), whole) << "round " << round << " of seed 2026";
  }
}

/// The items of a source: `offset json`, or `offset !why`.
std::vector<std::string> items(const std::string& text, const csv_format& format,
                               std::uint64_t offset = 0) {
  csv_reader reader(offset, mib, format);
  std::vector<std::string> found;
  const auto keep = [&](const text_line& row) {
    const std::uint64_t begin = row.begin;
    const decoded_line decoded = reader.decode(row);
    found.push_back(
        std::to_string(begin) + " " +
        (decoded.undecodable ? "!" + *decoded.undecodable : std::string(decoded.value.raw())));
  };
  while (reader.offset() < text.size()) {
    reader.feed(std::string_view(text).substr(reader.offset(), 7));
    while (const auto row = reader.next()) keep(*row);
  }
  if (const auto row = reader.finish()) keep(*row);
  return found;
}

using texts = std::vector<std::string>;

TEST(csv_reader, the_first_row_names_the_columns_and_belongs_to_the_item_behind_it) {
  EXPECT_EQ(items("id,x\n1,a\n2,\"b\nc\"\n3\n", {}),
            (texts{R"(0 {"id":"1","x":"a"})", R"(9 {"id":"2","x":"b\nc"})",
                   "17 !1 field in a row of 2 columns"}));
  EXPECT_EQ(items("id,x\n", {}), texts{});
  EXPECT_EQ(items("id,x", {}), texts{});
  EXPECT_EQ(items("", {}), texts{});
}

TEST(csv_reader, knows_the_header_wherever_it_resumes) {
  const std::string text = "\xEF\xBB\xBF\n\"i\nd\",x\n1,a\n\n2,\"b\nc\"\n3,d";
  const texts all = items(text, {});
  ASSERT_EQ(all.size(), 3U);
  for (std::size_t i = 1; i < all.size(); ++i) {
    EXPECT_EQ(items(text, {}, std::stoull(all[i])),
              texts(all.begin() + static_cast<int>(i), all.end()));
  }
  EXPECT_EQ(items(text, {}, text.size()), texts{});
}

TEST(csv_reader, without_a_header_columns_may_be_given) {
  csv_format format;
  format.header = false;
  EXPECT_EQ(items("1,a\n2\n", format), (texts{R"(0 ["1","a"])", R"(4 ["2"])"}));
  format.columns = {"id", "x"};
  format.types = {{"id", value_type::integer}};
  EXPECT_EQ(items("1,a\nb,2\n3\n", format),
            (texts{R"(0 {"id":1,"x":"a"})", "4 !'id' is not an integer: 'b'",
                   "8 !1 field in a row of 2 columns"}));
}

std::string header_error(const std::string& text, const csv_format& format = {}) {
  try {
    items(text, format);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

TEST(csv_reader, a_header_that_is_none_is_an_error) {
  EXPECT_EQ(header_error("a,\"b\"c\n1,2\n"),
            "its header is no CSV: field 2 goes on behind its closing quote");
  EXPECT_EQ(header_error("a,\"b\n1,2\n"),
            "its header is no CSV: the quote of field 2 is never closed");
  EXPECT_EQ(header_error("a,\xff\n1,2\n"), "its header is no CSV: invalid UTF-8");
  const std::string endless(2 * mib, 'a');
  EXPECT_EQ(header_error(endless + "\n"), "its header is longer than max_line");
  csv_format format;
  format.types = {{"b", value_type::integer}};
  EXPECT_EQ(header_error("a\n1\n", format),
            "its header does not fit 'types': there is no column 'b'");
}

TEST(csv_reader, a_row_from_a_dead_letter_is_read_again_where_its_columns_are_known) {
  csv_format format;
  const auto again = [&](const record& value) {
    const decoded_line decoded = decode_csv_again(format, value, 10);
    return decoded.undecodable ? "!" + *decoded.undecodable : text_of(decoded.value);
  };
  EXPECT_EQ(again(record::json(R"({"a":1})")), R"({"a":1})");
  EXPECT_EQ(again(record::line("1,2")).substr(0, 31), "!a row of CSV that could not be");
  EXPECT_EQ(again(record::cut("1,2", 500, 0)),
            "!line of 500 bytes is longer than max_line (10 bytes)");
  format.header = false;
  EXPECT_EQ(again(record::line("1,2")), R"(["1","2"])");
  format.columns = {"a"};
  EXPECT_EQ(again(record::line("1,2")), "!2 fields in a row of 1 column");
}

}  // namespace
}  // namespace brigade
