#include "connect/components.hpp"
#include "connect/json_text.hpp"

#include <brigade/connect/parse.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

namespace brigade {
namespace {

using test::attempt;
using test::config_error_of;
using fields = std::vector<std::pair<std::string, field_value>>;
using table = std::map<std::string, std::string>;

std::unique_ptr<stage_body> parse(fields given) {
  registry known;
  register_parse(known);
  return test::make_stage(known, "parse", std::move(given));
}
std::unique_ptr<stage_body> format(const std::string& name) { return parse({{"format", name}}); }
std::unique_ptr<stage_body> regex(const std::string& pattern, table types = {}) {
  return parse({{"regex", pattern}, {"types", std::move(types)}});
}

TEST(parse_combined, gives_the_fields_an_apache_user_expects) {
  EXPECT_EQ(
      attempt(*format("combined"),
              record::line(R"(83.149.9.216 - frank [17/May/2015:10:05:03 +0000] )"
                           R"("GET /a?b=c HTTP/1.1" 200 203023 "http://r/" "Mozilla/5.0 X")")),
      R"({"host":"83.149.9.216","ident":null,"user":"frank",)"
      R"("time":"17/May/2015:10:05:03 +0000","method":"GET","path":"/a?b=c",)"
      R"("protocol":"HTTP/1.1","status":200,"bytes":203023,"referer":"http://r/",)"
      R"("agent":"Mozilla/5.0 X"})");
}

TEST(parse_combined, takes_a_dash_for_null) {
  EXPECT_EQ(attempt(*format("combined"), record::line(R"(h - - [t] "-" 408 - "-" "-")")),
            R"({"host":"h","ident":null,"user":null,"time":"t","method":null,"path":null,)"
            R"("protocol":null,"status":408,"bytes":null,"referer":null,"agent":null})");
}

TEST(parse_combined, an_escaped_quote_ends_no_field) {
  EXPECT_EQ(attempt(*format("combined"),
                    record::line(R"(h - - [t] "GET /\"x\" y HTTP/1.0" 200 1 "a\"b\\" "c\\\" d")")),
            R"({"host":"h","ident":null,"user":null,"time":"t","method":"GET",)"
            R"("path":"/\\\"x\\\" y","protocol":"HTTP/1.0","status":200,"bytes":1,)"
            R"("referer":"a\\\"b\\\\","agent":"c\\\\\\\" d"})");
}

TEST(parse_combined, a_request_of_other_words_stays_whole) {
  for (const char* const request : {"GET /", "\\x16\\x03\\x01", "", "GET / FTP/1", " / HTTP/1.1"}) {
    const std::string result =
        attempt(*format("combined"),
                record::line("h - - [t] \"" + std::string(request) + "\" 400 0 \"-\" \"-\""));
    EXPECT_NE(result.find(R"("request":)"), std::string::npos) << request << ": " << result;
    EXPECT_EQ(result.find("method"), std::string::npos) << result;
  }
}

TEST(parse_combined, a_user_may_have_spaces) {
  const std::string result =
      attempt(*format("common"), record::line(R"(h - john smith [t] "GET / HTTP/1.1" 200 0)"));
  EXPECT_NE(result.find(R"("user":"john smith")"), std::string::npos) << result;
}

TEST(parse_combined, a_line_cut_off_in_its_last_field_still_matches) {
  EXPECT_NE(attempt(*format("combined"), record::line(R"(h - - [t] "-" 200 1 "-" "Mozil)"))
                .find(R"("agent":"Mozil")"),
            std::string::npos);
}

TEST(parse_combined, says_where_a_line_does_not_match) {
  const auto stage = format("combined");
  EXPECT_EQ(attempt(*stage, record::line("rubbish")),
            "permanent: not a line in the format combined (wrong at its host): 'rubbish'");
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"", "host"},
      {"h - - t", "user"},
      {"h - - [t", "time"},
      {"h - - [t] \"GET", "request"},
      {"h - - [t] \"GET \\", "request"},
      {"h - - [t] \"-\" abc 1 \"-\" \"-\"", "status"},
      {"h - - [t] \"-\"", "status"},
      {"h - - [t] \"-\" 200 1.5 \"-\" \"-\"", "bytes"},
      {"h - - [t] \"-\" 200 1", "referer"},
      {"h - - [t] \"-\" 200 1 \"-", "referer"},
      {"h - - [t] \"-\" 200 1 \"-\"", "agent"},
      {"h - - [t] \"-\" 200 1 \"-\" \"-\" more", "end"},
  };
  for (const auto& [line, place] : wrong) {
    EXPECT_NE(attempt(*stage, record::line(line)).find("(wrong at its " + place + ")"),
              std::string::npos)
        << attempt(*stage, record::line(line));
  }
  const std::string is_long(300, 'x');
  EXPECT_LT(attempt(*stage, record::line(is_long)).size(), 200U);
}

TEST(parse_common, ends_behind_the_bytes) {
  EXPECT_EQ(attempt(*format("common"), record::line(R"(h i u [t] "GET / HTTP/1.0" 404 007 )")),
            R"({"host":"h","ident":"i","user":"u","time":"t","method":"GET","path":"/",)"
            R"("protocol":"HTTP/1.0","status":404,"bytes":7})");
  EXPECT_NE(attempt(*format("common"), record::line(R"(h - - [t] "-" 200 1 "-" "-")"))
                .find("wrong at its end"),
            std::string::npos);
}

TEST(parse, invalid_utf8_is_permanent_in_every_format) {
  const std::string line = "h - - [t] \"-\" 200 1 \"-\" \"\xff\"";
  for (const char* const name : {"combined", "common", "json"}) {
    EXPECT_EQ(attempt(*format(name), record::line(line)).substr(0, 37),
              "permanent: invalid UTF-8 at byte 26 o");
  }
  EXPECT_EQ(attempt(*regex("(?<a>.)"), record::line("\xff")).substr(0, 24),
            "permanent: invalid UTF-8");
}

TEST(parse_json, replaces_the_line_by_the_value) {
  const auto stage = format("json");
  EXPECT_EQ(attempt(*stage, record::line("  {\"a\": 12345678901234567890} ")),
            "{\"a\": 12345678901234567890}");
  EXPECT_EQ(attempt(*stage, record::line("{'a': 1}")),
            "permanent: not JSON: expected a key in double quotes at byte 2: '{'a': 1}'");
  EXPECT_EQ(attempt(*stage, record::json(R"({"line":"{\n \"a\": 1\r\n}"})")), "{  \"a\": 1  }");
}

TEST(parse, takes_the_text_from_a_path) {
  const auto stage = parse({{"format", "json"}, {"from", ".message.text"}});
  EXPECT_EQ(attempt(*stage, record::json(R"({"message":{"text":"[\"\\u00e9\"]"}})")),
            R"(["\u00e9"])");
  EXPECT_EQ(attempt(*stage, record::json(R"({"message":{}})")),
            "permanent: .message.text is no text to parse: 'null'");
  EXPECT_EQ(attempt(*stage, record::line("[1]")),
            "permanent: .message.text is no text to parse: 'null'");
  EXPECT_EQ(attempt(*format("json"), record::json("7")).substr(0, 26),
            "permanent: Cannot index nu");
}

TEST(parse, keeps_the_rest_when_told_to) {
  const auto stage = parse({{"regex", "(?<a>\\d+) (?<b>.*)"}, {"keep_rest", true}});
  EXPECT_EQ(attempt(*stage, record::json(R"({"big":12345678901234567890,"line":"1 x","a":"old"})")),
            R"({"a":"1","b":"x","big":12345678901234567890})");
  EXPECT_EQ(attempt(*stage, record::line("1 x")), R"({"a":"1","b":"x"})");
  const auto json = parse({{"format", "json"}, {"keep_rest", true}});
  EXPECT_EQ(attempt(*json, record::json(R"({"line":"{}","n":1})")), R"({"n":1})");
  EXPECT_EQ(attempt(*json, record::json(R"({"line":"{\"n\":2}","n":1})")), R"({"n":2})");
  EXPECT_EQ(attempt(*json, record::json(R"({"line":"[]","n":1})")),
            "permanent: the parsed text is no object, so keep_rest has nowhere to put the rest");
}

TEST(parse_regex, makes_fields_of_named_groups_with_types) {
  const auto stage = regex(R"(^(?<who>\w+) (?<status>\S+)(?: took (?<took>\S*)ms)?(.*)$)",
                           {{"status", "int"}, {"took", "float"}});
  EXPECT_EQ(attempt(*stage, record::line("j\xc3\xbcrgen 200")).substr(0, 33),
            "permanent: the regex does not mat");
  EXPECT_EQ(attempt(*stage, record::line("anna 0200 took 1.50ms !")),
            R"({"who":"anna","status":200,"took":1.50})");
  EXPECT_EQ(attempt(*stage, record::line("anna -7")), R"({"who":"anna","status":-7,"took":null})");
  EXPECT_EQ(attempt(*stage, record::line("anna 7 took ms")),
            R"({"who":"anna","status":7,"took":null})");
  EXPECT_EQ(attempt(*stage, record::line("anna 7 took .5ms")),
            R"({"who":"anna","status":7,"took":0.5})");
  EXPECT_EQ(attempt(*stage, record::line("anna 7x")),
            "permanent: 'status' is not an integer: '7x'");
  EXPECT_EQ(attempt(*stage, record::line("anna 7 took infms")),
            "permanent: 'took' is not a number: 'inf'");
}

TEST(parse_regex, what_exceeds_its_limits_is_permanent_and_ends_soon) {
  const auto stage = regex("^(?<x>(a+)+)$");
  const auto before = std::chrono::steady_clock::now();
  const std::string result = attempt(*stage, record::line(std::string(40, 'a') + "b"));
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_EQ(result.substr(0, 29), "permanent: the regex gave up ") << result;
  EXPECT_LT(took, std::chrono::seconds(5));
  const auto deep = regex("^(?<x>(?:a|b)*)c$");
  const std::string stack = attempt(*deep, record::line(std::string(1'000'000, 'a') + "d"));
  EXPECT_EQ(stack.substr(0, 10), "permanent:") << stack.substr(0, 200);
  EXPECT_EQ(attempt(*stage, record::line("aaa")), R"({"x":"aaa"})");
}

TEST(parse_regex, is_checked_before_anything_runs) {
  EXPECT_EQ(config_error_of([] { regex("(?<a>"); }),
            "regex: missing closing parenthesis (at character 5)");
  EXPECT_EQ(config_error_of([] { regex("(a)"); }),
            "regex: it has no named group, like (?<status>\\d+), to make a field of");
  EXPECT_EQ(config_error_of([] { regex("(?<a>.)", {{"b", "int"}}); }),
            "types: the regex has no group named 'b'");
  EXPECT_EQ(config_error_of([] { regex("(?<a>.)", {{"a", "integer"}}); }),
            "types: 'integer' of 'a' is no type: int, float, bool or text");
  EXPECT_EQ(config_error_of([] { parse({}); }).substr(0, 7), "format:");
  EXPECT_EQ(config_error_of([] { parse({{"format", "json"}, {"regex", "(?<a>.)"}}); }).substr(0, 6),
            "regex:");
  EXPECT_EQ(config_error_of([] { parse({{"format", "json"}, {"from", ".a + .b"}}); }),
            "from: '.a + .b' is no plain path like .line or .message.text");
  EXPECT_EQ(config_error_of([] {
              parse({{"format", "json"}, {"types", table{{"a", "int"}}}});
            }).substr(0, 6),
            "types:");
}

TEST(parse_combined, matches_every_line_of_a_real_log) {
  const char* const data = std::getenv("BRIGADE_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "BRIGADE_TEST_DATA does not say where the test data are";
  std::ifstream log(std::string(data) + "/apache_access.log");
  ASSERT_TRUE(log.is_open());
  const auto stage = format("combined");
  std::map<std::string, int> by_status;
  int lines = 0;
  for (std::string line; std::getline(log, line); ++lines) {
    const std::string result = attempt(*stage, record::line(line));
    ASSERT_FALSE(json_text::check(result).has_value()) << result;
    const auto status = json_text::member(result, "status");
    ASSERT_TRUE(status.has_value());
    ++by_status[std::string(*status)];
    // Independent of the parser: the status is the first number behind a quote.
    ASSERT_NE(line.find("\" " + std::string(*status) + " "), std::string::npos) << line;
  }
  EXPECT_EQ(lines, 10'000);
  EXPECT_EQ(by_status["200"], 9126);
  EXPECT_EQ(by_status["404"], 213);
}

}  // namespace
}  // namespace brigade
