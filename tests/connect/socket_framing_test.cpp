#include "connect/socket_framing.hpp"

#include "connect/socket_format.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace brigade {
namespace {

using texts = std::vector<std::string>;

// The frames of a stream that comes in chunks of so many bytes; `cut N` for one that was.
texts frames(socket_framing how, const std::string& stream, std::size_t chunk = 1 << 20,
             std::uint64_t bytes_max = 1000) {
  frame_splitter splitter(how, bytes_max);
  texts found;
  const auto add = [&](const socket_frame& frame) {
    found.push_back(frame.cut ? "cut " + std::to_string(frame.whole_bytes)
                              : std::string(frame.bytes));
  };
  for (std::size_t at = 0; at < stream.size(); at += chunk) {
    const std::string piece = stream.substr(at, chunk);
    splitter.feed(piece);
    while (const auto frame = splitter.next()) add(*frame);
  }
  if (const auto last = splitter.finish()) add(*last);
  if (splitter.unfinished() != 0) {
    found.push_back("unfinished " + std::to_string(splitter.unfinished()));
  }
  return found;
}

std::string with_length(const std::string& text) {
  const std::size_t size = text.size();
  std::string head;
  for (const int shift : {24, 16, 8, 0}) head.push_back(static_cast<char>(size >> shift & 0xFF));
  return head + text;
}

TEST(socket_framing, lines_end_at_a_newline_and_the_last_one_with_the_stream) {
  EXPECT_EQ(frames(socket_framing::line, "one\ntwo\r\n\nthr\ree"),
            (texts{"one", "two", "", "thr\ree"}));
  EXPECT_EQ(frames(socket_framing::line, ""), texts{});
  EXPECT_EQ(frames(socket_framing::line, "a\n"), texts{"a"});
}

TEST(socket_framing, a_length_may_be_followed_by_any_bytes) {
  const std::string binary("\0\n\xff\0", 4);
  EXPECT_EQ(
      frames(socket_framing::length, with_length(binary) + with_length("") + with_length("b")),
      (texts{binary, "", "b"}));
}

TEST(socket_framing, what_is_not_all_there_is_no_frame) {
  EXPECT_EQ(frames(socket_framing::length, with_length("a") + with_length("beta").substr(0, 6)),
            (texts{"a", "unfinished 6"}));
  EXPECT_EQ(frames(socket_framing::octet_counting, "3 abc12 de"), (texts{"abc", "unfinished 4"}));
  EXPECT_EQ(frames(socket_framing::length, std::string(2, '\0')), texts{"unfinished 2"});
}

TEST(socket_framing, octets_are_counted_and_a_counted_newline_is_an_end) {
  EXPECT_EQ(frames(socket_framing::octet_counting, "5 <1>ab6 <2>cd\n3 a b"),
            (texts{"<1>ab", "<2>cd", "a b"}));
  EXPECT_THROW(frames(socket_framing::octet_counting, "GET / HTTP/1.1\r\n"), framing_error);
  EXPECT_THROW(frames(socket_framing::octet_counting, "12345678901 x"), framing_error);
  EXPECT_THROW(frames(socket_framing::octet_counting, " x"), framing_error);
}

TEST(socket_framing, syslog_counts_where_it_does_and_takes_lines_else) {
  EXPECT_EQ(frames(socket_framing::syslog,
                   "<1>a\n8 <2>b\nc\n\n<3>d\n2003-10-11T22:14:15 h x\n12 monkeys"),
            (texts{"<1>a", "<2>b\nc\n", "<3>d", "2003-10-11T22:14:15 h x", "12 monkeys"}));
  EXPECT_EQ(frames(socket_framing::syslog, "77"), texts{"77"});
  EXPECT_EQ(frames(socket_framing::syslog, "0 <x\n"), texts{"0 <x"});
}

TEST(socket_framing, of_what_is_too_long_the_beginning_is_kept_and_the_next_is_whole) {
  const std::string large(200'000, 'x');
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{4096}, std::size_t{1} << 20}) {
    EXPECT_EQ(frames(socket_framing::line, large + "\nnext\n", chunk),
              (texts{"cut 200000", "next"}));
    EXPECT_EQ(frames(socket_framing::length, with_length(large) + with_length("next"), chunk),
              (texts{"cut 200000", "next"}));
    EXPECT_EQ(frames(socket_framing::octet_counting, "200000 " + large + "4 next", chunk),
              (texts{"cut 200000", "next"}));
  }
  const std::string longest(1000, 'x');
  EXPECT_EQ(frames(socket_framing::line, longest + "\r\n").front().size(), 1000U);
  EXPECT_EQ(frames(socket_framing::line, longest + "x\n"), texts{"cut 1001"});
  frame_splitter splitter(socket_framing::line, 1000);
  const std::string stream = large + "\n";
  splitter.feed(stream);
  EXPECT_EQ(splitter.next()->bytes.size(), std::size_t{64} << 10);
}

TEST(socket_framing, how_a_stream_is_cut_into_chunks_makes_no_difference) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::string stream;
    for (int n = 0; n < 8; ++n) {
      const std::string body(random() % 30, "ab\r"[random() % 3]);
      switch (random() % 4) {
        case 0:
          stream += std::to_string(body.size() + 3) + " <1>" + body;
          break;
        case 1:
          stream += std::to_string(random() % 100) + " " + body + "\n";
          break;
        case 2:
          stream += "\n\r\n" + body;
          break;
        default:
          stream += "<7>" + body + "\n";
      }
    }
    for (const socket_framing how :
         {socket_framing::line, socket_framing::length, socket_framing::syslog}) {
      const texts whole = frames(how, stream, 1 << 20, 20);
      EXPECT_EQ(frames(how, stream, 1 + random() % 7, 20), whole) << stream;
    }
  }
}

socket_frame frame_of(std::string_view bytes) {
  socket_frame frame;
  frame.bytes = bytes;
  frame.whole_bytes = bytes.size();
  return frame;
}

std::string item_of(socket_format format, std::string_view bytes) {
  const socket_item made = unpack_frame(format, pack_frame(frame_of(bytes)), 100);
  if (made.undecodable) return "undecodable: " + *made.undecodable;
  return made.value.json_text();
}

TEST(socket_format, an_item_has_the_shape_of_its_format) {
  EXPECT_EQ(item_of(socket_format::lines, "a \"b\""), R"({"line":"a \"b\""})");
  EXPECT_EQ(item_of(socket_format::ndjson, R"({"n": 1.0})"), R"({"n": 1.0})");
  EXPECT_EQ(item_of(socket_format::syslog, "<34>Oct 11 22:14:15 host app[12]: text"),
            R"({"priority":34,"facility":4,"severity":2,"version":null,)"
            R"("timestamp":"Oct 11 22:14:15","hostname":"host","appname":"app","procid":"12",)"
            R"("msgid":null,"structured_data":null,"message":"text"})");
  EXPECT_EQ(item_of(socket_format::bytes, std::string_view("\0\xff", 2)), R"({"bytes":"AP8="})");
  EXPECT_EQ(item_of(socket_format::bytes, "abc"), R"({"bytes":"YWJj"})");
  EXPECT_EQ(item_of(socket_format::bytes, ""), R"({"bytes":""})");
  EXPECT_EQ(item_of(socket_format::bytes, "a"), R"({"bytes":"YQ=="})");
}

TEST(socket_format, what_cannot_be_decoded_is_an_item_with_a_reason) {
  EXPECT_EQ(item_of(socket_format::syslog, "nonsense").substr(0, 36),
            "undecodable: not a line of syslog (w");
  EXPECT_EQ(item_of(socket_format::syslog, "<1>\xff"), "undecodable: not UTF-8 at byte 3");
  EXPECT_EQ(item_of(socket_format::ndjson, "{").substr(0, 13), "undecodable: ");
}

TEST(socket_format, a_dead_letter_is_decoded_as_it_was_the_first_time) {
  socket_frame cut = frame_of("begin");
  cut.whole_bytes = 5000;
  cut.cut = true;
  for (const socket_format format :
       {socket_format::lines, socket_format::ndjson, socket_format::syslog, socket_format::bytes}) {
    for (const socket_frame& frame : {frame_of("x\xff"), frame_of("{"), cut}) {
      const socket_item first = unpack_frame(format, pack_frame(frame), 1000);
      const record stored = record::from_text(text_of(first.value));
      const socket_item again = decode_again(format, stored, 1000);
      EXPECT_EQ(again.undecodable, first.undecodable);
      EXPECT_EQ(text_of(again.value), text_of(first.value));
    }
  }
}

TEST(socket_format, blanks_are_skipped_where_they_can_be_no_item) {
  EXPECT_FALSE(is_skipped(socket_format::lines, frame_of("")));
  EXPECT_FALSE(is_skipped(socket_format::bytes, frame_of(" ")));
  EXPECT_TRUE(is_skipped(socket_format::ndjson, frame_of(" \r")));
  EXPECT_TRUE(is_skipped(socket_format::syslog, frame_of("")));
}

}  // namespace
}  // namespace brigade
