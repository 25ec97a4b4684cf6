#include "connect/exec_protocol.hpp"

#include "connect/exec_command.hpp"
#include "connect/json_text.hpp"

#include <brigade/pipeline/config_spec.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace brigade::exec {
namespace {

answer answer_in(std::string_view line) {
  auto decoded = decode_answer(line);
  if (const rubbish* const wrong = std::get_if<rubbish>(&decoded)) ADD_FAILURE() << wrong->why;
  return std::holds_alternative<answer>(decoded) ? std::get<answer>(std::move(decoded)) : answer{};
}

std::string complaint_about(std::string_view line) {
  const auto decoded = decode_answer(line);
  const rubbish* const wrong = std::get_if<rubbish>(&decoded);
  return wrong == nullptr ? "" : wrong->why;
}

failure failure_in(std::string_view line) {
  const answer decoded = answer_in(line);
  return decoded.error.value_or(failure(verdict::fatal, "no error in the answer"));
}

TEST(exec_protocol, writes_a_request_with_the_item_as_it_is) {
  std::string out = "before\n";
  append_request(out, 17, "orders:main:8f3a:40960", 2,
                 R"({"total": 1.50,  "n":12345678901234567890})");
  EXPECT_EQ(out,
            "before\n"
            R"({"id": 17, "key": "orders:main:8f3a:40960", "attempt": 2, "item": )"
            R"({"total": 1.50,  "n":12345678901234567890}})"
            "\n");
}

TEST(exec_protocol, writes_any_key_as_a_json_string) {
  std::string out;
  append_request(out, 1, "a\"b\\c\n\xC3\xA4", 1, "null");
  EXPECT_EQ(out.find('\n'), out.size() - 1);
  EXPECT_FALSE(json_text::check(out));
}

TEST(exec_protocol, keeps_the_bytes_of_an_ok_value) {
  const answer all =
      answer_in(R"( { "ok" : {"n":12345678901234567890, "x": 1.0e-7 , "s":"\u00e4}"} , "id":17})");
  EXPECT_EQ(all.id, 17U);
  EXPECT_FALSE(all.error);
  EXPECT_EQ(all.value, R"({"n":12345678901234567890, "x": 1.0e-7 , "s":"\u00e4}"})");
  EXPECT_EQ(answer_in(R"({"id": 1, "ok": null})").value, "null");
  EXPECT_EQ(answer_in(R"({"id": 1, "ok": [1, {"a": "]"}], "more": {}})").value,
            R"([1, {"a": "]"}])");
  EXPECT_EQ(answer_in("{\"id\": 1, \"ok\": \"x\"}\r").value, "\"x\"");
  EXPECT_EQ(answer_in(R"({"\u0069d": 1, "o\u006b": 2})").value, "2");
}

TEST(exec_protocol, takes_an_error_without_more_as_retryable) {
  const failure plain = failure_in(R"({"id": 1, "error": "busy"})");
  EXPECT_EQ(plain.kind, verdict::retryable);
  EXPECT_EQ(plain.error, "busy");
  EXPECT_FALSE(plain.retry_after);
  EXPECT_FALSE(plain.killed_handler);
  EXPECT_EQ(failure_in(R"({"id": 1, "error": "busy", "retry": true})").kind, verdict::retryable);
  EXPECT_EQ(failure_in(R"({"id": 1, "error": "busy", "retry": "no"})").kind, verdict::retryable);
}

TEST(exec_protocol, takes_retry_false_as_permanent_and_fatal_as_fatal) {
  EXPECT_EQ(failure_in(R"({"id": 1, "error": "declined", "retry": false})").kind,
            verdict::permanent);
  EXPECT_EQ(failure_in(R"({"id": 1, "error": "no licence", "fatal": true})").kind, verdict::fatal);
  EXPECT_EQ(failure_in(R"({"id": 1, "error": "x", "retry": false, "fatal": true})").kind,
            verdict::fatal);
  EXPECT_EQ(failure_in(R"({"id": 1, "error": "x", "fatal": false})").kind, verdict::retryable);
}

TEST(exec_protocol, takes_a_number_as_the_seconds_to_wait) {
  using std::chrono::milliseconds;
  const auto after = [](const std::string& retry) {
    return failure_in(R"({"id": 1, "error": "busy", "retry": )" + retry + "}").retry_after;
  };
  EXPECT_EQ(after("30"), milliseconds(30'000));
  EXPECT_EQ(after("0.25"), milliseconds(250));
  EXPECT_EQ(after("0"), milliseconds(0));
  EXPECT_EQ(after("1e300"), milliseconds(1'000'000'000'000));
  EXPECT_EQ(after("-1"), std::nullopt);
}

TEST(exec_protocol, makes_one_line_of_an_error) {
  EXPECT_EQ(failure_in(R"({"id": 1, "error": "one\ntwo\tthree\u0000\n"})").error, "one two three ");
  EXPECT_EQ(failure_in(R"({"id": 1, "error": {"code": 7}})").error, R"({"code": 7})");
  const std::string long_text(5000, 'x');
  EXPECT_LE(failure_in(R"({"id": 1, "error": ")" + long_text + "\"}").error.size(), 4100U);
}

TEST(exec_protocol, keeps_the_blanks_a_line_of_the_log_begins_with) {
  EXPECT_EQ(indented_line("    raise ValueError \r", 50), "    raise ValueError");
  EXPECT_EQ(indented_line("\tat main.js:3", 50), "  at main.js:3");
  EXPECT_EQ(indented_line(" \t ", 50), "");
  EXPECT_EQ(indented_line(std::string(100, ' ') + "x", 10), std::string(10, ' ') + "x");
}

TEST(exec_protocol, cuts_a_text_between_characters) {
  EXPECT_EQ(one_line("abc\xC3\xA4", 4), "abc...");
  EXPECT_EQ(one_line("abc\xC3\xA4", 5), "abc\xC3\xA4");
  EXPECT_EQ(one_line("bad \xFF bytes", 50), "bad ? bytes");
}

TEST(exec_protocol, calls_rubbish_by_its_name) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"charging card", "not a JSON object: 'charging card'; stdout is for answers alone"},
      {"", "not a JSON object: ''"},
      {"17", "not a JSON object"},
      {R"(["id", 1, "ok", 2])", "not a JSON object"},
      {R"({"id": 1, "ok": 2} {"id": 2, "ok": 2})", "not a JSON object"},
      {R"({"id": 1, "ok": })", "not a JSON object"},
      {R"({"id": 1, "ok": 01})", "not a JSON object"},
      {R"({"id": 1, "ok": {"a": 1})", "not a JSON object"},
      {"{\"id\": 1, \"ok\": \"\xFF\"}", "not a JSON object"},
      {R"({"ok": 2})", "without the id"},
      {R"({"id": "1", "ok": 2})", "without the id"},
      {R"({"id": 1.5, "ok": 2})", "without the id"},
      {R"({"id": -1, "ok": 2})", "without the id"},
      {R"({"id": 99999999999999999999, "ok": 2})", "without the id"},
      {R"({"id": 1})", "neither 'ok' nor 'error'"},
      {R"({"id": 1, "ok": 2, "error": "x"})", "both 'ok' and 'error'"},
      {R"({"id": 1, "id": 2, "ok": 2})", "given twice"},
      {R"({"id": 1, "ok": 1, "ok": 2})", "given twice"},
  };
  for (const auto& [line, complaint] : cases) {
    EXPECT_NE(complaint_about(line).find(complaint), std::string::npos)
        << line << " -> " << complaint_about(line);
  }
}

TEST(exec_protocol, survives_every_beginning_of_an_answer) {
  const std::string whole = R"({"id": 1, "ok": {"a": ["\u00e4\\", -1.5e3, true, null]}, "x": ""})";
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(complaint_about(whole.substr(0, length)), "") << length;
  }
  EXPECT_EQ(complaint_about(whole), "");
}

void put(line_buffer& lines, std::string_view bytes) {
  const std::span<char> space = lines.space();
  ASSERT_GE(space.size(), bytes.size());
  std::ranges::copy(bytes, space.begin());
  lines.filled(bytes.size());
}

TEST(line_buffer, gives_the_same_lines_however_the_bytes_come) {
  const std::string text = "one\n\ntwo three\n" + std::string(1000, 'x') + "\nlast";
  for (const std::size_t piece : {1U, 2U, 3U, 7U, 100U, 5000U}) {
    line_buffer lines;
    std::vector<std::string> got;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      put(lines, std::string_view(text).substr(at, piece));
      while (const auto line = lines.next()) got.emplace_back(*line);
    }
    EXPECT_EQ(got, (std::vector<std::string>{"one", "", "two three", std::string(1000, 'x')}));
    EXPECT_EQ(lines.rest(), "last");
  }
}

TEST(line_buffer, holds_a_line_longer_than_many_chunks) {
  line_buffer lines;
  const std::string chunk(line_buffer::chunk_bytes, 'y');
  for (int count = 0; count < 20; ++count) {
    put(lines, chunk);
    EXPECT_FALSE(lines.next());
  }
  EXPECT_EQ(lines.rest().size(), 20 * chunk.size());
  put(lines, "\nnext");
  EXPECT_EQ(lines.next()->size(), 20 * chunk.size());
  EXPECT_EQ(lines.rest(), "next");
  lines.drop_rest();
  EXPECT_EQ(lines.rest(), "");
}

std::vector<std::string> filled(const std::vector<std::string>& command, std::string_view item) {
  return command_template(command).fill(item);
}

TEST(command_template, fills_in_fields_as_one_argument_each) {
  EXPECT_EQ(filled({"curl", "--data={text}", "{id}/{text}", "{n}", "{list}"},
                   R"({"id": "a b; rm *", "text": "x\ny", "n": 1.50, "list": [1, 2]})"),
            (std::vector<std::string>{"curl", "--data=x\ny", "a b; rm */x\ny", "1.50", "[1, 2]"}));
  EXPECT_EQ(filled({"p", "{a}"}, R"({"a": ""})"), (std::vector<std::string>{"p", ""}));
}

TEST(command_template, leaves_other_braces_alone) {
  EXPECT_EQ(
      filled({"p", "{", "}", "{}", "{ a }", "{1}", "{a: {b: 1}}", "", "{a"}, "{}"),
      (std::vector<std::string>{"p", "{", "}", "{}", "{ a }", "{1}", "{a: {b: 1}}", "", "{a"}));
  EXPECT_EQ(filled({"awk", "{{print}}", "{{a}}{a}"}, R"({"a": 1})"),
            (std::vector<std::string>{"awk", "{print}", "{a}1"}));
}

TEST(command_template, refuses_an_item_without_the_field) {
  const command_template command({"p", "{a}"});
  EXPECT_THROW(static_cast<void>(command.fill(R"({"b": 1})")), permanent_error);
  EXPECT_THROW(static_cast<void>(command.fill("17")), permanent_error);
  EXPECT_THROW(static_cast<void>(command.fill(R"({"a": "x\u0000y"})")), permanent_error);
}

TEST(command_template, refuses_a_program_that_comes_from_the_item) {
  EXPECT_THROW(command_template({"{a}", "b"}), config_error);
}

}  // namespace
}  // namespace brigade::exec
