#include "cli/json_difference.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade::cli {
namespace {

using lines = std::vector<std::string>;

TEST(json_difference, is_nothing_between_values_that_mean_the_same) {
  EXPECT_EQ(json_differences(R"({"a":1,"b":[true,null]})", R"({"b": [true, null], "a": 1.0})"),
            lines{});
  EXPECT_EQ(json_differences("9007199254740993", "9007199254740993"), lines{});
  EXPECT_EQ(json_differences("-1", "-1e0"), lines{});
}

TEST(json_difference, names_each_place_with_what_was_expected_there) {
  EXPECT_EQ(json_differences(R"({"total":5,"a":{"b":[1,2]},"gone":"x"})",
                             R"({"total":6,"a":{"b":[1,3,4]},"new key":null})"),
            (lines{".total: expected 5, got 6", ".a.b[1]: expected 2, got 3",
                   ".a.b[2]: expected nothing, got 4", ".gone: expected \"x\", got nothing",
                   ".[\"new key\"]: expected nothing, got null"}));
  EXPECT_EQ(json_differences("[1]", "[]"), lines{".[0]: expected 1, got nothing"});
  EXPECT_EQ(json_differences("9007199254740993", "9007199254740992"),
            lines{".: expected 9007199254740993, got 9007199254740992"});
  EXPECT_EQ(json_differences("{}", "\"a\""), lines{".: expected {}, got \"a\""});
}

}  // namespace
}  // namespace brigade::cli
