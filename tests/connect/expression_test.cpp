#include <brigade/connect/expression.hpp>
#include <brigade/connect/jq.hpp>
#include <brigade/pipeline/stage.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade {
namespace {

const std::vector<std::string> native_texts = {
    ".",
    ".a",
    ".a.b",
    ".a.b[0]",
    ".a[1].b",
    ".[\"a b\"]",
    ".[\"a b\"][\"c\"]",
    ".a[\"b\"]",
    ".[0]",
    ".[-1]",
    ".[7]",
    ".[-7]",
    ".and",
    "  .a  ",
    ".a == null",
    ".a != null",
    ".a == 1",
    ".a != 1",
    ".a < 1",
    ".a <= 1",
    ".a > 1",
    ".a >= 1",
    ".a == 1.0",
    ".a == -1",
    ".a > -1.5e0",
    ".a==\"x\"",
    ".a > \"x\"",
    ".a <= \"\\u0078y\"",
    ".a == true",
    ".a < true",
    ".a >= false",
    ".a > null",
    ".a.b[0] >= 2",
    ". == 0",
    ". == \"\"",
    "1 < .a",
    "1 >= .a",
    "\"x\" == .a",
    "null != .a",
    "1e2 == .a",
    ".a == 0.1",
    ".a == 1e400",
};

const std::vector<std::string> documents = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1.5",
    "\"\"",
    "\"x\"",
    "[]",
    "[1,2,[3]]",
    "[null]",
    "{}",
    R"({"a":null})",
    R"({"a":1})",
    R"({"a":1.0})",
    R"({"a":1e0})",
    R"({"a":100})",
    R"({"a":0.1})",
    R"({"a":-1})",
    R"({"a":true})",
    R"({"a":false})",
    R"({"a":"x"})",
    R"({"a":"xy"})",
    R"({"a":"\u0078"})",
    R"({"a":"\u00e9"})",
    R"({"a":[]})",
    R"({"a":[{"b":1},{"b":[2]}]})",
    R"({"a":{}})",
    R"({"a":{"b":[2,3]}})",
    R"({"a":{"b":{"c":1}}})",
    R"({"a":1,"a":2})",
    R"({"a b":{"c":[1]},"and":false})",
    R"( { "a" : { "b" : [ 1 , 2 ] } } )",
    R"({"a":1e300})",
    R"({"a":9007199254740992})",
};

struct outcome_of_one {
  std::string text;
  bool failed = false;
};

outcome_of_one natively(const native_expression& expression, const std::string& document) {
  try {
    return {expression.evaluate(document)};
  } catch (const permanent_error& error) {
    return {error.what(), true};
  }
}

outcome_of_one by_jq(jq_program& program, const std::string& document) {
  try {
    return {program.run(document).at(0)};
  } catch (const permanent_error& error) {
    return {error.what(), true};
  }
}

// Both spellings of a value, as libjq prints it.
std::string normal(jq_program& identity, const std::string& json) {
  return identity.run(json).at(0);
}

TEST(native_expression, means_what_jq_means) {
  jq_program identity(".");
  for (const std::string& text : native_texts) {
    const auto native = native_expression::parse(text);
    ASSERT_TRUE(native.has_value()) << text;
    jq_program program(text);
    for (const std::string& document : documents) {
      const auto mine = natively(*native, document);
      const auto theirs = by_jq(program, document);
      ASSERT_EQ(mine.failed, theirs.failed) << text << " of " << document << ": " << theirs.text;
      if (mine.failed) {
        EXPECT_EQ(mine.text, theirs.text) << text << " of " << document;
      } else {
        EXPECT_EQ(normal(identity, mine.text), theirs.text) << text << " of " << document;
        EXPECT_EQ(native->holds(document), theirs.text != "false" && theirs.text != "null");
      }
    }
  }
}

TEST(native_expression, is_exact_where_jq_rounds) {
  EXPECT_FALSE(
      native_expression::parse(".a == 9007199254740993")->holds(R"({"a":9007199254740992})"));
  EXPECT_TRUE(
      native_expression::parse(".a == 9007199254740993")->holds(R"({"a":9007199254740993})"));
  EXPECT_TRUE(native_expression::parse(".a < 18446744073709551615")
                  ->holds(R"({"a":18446744073709551614})"));
  EXPECT_TRUE(native_expression::parse(".a > -9223372036854775808")
                  ->holds(R"({"a":-9223372036854775807})"));
  EXPECT_TRUE(
      native_expression::parse(".a > 9007199254740992.0")->holds(R"({"a":9007199254740993})"));
  EXPECT_EQ(native_expression::parse(".a")->evaluate(R"({"a":12345678901234567890})"),
            "12345678901234567890");
}

TEST(native_expression, leaves_everything_else_to_libjq) {
  for (const char* const text : {"",
                                 "a",
                                 ".a + 1",
                                 ".a | .b",
                                 ".a, .b",
                                 ".a?",
                                 ".[]",
                                 ".a[]",
                                 "..",
                                 ".a == .b",
                                 ".[1.5]",
                                 ".[1:2]",
                                 ".a == \"\\(.b)\"",
                                 ".a == .5",
                                 "1 == 1",
                                 ".a == 1 == 2",
                                 ".a == nan",
                                 "5",
                                 "\"x\"",
                                 ".a and .b",
                                 ".a.[0]",
                                 ".a == nulls",
                                 ".[\"a\"",
                                 ".a =",
                                 ".a = 1",
                                 ". .a",
                                 ".\"a\"",
                                 ".a == [1]",
                                 ".a == 'x'",
                                 "..a",
                                 ".1a",
                                 ".a == 01",
                                 ".a # comment",
                                 ".a == -null"}) {
    EXPECT_FALSE(native_expression::parse(text).has_value()) << text;
  }
}

TEST(native_expression, tells_a_path_with_one_key) {
  EXPECT_EQ(native_expression::parse(".line")->single_key(), "line");
  EXPECT_EQ(native_expression::parse(".[\"line\"]")->single_key(), "line");
  EXPECT_EQ(native_expression::parse(".a.b")->single_key(), std::nullopt);
  EXPECT_EQ(native_expression::parse(".[0]")->single_key(), std::nullopt);
  EXPECT_EQ(native_expression::parse(".a == 1")->single_key(), std::nullopt);
}

}  // namespace
}  // namespace brigade
