// Requests as bytes: what is read, what is refused, and that it does not matter how they come in.
#include "connect/http_request.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade {
namespace {

http_rules rules() {
  http_rules made;
  made.path = "/orders";
  made.body_bytes_max = 100;
  made.header_bytes_max = 1024;
  return made;
}

std::string post(std::string_view headers, std::string_view body) {
  return "POST /orders HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}
std::string sized(std::string_view body, std::string_view headers = "") {
  return post("Content-Length: " + std::to_string(body.size()) + "\r\n" + std::string(headers),
              body);
}
std::string chunked(std::string_view chunks) {
  return post("Transfer-Encoding: chunked\r\n", chunks);
}

struct seen {
  http_request_reader::state at = http_request_reader::state::nothing_yet;
  unsigned status = 0;  ///< of a refusal
  std::string error;
  http_request request;
  std::size_t left = 0;  ///< bytes behind it
};

/// Gives `text` in pieces of `piece` bytes.
seen read(std::string_view text, const http_rules& by, std::size_t piece) {
  http_request_reader reader(by);
  std::string waiting;
  seen result;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    waiting += text.substr(at, piece);
    waiting.erase(0, reader.feed(waiting));
    result.at = reader.at();
    if (result.at == http_request_reader::state::refused) {
      result.status = reader.refusal().status;
      result.error = reader.refusal().error;
      return result;
    }
    if (result.at == http_request_reader::state::complete) {
      result.request = reader.take_request();
      result.left = waiting.size() + text.size() - std::min(text.size(), at + piece);
      return result;
    }
  }
  return result;
}

/// However it comes in, the same is read; only that something is wrong may be seen later.
seen read(std::string_view text, const http_rules& by = rules()) {
  seen whole = read(text, by, text.size());
  for (const std::size_t piece : {1U, 2U, 7U, 64U}) {
    const seen parts = read(text, by, piece);
    const bool ends = text.find("\r\n\r\n") != text.npos;
    if (!ends && parts.at == http_request_reader::state::header) continue;
    EXPECT_EQ(parts.at, whole.at) << piece << ": " << parts.error;
    EXPECT_EQ(parts.status, whole.status) << piece;
    EXPECT_EQ(parts.error, whole.error) << piece;
    EXPECT_EQ(parts.request.body, whole.request.body) << piece;
    EXPECT_EQ(parts.left, whole.left) << piece;
  }
  return whole;
}

TEST(http_request, a_body_with_a_length_or_in_chunks_is_read) {
  const seen plain = read(sized(R"({"total":5})"));
  EXPECT_EQ(plain.at, http_request_reader::state::complete) << plain.error;
  EXPECT_EQ(plain.request.body, R"({"total":5})");
  EXPECT_EQ(plain.request.kind, http_body_kind::json);
  EXPECT_TRUE(plain.request.keep_alive);
  const seen parts = read(chunked("5;a=b\r\n{\"a\":\r\n2\r\n5}\r\n0\r\nTrailer: x\r\n\r\n"));
  EXPECT_EQ(parts.at, http_request_reader::state::complete) << parts.error;
  EXPECT_EQ(parts.request.body, R"({"a":5})");
  EXPECT_EQ(read(sized("")).at, http_request_reader::state::complete);
}

TEST(http_request, what_stands_behind_it_belongs_to_the_next) {
  const std::string two = sized("1") + sized("[2]");
  EXPECT_EQ(read(two).left, sized("[2]").size());
  const http_rules by = rules();
  http_request_reader reader(by);
  const std::size_t used = reader.feed(two);
  EXPECT_EQ(reader.take_request().body, "1");
  reader.next();
  EXPECT_EQ(reader.feed("\r\n" + two.substr(used)), two.size() - used + 2);
  EXPECT_EQ(reader.take_request().body, "[2]");
}

struct shape {
  const char* what;
  std::string text;
  unsigned status;
};

// Guards: each refusal in judge_header and judge_posting; without it the request is read.
TEST(http_request, shapes_that_two_readers_could_understand_differently_are_refused) {
  const std::string one = "1\r\n5\r\n0\r\n\r\n";
  const std::vector<shape> shapes = {
      {"both", post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", one), 400},
      {"both, turned", post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", one), 400},
      {"two lengths", post("Content-Length: 1\r\nContent-Length: 2\r\n", "55"), 400},
      {"the same twice", post("Content-Length: 1\r\nContent-Length: 1\r\n", "5"), 400},
      {"a list of lengths", post("Content-Length: 1, 1\r\n", "5"), 400},
      {"a sign", post("Content-Length: +1\r\n", "5"), 400},
      {"negative", post("Content-Length: -1\r\n", "5"), 400},
      {"hexadecimal", post("Content-Length: 0x1\r\n", "5"), 400},
      {"no number", post("Content-Length: \r\n", "5"), 400},
      {"too large a number", post("Content-Length: 99999999999999999999\r\n", "5"), 400},
      {"unknown coding", post("Transfer-Encoding: xchunked\r\n", one), 400},
      {"identity", post("Transfer-Encoding: identity\r\n", "5"), 400},
      {"not only chunked", post("Transfer-Encoding: gzip, chunked\r\n", one), 400},
      {"chunked not last", post("Transfer-Encoding: chunked, gzip\r\n", one), 400},
      {"quoted", post("Transfer-Encoding: \"chunked\"\r\n", one), 400},
      {"chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", one),
       400},
      {"then another", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", one),
       400},
      {"blank before the colon", post("Transfer-Encoding : chunked\r\n", one), 400},
      {"vertical tab", post("Transfer-Encoding: \vchunked\r\n", one), 400},
      {"folded", post("Transfer-Encoding:\r\n chunked, x\r\n", one), 400},
      {"bare line feeds", "POST /orders HTTP/1.1\nHost: here\nContent-Length: 1\n\n5", 505},
      {"bare carriage return", post("X: a\rContent-Length: 1\r\n", "5"), 400},
      {"a zero byte", post(std::string_view("X: a\0b\r\n", 8), "5"), 400},
      {"blanks in the target", "POST /orders x HTTP/1.1\r\nHost: here\r\n\r\n", 505},
      {"chunks in HTTP/1.0", "POST /orders HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + one,
       400},
      {"no host", "POST /orders HTTP/1.1\r\nContent-Length: 1\r\n\r\n5", 400},
      {"two hosts", sized("5", "Host: there\r\n"), 400},
  };
  for (const shape& each : shapes) {
    SCOPED_TRACE(each.what);
    const seen result = read(each.text);
    EXPECT_EQ(result.at, http_request_reader::state::refused);
    EXPECT_TRUE(result.status == each.status || result.status == 400) << result.status;
  }
}

TEST(http_request, bad_chunks_are_refused) {
  for (const std::string_view chunks :
       {"x\r\n5\r\n", "-1\r\n5\r\n", "1\r\n5x\r\n0\r\n\r\n", "1\n5\r\n0\r\n\r\n", "\r\n5\r\n",
        "fffffffffffffffff\r\n", "0x1\r\n5\r\n\r\n", "1 \r\n5\r\n0\r\n\r\n",
        "1\r\n5\r\n0\r\nContent-Length: 7\r\n\r\n", "1;\"\r\n5\r\n0\r\n\r\n"}) {
    SCOPED_TRACE(chunks);
    const seen result = read(chunked(chunks));
    EXPECT_EQ(result.at, http_request_reader::state::refused);
    EXPECT_TRUE(result.status == 400 || result.status == 413) << result.status;
  }
  const std::string endless = chunked("1;" + std::string(5000, 'a'));
  EXPECT_EQ(read(endless).status, 400U);
  EXPECT_EQ(read(chunked("0\r\nX: " + std::string(5000, 'a'))).status, 400U);
}

// Guard: that the parser is shown so much at a time, or what is whole at once would be read.
TEST(http_request, what_stands_beside_a_chunk_is_as_short_however_it_comes_in) {
  const auto of = [](std::size_t bytes) {
    return chunked("1;" + std::string(bytes - 4, 'a') + "\r\n5\r\n0\r\n\r\n");
  };
  EXPECT_EQ(read(of(1000)).at, http_request_reader::state::complete);
  for (std::size_t bytes = 1015; bytes < 1040; ++bytes) {
    SCOPED_TRACE(bytes);
    static_cast<void>(read(of(bytes)));  // compares
  }
  EXPECT_EQ(read(of(1100)).status, 400U);
  EXPECT_EQ(read(chunked("0\r\nX: " + std::string(1100, 'a') + "\r\n\r\n")).status, 400U);
}

TEST(http_request, limits_hold) {
  EXPECT_EQ(read(sized(std::string(100, '5'))).at, http_request_reader::state::complete);
  EXPECT_EQ(read(sized(std::string(101, '5'))).status, 413U);
  EXPECT_EQ(read(chunked("40\r\n" + std::string(64, '5') + "\r\n25\r\n")).status, 413U);
  EXPECT_EQ(read(sized("5", "X: " + std::string(2000, 'a') + "\r\n")).status, 431U);
  EXPECT_EQ(read("POST /" + std::string(2000, 'a') + " HTTP/1.1\r\n\r\n").status, 431U);
  EXPECT_EQ(read(std::string(3000, 'A')).at, http_request_reader::state::refused);
}

// Guards: that `feed` counts, and not the parser, for which it depends on how a header comes in.
TEST(http_request, a_header_may_be_as_long_as_it_may_be) {
  const auto of = [](std::size_t bytes) {
    const std::string rest = sized("5", "X: \r\n");
    return sized("5", "X: " + std::string(bytes + 1 - rest.size(), 'a') + "\r\n");
  };
  EXPECT_EQ(read(of(1024)).at, http_request_reader::state::complete);
  EXPECT_EQ(read(of(1025)).status, 431U);
}

TEST(http_request, what_is_no_posting_is_told_why) {
  const auto at_orders = [](std::string_view method, std::string_view rest) {
    return std::string(method) + " /orders HTTP/1.1\r\nHost: here\r\n" + std::string(rest) + "\r\n";
  };
  EXPECT_EQ(read(at_orders("GET", "")).status, 405U);
  EXPECT_EQ(read(at_orders("HEAD", "")).status, 405U);
  EXPECT_EQ(read(at_orders("BREW", "Content-Length: 0\r\n")).status, 405U);
  EXPECT_EQ(read("POST /other HTTP/1.1\r\nHost: h\r\n\r\n").status, 404U);
  EXPECT_EQ(read(at_orders("POST", "Content-Type: application/json\r\n")).status, 411U);
  EXPECT_EQ(read(sized("5", "Expect: a-miracle\r\n")).status, 417U);
  EXPECT_EQ(read(sized("5", "Content-Encoding: gzip\r\n")).status, 415U);
  EXPECT_EQ(read("POST /orders HTTP/2.0\r\nHost: h\r\n\r\n").status, 505U);
  EXPECT_EQ(read("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 505U);
  EXPECT_EQ(read("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").status, 400U);
}

TEST(http_request, the_path_may_have_a_query_or_stand_behind_a_host) {
  const auto at = [](std::string_view target) {
    return read("POST " + std::string(target) +
                " HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
                "Content-Type: application/json\r\n\r\n5")
        .status;
  };
  EXPECT_EQ(at("/orders?a=b"), 0U);
  EXPECT_EQ(at("http://h/orders"), 0U);
  EXPECT_EQ(at("http://h"), 404U);
  EXPECT_EQ(at("/orders/"), 404U);
  EXPECT_EQ(at("*"), 404U);
}

TEST(http_request, types_say_what_an_item_is) {
  const auto of = [](std::string_view type) {
    return read("POST /orders HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Type: " +
                std::string(type) + "\r\n\r\n5");
  };
  EXPECT_EQ(of("Application/JSON; charset=UTF-8").status, 0U);
  EXPECT_EQ(of("application/vnd.order+json").status, 0U);
  EXPECT_EQ(of("application/x-ndjson").request.kind, http_body_kind::ndjson);
  EXPECT_EQ(of("application/jsonl;x=y; charset=\"utf-8\"").request.kind, http_body_kind::ndjson);
  for (const char* other : {"text/plain", "application/x-www-form-urlencoded", "", "+json",
                            "application/json; charset=latin1", "application/jsonx"}) {
    EXPECT_EQ(of(other).status, 415U) << other;
  }
}

TEST(http_request, whoever_has_no_token_learns_nothing_else) {
  http_rules by = rules();
  by.tokens = {"first", "second"};
  const auto with = [&](std::string_view header) { return read(sized("5", header), by).status; };
  EXPECT_EQ(with("Authorization: Bearer first\r\n"), 0U);
  EXPECT_EQ(with("authorization: bearer  second\r\n"), 0U);
  for (const char* header :
       {"", "Authorization: Bearer firs\r\n", "Authorization: Bearer firstfirst\r\n",
        "Authorization: Bearer \r\n", "Authorization: Bearer\r\n", "Authorization: Basic first\r\n",
        "Authorization: Bearer first\r\nAuthorization: Bearer first\r\n"}) {
    EXPECT_EQ(with(header), 401U) << header;
  }
  EXPECT_EQ(read("GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n", by).status, 401U);
  EXPECT_FALSE(is_token("", {""}));
}

TEST(http_request, a_key_is_known_with_and_without_quotes) {
  EXPECT_EQ(read(sized("5", "Idempotency-Key: a-1\r\n")).request.key, "a-1");
  EXPECT_EQ(read(sized("5", "idempotency-key: \"a-1\"\r\n")).request.key, "a-1");
  EXPECT_EQ(read(sized("5", "Idempotency-Key: " + std::string(255, 'k') + "\r\n")).status, 0U);
  const std::string long_key = "Idempotency-Key: " + std::string(256, 'k') + "\r\n";
  for (const std::string& header :
       {std::string("Idempotency-Key: \r\n"), std::string("Idempotency-Key: \"\"\r\n"),
        std::string("Idempotency-Key: a b\r\n"), std::string("Idempotency-Key: caf\xe9\r\n"),
        std::string("Idempotency-Key: a\r\nIdempotency-Key: a\r\n"), long_key}) {
    EXPECT_EQ(read(sized("5", header)).status, 400U) << header;
  }
}

TEST(http_request, a_client_is_told_once_to_go_on_and_only_if_it_waits) {
  const http_rules by = rules();
  const std::string text = sized("55", "Expect: 100-continue\r\n");
  {
    http_request_reader reader(by);
    reader.feed(text.substr(0, text.size() - 2));
    EXPECT_TRUE(reader.take_wants_continue());
    EXPECT_FALSE(reader.take_wants_continue());
  }
  http_request_reader reader(by);
  reader.feed(text.substr(0, text.size() - 1));
  EXPECT_FALSE(reader.take_wants_continue());
}

TEST(http_request, an_old_client_keeps_its_connection_only_if_it_says_so) {
  const auto with = [](std::string_view headers) {
    return read("POST /orders HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 1\r\n" +
                std::string(headers) + "\r\n5")
        .request;
  };
  EXPECT_FALSE(with("").keep_alive);
  EXPECT_TRUE(with("Connection: keep-alive\r\n").keep_alive);
  EXPECT_TRUE(with("").is_http_10);
  EXPECT_FALSE(read(sized("5", "Connection: close\r\n")).request.keep_alive);
}

}  // namespace
}  // namespace brigade
