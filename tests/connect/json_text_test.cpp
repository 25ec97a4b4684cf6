#include "connect/json_text.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace brigade::json_text {
namespace {

std::string verdict(std::string_view text) {
  const auto found = check(text);
  return found ? found->why + " at " + std::to_string(found->at) : "fine";
}

TEST(json_check, says_what_is_wrong_and_where) {
  EXPECT_EQ(verdict(R"({"a": 1, "b": [true, null, -1.5e+3, "x\n\u00e9"]} )"), "fine");
  EXPECT_EQ(verdict(""), "the text ends too early at 1");
  EXPECT_EQ(verdict("not json"), "expected a value at 1");
  EXPECT_EQ(verdict(R"({"a": 1)"), "the text ends too early at 8");
  EXPECT_EQ(verdict(R"({"a" 1})"), "expected ':' at 6");
  EXPECT_EQ(verdict(R"({"a": 1 "b": 2})"), "expected ',' or '}' at 9");
  EXPECT_EQ(verdict("[1 2]"), "expected ',' or ']' at 4");
  EXPECT_EQ(verdict("{a: 1}"), "expected a key in double quotes at 2");
  EXPECT_EQ(verdict("[1,]"), "expected a value at 4");
  EXPECT_EQ(verdict(R"({"a":1,})"), "expected a key in double quotes at 8");
  EXPECT_EQ(verdict("1 2"), "unexpected text behind the value at 3");
  EXPECT_EQ(verdict("\"ab"), "a string without its closing quote at 4");
  EXPECT_EQ(verdict("\"a\tb\""), "a control character in a string at 3");
  EXPECT_EQ(verdict(R"("\q")"), "an unknown escape in a string at 3");
  EXPECT_EQ(verdict(R"("\u12g4")"), "expected four hexadecimal digits at 6");
  EXPECT_EQ(verdict(R"("\ud800")"), "half of a surrogate pair in a string at 2");
  EXPECT_EQ(verdict("01"), "unexpected text behind the value at 2");
  EXPECT_EQ(verdict("1."), "expected a digit at 3");
  EXPECT_EQ(verdict("nul"), "expected a value at 1");
  EXPECT_EQ(verdict("\"caf\xe9\""), "invalid UTF-8 at 5");
}

TEST(json_check, survives_any_depth) {
  const std::string deep(200'000, '[');
  EXPECT_EQ(verdict(deep), "the text ends too early at 200001");
  EXPECT_EQ(verdict(deep + std::string(200'000, ']')), "fine");
}

bool boost_accepts(const std::string& text) {
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = 64;
  boost::json::parse(text, error, {}, options);
  return !error;
}

// Mutations of valid texts: both parsers must agree on every one.
TEST(json_check, agrees_with_another_parser) {
  const std::vector<std::string> seeds = {
      R"({"a":1,"b":[true,false,null],"c":{"d":"e\n\u00e9\ud83d\ude00"}})",
      R"([-0.5e-7,0,10,"\\\""])", R"("x")", "-1", R"({"":{"":[[],{}]}})"};
  const std::string alphabet = "{}[]\",:\\0123456789.eE+-truefalsn \t\xc3\xa9u";
  std::mt19937 random(20);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seeds[random() % seeds.size()];
    for (unsigned edits = random() % 3; edits-- > 0;) {
      const std::size_t at = random() % text.size();
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        default:
          text.erase(at, 1);
          break;
      }
      if (text.empty()) text = "0";
    }
    const bool mine = !check(text).has_value();
    ASSERT_EQ(mine, boost_accepts(text)) << text;
    accepted += mine ? 1 : 0;
  }
  EXPECT_GT(accepted, 2000);
}

TEST(object_reader, gives_members_as_they_are_spelled) {
  object_reader members(R"({ "a" : 1.50 , "b\"]}":[1,{"c":"}"}], "d":{"e":"\\"} })");
  ASSERT_TRUE(members.next());
  EXPECT_EQ(members.key(), "\"a\"");
  EXPECT_EQ(members.value(), "1.50");
  ASSERT_TRUE(members.next());
  EXPECT_EQ(members.key(), R"("b\"]}")");
  EXPECT_EQ(members.value(), R"([1,{"c":"}"}])");
  ASSERT_TRUE(members.next());
  EXPECT_EQ(members.value(), R"({"e":"\\"})");
  EXPECT_FALSE(members.next());
  EXPECT_FALSE(object_reader("{ }").next());
}

TEST(object_reader, never_reads_past_the_end_of_rubbish) {
  std::mt19937 random(7);
  const std::string alphabet = "{}[]\",:\\a1 ";
  for (int round = 0; round < 20'000; ++round) {
    std::string text(random() % 20, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    const std::vector<char> exact(text.begin(), text.end());  // so that a sanitizer sees its end
    const std::string_view view(exact.data(), exact.size());
    object_reader members(view);
    for (int i = 0; i < 30 && members.next(); ++i) {
      EXPECT_LE(members.value().size(), view.size());
    }
    array_reader elements(view);
    for (int i = 0; i < 30 && elements.next(); ++i) {
      EXPECT_LE(elements.value().size(), view.size());
    }
  }
}

TEST(object_reader, goes_to_a_member_by_its_key_or_stays) {
  json_text::object_reader members(R"({ "a" : 1 , "bc":"x","d":[]})");
  EXPECT_FALSE(members.next_if(R"("b")"));
  EXPECT_TRUE(members.next_if(R"("a")"));
  EXPECT_EQ(members.value(), "1");
  EXPECT_FALSE(members.next_if(R"("b")"));
  EXPECT_TRUE(members.next());
  EXPECT_EQ(members.key(), R"("bc")");
  EXPECT_TRUE(members.next_if(R"("d")"));
  EXPECT_EQ(members.value(), "[]");
  EXPECT_FALSE(members.next_if(R"("d")"));
  EXPECT_FALSE(members.next());
}

TEST(object_shape, reads_objects_of_the_same_names_in_the_same_order) {
  json_text::object_shape shape;
  const auto values = [&](std::string_view object) {
    std::string text;
    const bool fits =
        shape.read(object, [&](std::size_t at, std::string_view name, std::string_view value) {
          text += std::to_string(at) + std::string(name) + "=" + std::string(value) + ";";
        });
    return fits ? text : "no";
  };
  EXPECT_EQ(values("{}"), "no");
  const unsigned first = shape.learn(R"({"a":1,"b":2})", 2);
  EXPECT_EQ(first, shape.version());
  EXPECT_EQ(values(R"({ "a" : "}" , "b" : {"a":3} })"), R"(0a="}";1b={"a":3};)");
  for (const char* other : {R"({"a":1})", R"({"a":1,"b":2,"c":3})", R"({"b":2,"a":1})",
                            R"({"a":1,"bb":2})", R"({"\u0061":1,"b":2})", "{}"}) {
    EXPECT_EQ(values(other), "no") << other;
  }
  EXPECT_EQ(shape.learn(R"({"a":1,"a":2})", 1), 0U);
  EXPECT_EQ(shape.learn(R"({"\u0061":1})", 1), 0U);
  EXPECT_EQ(shape.version(), first);
  EXPECT_NE(shape.learn("{}", 0), first);
  EXPECT_EQ(values("{ }"), "");
}

TEST(member, is_the_last_of_its_name_also_when_escaped) {
  EXPECT_EQ(member(R"({"a":1,"\u0061":2})", "a"), "2");
  EXPECT_EQ(member(R"({"a":1})", "b"), std::nullopt);
}

TEST(unquoted, undoes_every_escape) {
  std::string storage;
  EXPECT_EQ(unquoted(R"("plain")", storage), "plain");
  EXPECT_EQ(unquoted(R"("\"\\\/\b\f\n\r\t")", storage), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(unquoted(R"("\u0041\u00e9\u20ac\ud83d\ude00!")", storage),
            "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!");
  EXPECT_EQ(unquoted(R"("")", storage), "");
}

TEST(survives_double, tells_what_a_double_would_change) {
  for (const char* const same :
       {"0", "-0.0", "1.50", "9007199254740992", "0.1", "1e22", "123e-2", "100000000000000000000",
        "-12345678901234560", "0e999999", "1234567890123456800000", "5e-324"}) {
    EXPECT_TRUE(survives_double(same)) << same;
  }
  for (const char* const changed :
       {"9007199254740993", "12345678901234567", "1e400", "-1e400", "0.10000000000000000555",
        "3.14159265358979323846", "1e-400", "1e99999999999999999999"}) {
    EXPECT_FALSE(survives_double(changed)) << changed;
  }
}

TEST(to_double, tells_the_too_small_from_the_too_large) {
  EXPECT_EQ(to_double("1.5e2"), 150.0);
  EXPECT_EQ(to_double("1e-400"), 0.0);
  EXPECT_EQ(to_double("1E400"), std::nullopt);
  EXPECT_EQ(to_double("-1e+400"), std::nullopt);
  EXPECT_EQ(to_double(std::string(400, '9')), std::nullopt);
}

TEST(to_int64, takes_only_what_fits) {
  EXPECT_EQ(to_int64("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(to_int64("9223372036854775808"), std::nullopt);
  EXPECT_EQ(to_int64("1.0"), std::nullopt);
}

}  // namespace
}  // namespace brigade::json_text
