#include "connect/components.hpp"
#include "connect/jq_words.hpp"

#include <brigade/connect/jq.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace brigade {
namespace {

using test::attempt;
using test::config_error_of;

registry jq_registry() {
  registry known;
  register_jq(known);
  return known;
}

std::unique_ptr<stage_body> jq(const std::string& program) {
  return test::make_stage(jq_registry(), "jq", {{"program", program}});
}
std::unique_ptr<stage_body> filter(const std::string& expression) {
  return test::make_stage(jq_registry(), "filter", {{"expression", expression}});
}

TEST(jq_stage, passes_filters_splits_and_fails) {
  const auto stage = jq(R"(if .n == 0 then empty elif .n == 1 then {m: .n}
                           elif .n == 2 then .n, "two" else error("no " + .n) end)");
  EXPECT_EQ(attempt(*stage, record::json(R"({"n":0})")), "filtered");
  EXPECT_EQ(attempt(*stage, record::json(R"({"n":1})")), R"({"m":1})");
  EXPECT_EQ(attempt(*stage, record::json(R"({"n":2})")), R"(split 2 "two")");
  EXPECT_EQ(attempt(*stage, record::json(R"({"n":"luck"})")), "permanent: no luck");
  EXPECT_EQ(attempt(*stage, record::json(R"({"n":1})")), R"({"m":1})");
}

TEST(split_stage, makes_an_item_of_each_element) {
  const auto stage = test::make_stage(jq_registry(), "split", {{"expression", ".all # of them"}});
  EXPECT_EQ(attempt(*stage, record::json(R"({"all":[1,{"b":2}]})")), R"(split 1 {"b":2})");
  EXPECT_EQ(attempt(*stage, record::json(R"({"all":[[7]]})")), "split [7]");
  EXPECT_EQ(attempt(*stage, record::json(R"({"all":[]})")), "filtered");
  EXPECT_EQ(attempt(*stage, record::json(R"({"all":{"a":[]}})")),
            "permanent: the expression of split gives no array, but an object");
  EXPECT_EQ(attempt(*stage, record::json("{}")),
            "permanent: the expression of split gives no array, but null");
  const std::string wrong = config_error_of([] {
    static_cast<void>(test::make_stage(jq_registry(), "split", {{"expression", ".a | halt"}}));
  });
  EXPECT_TRUE(wrong.starts_with("expression: ")) << wrong;
}

TEST(jq_stage, an_error_behind_outputs_fails_the_whole_item) {
  EXPECT_EQ(attempt(*jq(".a, error(\"late\")"), record::json(R"({"a":1})")), "permanent: late");
}

TEST(jq_stage, an_error_that_is_no_string_is_shown_as_json) {
  EXPECT_EQ(attempt(*jq("error({code: 7})"), record::json("1")), R"(permanent: {"code":7})");
}

// libjq alone takes an error with null for the end of the outputs: the item would be gone.
TEST(jq_stage, an_error_with_null_is_not_a_silent_filter) {
  EXPECT_EQ(attempt(*jq(".a | error"), record::json("{}")), "permanent: null (null)");
  EXPECT_EQ(attempt(*jq("error(.a)"), record::json("{}")), "permanent: null (null)");
  EXPECT_EQ(attempt(*jq(".[] | try error catch ."), record::json(R"(["x"])")), R"("x")");
}

// Each of these aborts the process in jq 1.6.
TEST(jq_stage, survives_what_aborts_libjq) {
  EXPECT_EQ(attempt(*jq("strftime(1)"), record::json("1")),
            "permanent: a time format must be a string");
  EXPECT_EQ(attempt(*jq("strflocaltime({})"), record::json("1")),
            "permanent: a time format must be a string");
  EXPECT_EQ(attempt(*jq("todate"), record::json("1e18")).substr(0, 10), "permanent:");
  EXPECT_EQ(attempt(*jq("strftime(\"%Y\")"), record::json("1e300")).substr(0, 10), "permanent:");
  EXPECT_EQ(attempt(*jq("todate"), record::json("1425599621")), R"("2015-03-05T23:53:41Z")");
}

TEST(jq_stage, takes_a_line_as_an_object) {
  EXPECT_EQ(attempt(*jq(".line | length"), record::line("abc")), "3");
  EXPECT_EQ(attempt(*jq(".line"), record::line("\xff")),
            "permanent: invalid UTF-8 at byte 1 of the line '\\xff'");
}

TEST(jq_stage, refuses_an_item_that_it_would_change_silently) {
  const auto stage = jq(".");
  EXPECT_EQ(attempt(*stage, record::json(R"({"id":12345678901234567})")),
            "permanent: jq would change the number 12345678901234567: it works in doubles");
  EXPECT_EQ(attempt(*stage, record::json(R"({"s":"12345678901234567"})")),
            R"({"s":"12345678901234567"})");
  EXPECT_EQ(attempt(*stage, record::json("[0.1,-2.50e3]")), "[0.1,-2500]");
  const std::string deep = std::string(256, '[') + std::string(256, ']');
  EXPECT_EQ(attempt(*stage, record::json(deep)), deep);
  EXPECT_EQ(attempt(*stage, record::json("[" + deep + "]")),
            "permanent: the item is nested deeper than 256, too deep for jq");
}

TEST(jq_stage, refuses_to_print_half_of_what_is_nested_too_deep) {
  const std::string result = attempt(*jq("reduce range(300) as $i (.; [.])"), record::json("1"));
  EXPECT_EQ(result.substr(0, 10), "permanent:") << result;
}

TEST(jq_stage, shows_why_a_program_does_not_compile) {
  const std::string error = config_error_of([] { jq(".a |\n | .b"); });
  EXPECT_EQ(error.substr(0, 41), "program: not a jq program: syntax error, ") << error;
  EXPECT_NE(error.find("line 2"), std::string::npos) << error;
  EXPECT_EQ(config_error_of([] { jq("nosuch"); }),
            "program: not a jq program: nosuch/0 is not defined in line 1");
}

TEST(jq_words, are_found_wherever_they_are_program) {
  for (const char* const program : {"env",
                                    "env.PATH",
                                    "$ENV",
                                    "$ENV.PATH",
                                    "$ ENV",
                                    ". | input",
                                    "[inputs]",
                                    "halt",
                                    "halt_error",
                                    "\"x\" | halt_error(1)",
                                    "debug",
                                    ".a|stderr",
                                    "input_filename",
                                    "get_search_list",
                                    "import \"a\" as a; .",
                                    "include \"a\"; .",
                                    "error(null)",
                                    "error ( null )",
                                    "error(#c\nnull)",
                                    "\"a \\(input) b\"",
                                    "\"\\(\"\\(env)\")\"",
                                    "{a: input}",
                                    "{(input): 1}",
                                    "{a: 1} | input",
                                    "[input, 1]",
                                    "{a: [1, input]}",
                                    "{a: (1, input)}",
                                    ".a[input]",
                                    "@base64 \"\\(env)\"",
                                    "input_line_number",
                                    "\"m\" | modulemeta",
                                    "reduce inputs as $x (0; . + 1)",
                                    "{} | halt",
                                    "{a:\"\\(env)\"}"}) {
    EXPECT_TRUE(refused_jq_word(program).has_value()) << program;
    EXPECT_THROW(jq_program{program}, std::invalid_argument) << program;
  }
}

TEST(jq_words, are_harmless_as_names_and_text) {
  for (const char* const program : {".input",
                                    ".a.env",
                                    ".input | .halt",
                                    "\"input\"",
                                    "\"a \\\" input\"",
                                    ".[\"env\"]",
                                    "{input: 1}",
                                    "{a: 1, env: 2}",
                                    "{input}",
                                    "{debug, a: 1}",
                                    "1 as $input | $input",
                                    "# input\n.",
                                    ".a # env",
                                    "\"\\\\(input)\"",
                                    "{\"input\": 1}",
                                    ". as {input: $x} | $x",
                                    "def inputs2: 1; inputs2",
                                    "environment?",
                                    "error(\"null\")",
                                    "error(.null)",
                                    "\"\\(.input) env\"",
                                    ". as {$input} | $input",
                                    "[.[]?] | length",
                                    "{a: {input: 1}}"}) {
    EXPECT_EQ(refused_jq_word(program), std::nullopt) << program;
  }
  EXPECT_NO_THROW(jq_program("{input: .env, \"x\": \"halt \\(.input)\"}"));
}

TEST(filter_stage, passes_the_item_as_it_is_or_filters_it) {
  const auto native = filter(".total != null");
  EXPECT_EQ(attempt(*native, record::json(R"({"total": 12345678901234567890})")), "unchanged");
  EXPECT_EQ(attempt(*native, record::json(R"({"total": null})")), "filtered");
  EXPECT_EQ(attempt(*native, record::json("{}")), "filtered");
  EXPECT_EQ(attempt(*native, record::json("7")),
            "permanent: Cannot index number with string \"total\"");
  const auto libjq = filter(".tags | any(. == \"x\")");
  EXPECT_EQ(attempt(*libjq, record::json(R"({"tags":["y","x"],"n":12345678901234567890})")),
            "unchanged");
  EXPECT_EQ(attempt(*libjq, record::json(R"({"tags":[]})")), "filtered");
  EXPECT_EQ(attempt(*filter("empty"), record::json("1")), "filtered");
  EXPECT_EQ(attempt(*filter(".[]"), record::json("[1,2]")),
            "permanent: the expression gives more than one result");
  EXPECT_EQ(attempt(*filter(".line == \"a\""), record::line("a")), "unchanged");
}

TEST(filter_stage, refuses_a_timeout_that_nothing_could_keep) {
  const registry known = jq_registry();
  const component& entry = *known.find(component_kind::stage, "filter");
  component_context context = test::context_in(".");
  context.attempt_timeout = std::chrono::milliseconds(5000);
  const auto make = [&](const char* expression) {
    return config_error_of([&] {
      entry.make_stage(test::settings_for(entry, {{"expression", std::string(expression)}}),
                       context);
    });
  };
  EXPECT_EQ(make(".a == 1"), "");
  EXPECT_EQ(make(".a == .b"),
            "expression: libjq evaluates this expression and has no time limit: leave out the "
            "stage's timeout");
}

TEST(jq_stage, refuses_a_timeout) {
  const registry known = jq_registry();
  EXPECT_EQ(known.find(component_kind::stage, "jq")->refuses, std::vector<std::string>{"timeout"});
}

}  // namespace
}  // namespace brigade
