#include "connect/csv_row.hpp"

#include <brigade/pipeline/config_spec.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade {
namespace {

using texts = std::vector<std::string>;

/// The fields, or `!` and why there are none.
texts fields_of(std::string_view text) {
  csv_row row;
  if (const auto why = row.read(text)) return {"!" + *why};
  return {row.fields().begin(), row.fields().end()};
}

TEST(csv_row, splits_at_commas_outside_of_quotes) {
  EXPECT_EQ(fields_of("a,b c,"), (texts{"a", "b c", ""}));
  EXPECT_EQ(fields_of(R"("a,b","c""d",""""," e ")"), (texts{"a,b", "c\"d", "\"", " e "}));
  EXPECT_EQ(fields_of("\"two\nlines\",\"\r\n\""), (texts{"two\nlines", "\r\n"}));
  EXPECT_EQ(fields_of(R"("","")"), (texts{"", ""}));
  EXPECT_EQ(fields_of(","), (texts{"", ""}));
  EXPECT_EQ(fields_of(""), (texts{""}));
}

TEST(csv_row, many_doubled_quotes_stay_where_they_were) {
  std::string text;
  texts expected;
  for (int i = 0; i < 300; ++i) {
    text += std::string(i > 0 ? "," : "") + R"("a""b"")" + std::to_string(i) + R"(""")";
    expected.push_back("a\"b\"" + std::to_string(i) + "\"");
  }
  EXPECT_EQ(fields_of(text), expected);
}

TEST(csv_row, a_quote_inside_of_a_field_is_a_character) {
  EXPECT_EQ(fields_of(R"(5" pipe,a""b)"), (texts{"5\" pipe", "a\"\"b"}));
}

TEST(csv_row, says_what_is_wrong) {
  EXPECT_EQ(fields_of(R"(a,"b)"), texts{"!the quote of field 2 is never closed"});
  EXPECT_EQ(fields_of(R"(a,"b"")"), texts{"!the quote of field 2 is never closed"});
  EXPECT_EQ(fields_of(R"("a" ,b)"), texts{"!field 1 goes on behind its closing quote"});
  EXPECT_EQ(fields_of("a,b\nc"), texts{"!field 2 has a newline outside of quotes"});
}

std::string json_of(const csv_columns& columns, std::string_view text) {
  std::string json = "<";
  if (const auto why = append_csv_row(columns, text, json)) return json + "!" + *why;
  return json;
}

TEST(csv_columns, name_the_fields) {
  const csv_columns columns({"id", "na\"me"}, {});
  EXPECT_EQ(json_of(columns, R"(007,"a ""b""")"), R"(<{"id":"007","na\"me":"a \"b\""})");
  EXPECT_EQ(json_of(columns, "1"), "<!1 field in a row of 2 columns");
  EXPECT_EQ(json_of(columns, "1,2,3"), "<!3 fields in a row of 2 columns");
  EXPECT_EQ(json_of(columns, "1,caf\xe9"), "<!invalid UTF-8 at byte 6 of the row");
}

TEST(csv_columns, without_names_a_row_is_an_array) {
  EXPECT_EQ(json_of({}, "a,,\"b\nc\""), R"(<["a","","b\nc"])");
}

TEST(csv_columns, names_are_made_distinct) {
  const auto names = [](texts given) { return csv_columns(std::move(given), {}).names(); };
  EXPECT_EQ(names({"a", "", "a", "a", ""}), (texts{"a", "2", "a_2", "a_3", "5"}));
  EXPECT_EQ(names({"a", "a_2", "a"}), (texts{"a", "a_2", "a_3"}));
  EXPECT_EQ(names({"2", "", "2_2"}), (texts{"2", "2_3", "2_2"}));
}

TEST(csv_columns, have_the_types_they_are_told) {
  const csv_columns columns(
      {"n", "x", "b", "t"},
      {{"n", value_type::integer}, {"x", value_type::decimal}, {"b", value_type::boolean}});
  EXPECT_EQ(json_of(columns, "-007,1.50,true,5"), R"(<{"n":-7,"x":1.50,"b":true,"t":"5"})");
  EXPECT_EQ(json_of(columns, ",,,"), R"(<{"n":null,"x":null,"b":null,"t":""})");
  EXPECT_EQ(json_of(columns, "99999999999999999999999999,.5,false,"),
            R"(<{"n":99999999999999999999999999,"x":0.5,"b":false,"t":""})");
  EXPECT_EQ(json_of(columns, "1.5,1,true,"), "<!'n' is not an integer: '1.5'");
  EXPECT_EQ(json_of(columns, "1,1e999,true,"), "<!'x' is not a number: '1e999'");
  EXPECT_EQ(json_of(columns, "1,nan,true,"), "<!'x' is not a number: 'nan'");
  EXPECT_EQ(json_of(columns, "1,1,yes,"), "<!'b' is not true or false: 'yes'");
}

TEST(csv_columns, a_type_for_a_column_there_is_not_is_refused) {
  EXPECT_THROW(csv_columns({"a"}, {{"b", value_type::integer}}), config_error);
}

TEST(csv_field, is_quoted_where_it_has_to_be) {
  const auto written = [](std::string_view field) {
    std::string text;
    append_csv_field(text, field);
    return text;
  };
  EXPECT_EQ(written("plain text"), "plain text");
  EXPECT_EQ(written(""), "");
  EXPECT_EQ(written("a,b"), R"("a,b")");
  EXPECT_EQ(written("\"a\"b\""), R"("""a""b""")");
  EXPECT_EQ(written("a\r\nb"), "\"a\r\nb\"");
}

}  // namespace
}  // namespace brigade
