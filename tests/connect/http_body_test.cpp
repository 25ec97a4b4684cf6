// Bodies as items: all of them, or what is wrong and where.
#include "connect/http_body.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade {
namespace {

std::vector<std::string> texts(const http_items& from) {
  std::vector<std::string> result;
  for (const record& item : from.items) result.emplace_back(item.raw());
  return result;
}
using list = std::vector<std::string>;

TEST(http_body, a_value_is_an_item_and_an_array_a_batch) {
  const http_items one = items_of_body(http_body_kind::json, " {\"a\":1}\n", 10);
  EXPECT_EQ(texts(one), list{"{\"a\":1}"});
  EXPECT_FALSE(one.is_batch);
  const http_items many = items_of_body(http_body_kind::json, "[1, {\"a\":[2]}, \"[\"]", 10);
  EXPECT_EQ(texts(many), (list{"1", "{\"a\":[2]}", "\"[\""}));
  EXPECT_TRUE(many.is_batch);
  EXPECT_EQ(items_of_body(http_body_kind::json, "[]", 10).status, 0U);
  EXPECT_TRUE(items_of_body(http_body_kind::json, "[]", 10).is_batch);
}

TEST(http_body, an_item_stands_on_one_line_and_is_otherwise_as_it_came) {
  const http_items one = items_of_body(http_body_kind::json, "{\r\n \"a\": 1.50\n}", 10);
  EXPECT_EQ(texts(one), list{"{   \"a\": 1.50 }"});
  EXPECT_EQ(texts(items_of_body(http_body_kind::json, "[{\n}]", 10)), list{"{ }"});
}

TEST(http_body, lines_are_items_and_empty_ones_are_none) {
  const http_items lines = items_of_body(http_body_kind::ndjson, "1\r\n\n {\"a\":2} \n3", 10);
  EXPECT_EQ(texts(lines), (list{"1", "{\"a\":2}", "3"}));
  EXPECT_TRUE(lines.is_batch);
  EXPECT_TRUE(texts(items_of_body(http_body_kind::ndjson, "", 10)).empty());
}

TEST(http_body, what_is_wrong_is_told_with_its_place) {
  const auto wrong = [](http_body_kind kind, std::string_view body) {
    const http_items result = items_of_body(kind, body, 10);
    EXPECT_EQ(result.status, 400U);
    EXPECT_TRUE(result.items.empty());
    return result.error;
  };
  EXPECT_NE(wrong(http_body_kind::json, "[1,\n2,,3]").find("at byte 7"), std::string::npos);
  EXPECT_NE(wrong(http_body_kind::json, "").find("the body is not JSON"), std::string::npos);
  EXPECT_NE(wrong(http_body_kind::json, "\"caf\xe9\"").find("at byte 5"), std::string::npos);
  EXPECT_NE(wrong(http_body_kind::json, "1 2").find("at byte 3"), std::string::npos);
  const std::string line = wrong(http_body_kind::ndjson, "1\n\n  {]\n2");
  EXPECT_NE(line.find("line 3 of the body"), std::string::npos) << line;
  EXPECT_NE(line.find("at byte 4 of the line"), std::string::npos) << line;
}

TEST(http_body, there_is_an_end_to_how_many) {
  EXPECT_EQ(items_of_body(http_body_kind::json, "[1,2,3]", 3).status, 0U);
  EXPECT_EQ(items_of_body(http_body_kind::json, "[1,2,3]", 2).status, 413U);
  EXPECT_EQ(items_of_body(http_body_kind::ndjson, "1\n2\n3", 2).status, 413U);
}

}  // namespace
}  // namespace brigade
