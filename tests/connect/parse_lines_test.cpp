// Syslog, logfmt and CSV, and what a regex makes of odd input.
#include "connect/components.hpp"

#include <brigade/connect/parse.hpp>

#include <gtest/gtest.h>

#include <chrono>
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
std::string parsed(const std::string& format, const std::string& line) {
  return attempt(*parse({{"format", format}}), record::line(line));
}
std::string why(const std::string& format, const std::string& line) {
  const std::string result = parsed(format, line);
  return result.substr(0, result.find("): '"));
}

/// The fields of syslog behind `facility` and `severity`.
std::string syslog(const std::string& line) {
  const std::string result = parsed("syslog", line);
  const std::size_t at = result.find(R"("version")");
  return at == std::string::npos ? result : result.substr(at);
}

TEST(parse_syslog, reads_rfc_5424) {
  EXPECT_EQ(
      parsed("syslog",
             "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog 812 ID47 "
             R"([exampleSDID@32473 iut="3" eventSource="App"][x] )"
             "\xEF\xBB\xBF"
             "An event"),
      R"({"priority":165,"facility":20,"severity":5,"version":1,)"
      R"("timestamp":"2003-10-11T22:14:15.003Z","hostname":"mymachine.example.com",)"
      R"("appname":"evntslog","procid":"812","msgid":"ID47","structured_data":)"
      R"({"exampleSDID@32473":{"iut":"3","eventSource":"App"},"x":{}},"message":"An event"})");
}

TEST(parse_syslog, a_dash_of_rfc_5424_is_null) {
  EXPECT_EQ(syslog("<34>1 - - - - - -"),
            R"("version":1,"timestamp":null,"hostname":null,"appname":null,"procid":null,)"
            R"("msgid":null,"structured_data":null,"message":null})");
  EXPECT_NE(syslog("<34>1 - - - - - - ").find(R"("message":""})"), std::string::npos);
}

TEST(parse_syslog, structured_data_may_hold_escapes_and_names_twice) {
  EXPECT_NE(syslog(R"(<1>1 - h a - - [i a="\"\]\\\n" ip="1" ip="2"][j b="]"] m)")
                .find(R"("structured_data":{"i":{"a":"\"]\\\\n","ip":["1","2"]},"j":{"b":"]"}})"),
            std::string::npos);
  for (const char* const bad : {"[", "[]", "[i", "[i a]", "[i a=\"]", "[i a=\"\"", "[i][i]", "x",
                                "[i]x", R"([i a="1"b="2"])"}) {
    EXPECT_EQ(why("syslog", std::string("<1>1 - h a - - ") + bad),
              "permanent: not a line of syslog (wrong at its structured_data")
        << bad;
  }
}

TEST(parse_syslog, reads_rfc_3164) {
  EXPECT_EQ(parsed("syslog", "<34>Oct 11 22:14:15 mymachine su: 'su root' failed"),
            R"({"priority":34,"facility":4,"severity":2,"version":null,)"
            R"("timestamp":"Oct 11 22:14:15","hostname":"mymachine","appname":"su",)"
            R"("procid":null,"msgid":null,"structured_data":null,"message":"'su root' failed"})");
  EXPECT_EQ(syslog("<13>Feb  5 17:32:18 10.0.0.99 postfix/smtpd[12]: a: b"),
            R"("version":null,"timestamp":"Feb  5 17:32:18","hostname":"10.0.0.99",)"
            R"("appname":"postfix/smtpd","procid":"12","msgid":null,"structured_data":null,)"
            R"("message":"a: b"})");
}

TEST(parse_syslog, reads_what_daemons_write_into_files) {
  EXPECT_EQ(parsed("syslog", "Nov  2 06:25:01 host CRON[1234]: (root) CMD (test)"),
            R"({"priority":null,"facility":null,"severity":null,"version":null,)"
            R"("timestamp":"Nov  2 06:25:01","hostname":"host","appname":"CRON",)"
            R"("procid":"1234","msgid":null,"structured_data":null,)"
            R"-("message":"(root) CMD (test)"})-");
  EXPECT_EQ(syslog("2024-05-01T12:00:00.123456+02:00 web-1 systemd[1]: Started."),
            R"("version":null,"timestamp":"2024-05-01T12:00:00.123456+02:00","hostname":"web-1",)"
            R"("appname":"systemd","procid":"1","msgid":null,"structured_data":null,)"
            R"("message":"Started."})");
}

TEST(parse_syslog, does_without_what_is_not_there) {
  EXPECT_EQ(syslog("<13>Oct 11 22:14:15 su: local, without a host"),
            R"("version":null,"timestamp":"Oct 11 22:14:15","hostname":null,"appname":"su",)"
            R"("procid":null,"msgid":null,"structured_data":null,)"
            R"("message":"local, without a host"})");
  EXPECT_NE(syslog("<13>Oct 11 22:14:15 host no tag here").find(R"("message":"no tag here"})"),
            std::string::npos);
  EXPECT_NE(syslog("<13>only text").find(R"("message":"only text"})"), std::string::npos);
  EXPECT_NE(syslog("<13>").find(R"("message":""})"), std::string::npos);
}

TEST(parse_syslog, says_where_a_line_does_not_match) {
  EXPECT_EQ(why("syslog", ""),
            "permanent: not a line of syslog (wrong at its priority or timestamp");
  EXPECT_EQ(why("syslog", "hello"),
            "permanent: not a line of syslog (wrong at its priority or timestamp");
  for (const char* const bad : {"<192>x", "<>x", "<-1>x", "<1x", "<0x1>y", "<+1>y", "<1000>x"}) {
    EXPECT_EQ(why("syslog", bad), "permanent: not a line of syslog (wrong at its priority") << bad;
  }
  EXPECT_EQ(why("syslog", "<1>1 - - - -"), "permanent: not a line of syslog (wrong at its procid");
  EXPECT_EQ(why("syslog", "<1>Oct 11 22:14:15"),
            "permanent: not a line of syslog (wrong at its timestamp");
}

TEST(parse_logfmt, reads_pairs_in_their_order) {
  EXPECT_EQ(parsed("logfmt", R"(at=info  path=/a?b=c fwd="1.2.3.4" n=5 empty= alone)"),
            R"({"at":"info","path":"/a?b=c","fwd":"1.2.3.4","n":"5","empty":"","alone":true})");
  EXPECT_EQ(parsed("logfmt", "msg=\"a \\\"b\\\"\\n\\u00e9\tc\" x=\xC3\xA9"),
            "{\"msg\":\"a \\\"b\\\"\\né\\tc\",\"x\":\"é\"}");
}

TEST(parse_logfmt, of_a_key_given_again_the_last_counts) {
  EXPECT_EQ(parsed("logfmt", "a=1 b=2 a=3 a"), R"({"a":true,"b":"2"})");
}

TEST(parse_logfmt, has_the_types_it_is_told) {
  const auto stage =
      parse({{"format", "logfmt"}, {"types", table{{"n", "int"}, {"x", "float"}, {"b", "bool"}}}});
  EXPECT_EQ(attempt(*stage, record::line(R"(n=007 x="1.50" b=true t=1)")),
            R"({"n":7,"x":1.50,"b":true,"t":"1"})");
  EXPECT_EQ(attempt(*stage, record::line("n= x=1")), R"({"n":null,"x":1})");
  EXPECT_EQ(attempt(*stage, record::line("n=x")),
            "permanent: not a line of logfmt ('n' is not an integer: 'x'): 'n=x'");
}

TEST(parse_logfmt, says_what_is_wrong) {
  const std::map<std::string, std::string> wrong = {
      {"", "no key=value in it"},
      {"just some words", "no key=value in it"},
      {"=5", "a value without a key"},
      {"a=\"open", "a quote that is never closed"},
      {"a=\"open\\\"", "a quote that is never closed"},
      {"a=\"x\"y", "a value that goes on behind its closing quote"},
      {"a=x\"y\"", "a quote inside of a value"},
      {"a\"b=1", "a quote inside of a key"},
      {"a=\"\\q\"", "'a' has an escape that JSON does not know"}};
  for (const auto& [line, reason] : wrong) {
    EXPECT_EQ(parsed("logfmt", line),
              "permanent: not a line of logfmt (" + reason + "): '" + excerpt(line) + "'");
  }
}

TEST(parse_logfmt, a_line_of_very_many_keys_is_quick) {
  std::string line;
  for (int i = 0; i < 100'000; ++i) line += "k" + std::to_string(i) + "=1 ";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_GT(parsed("logfmt", line).size(), line.size());
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(parse_csv, reads_one_row) {
  EXPECT_EQ(parsed("csv", R"(1,"a ""b"", c",)"), R"(["1","a \"b\", c",""])");
  const auto named = parse({{"format", "csv"},
                            {"columns", std::vector<std::string>{"id", "x"}},
                            {"types", table{{"id", "int"}}}});
  EXPECT_EQ(attempt(*named, record::line("1,a")), R"({"id":1,"x":"a"})");
  EXPECT_EQ(attempt(*named, record::json(R"({"line":"2,\"b\nc\"\r\n"})")),
            R"({"id":2,"x":"b\nc"})");
  EXPECT_EQ(attempt(*named, record::line("1")), "permanent: 1 field in a row of 2 columns: '1'");
  EXPECT_EQ(attempt(*named, record::line("x,y")), "permanent: 'id' is not an integer: 'x': 'x,y'");
  EXPECT_EQ(attempt(*named, record::json(R"({"line":"1,2\n3,4"})")),
            "permanent: field 2 has a newline outside of quotes: '1,2\\x0a3,4'");
}

TEST(parse_csv, columns_have_to_make_sense) {
  const auto error = [](fields given) { return config_error_of([&] { parse(given); }); };
  using names = std::vector<std::string>;
  EXPECT_EQ(error({{"format", "csv"}, {"columns", names{"a", "a"}}}),
            "columns: a column has no name, or that of another");
  EXPECT_EQ(error({{"format", "json"}, {"columns", names{"a"}}}),
            "columns: columns belong to format: csv");
  EXPECT_EQ(error({{"format", "csv"}, {"types", table{{"a", "int"}}}}),
            "types: there is no column 'a'");
  EXPECT_EQ(error({{"format", "syslog"}, {"types", table{{"a", "int"}}}}),
            "types: types belong to a regex, csv or logfmt; syslog knows its own");
}

TEST(parse_regex_types, take_odd_numbers_as_they_are_or_not_at_all) {
  const auto stage = parse({{"regex", R"(^(?<n>[^ ]*) ?(?<x>[^ ]*) ?(?<b>[^ ]*)$)"},
                            {"types", table{{"n", "int"}, {"x", "float"}, {"b", "bool"}}}});
  const std::map<std::string, std::string> lines = {
      {"", R"({"n":null,"x":null,"b":null})"},
      {"-0 -0.0 true", R"({"n":-0,"x":-0.0,"b":true})"},
      {std::string(400, '9') + " 1e308 false",
       "{\"n\":" + std::string(400, '9') + R"(,"x":1e308,"b":false})"},
      {"007 1. ", R"({"n":7,"x":1,"b":null})"},
      {"1 1e309 ", "permanent: 'x' is not a number: '1e309'"},
      {"1 0x10 ", "permanent: 'x' is not a number: '0x10'"},
      {"1 inf ", "permanent: 'x' is not a number: 'inf'"},
      {"+1  ", "permanent: 'n' is not an integer: '+1'"},
      {"1.0  ", "permanent: 'n' is not an integer: '1.0'"},
      {"1 1 TRUE", "permanent: 'b' is not true or false: 'TRUE'"}};
  for (const auto& [line, result] : lines) {
    EXPECT_EQ(attempt(*stage, record::line(line)), result) << line;
  }
}

TEST(parse_regex_types, a_group_that_took_no_part_is_null_and_an_empty_one_is_not) {
  const auto stage = parse({{"regex", "^(?<a>x)?(?<b>y*)(?<c>z)?"}});
  EXPECT_EQ(attempt(*stage, record::line("z")), R"({"a":null,"b":"","c":"z"})");
}

TEST(parse_regex_types, one_name_for_two_groups_is_refused) {
  EXPECT_EQ(config_error_of([] { parse({{"regex", "(?J)(?<a>x)|(?<a>y)"}}); }),
            "regex: two groups are named 'a'; (?|...|...) gives one group several ways");
}

TEST(parse_regex_types, a_match_that_takes_too_long_is_permanent) {
  const auto stage = parse({{"regex", R"(^(?<a>(x+x+)+)$)"}});
  EXPECT_EQ(attempt(*stage, record::line(std::string(5000, 'x') + "!")).substr(0, 28),
            "permanent: the regex gave up");
}

TEST(parse_from, looks_for_text_and_keeps_the_rest) {
  const auto stage = parse({{"format", "logfmt"}, {"from", ".log.text"}, {"keep_rest", true}});
  EXPECT_EQ(attempt(*stage, record::json(R"({"id": 1.50, "log": {"text": "id=7 a=b"}})")),
            R"({"id":"7","a":"b","log":{"text": "id=7 a=b"}})");
  EXPECT_EQ(attempt(*stage, record::json(R"({"log": {"text": 5}})")),
            "permanent: .log.text is no text to parse: '5'");
  EXPECT_EQ(attempt(*stage, record::json(R"({"log": {}})")),
            "permanent: .log.text is no text to parse: 'null'");
  const auto rows = parse({{"format", "csv"}, {"keep_rest", true}});
  EXPECT_EQ(attempt(*rows, record::json(R"({"line":"a"})")),
            "permanent: the parsed text is no object, so keep_rest has nowhere to put the rest");
}

TEST(parse_from, a_line_that_is_no_text_is_permanent) {
  for (const char* const format : {"syslog", "logfmt", "csv"}) {
    EXPECT_EQ(parsed(format, "a=caf\xe9"),
              "permanent: invalid UTF-8 at byte 6 of the line 'a=caf\\xe9'");
  }
}

}  // namespace
}  // namespace brigade
