#include "cli/suggest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace brigade::cli {
namespace {

constexpr std::array<std::string_view, 5> known = {"workers", "timeout", "retry", "jq", "id"};

TEST(suggest, counts_letters_put_in_taken_out_changed_or_swapped) {
  EXPECT_EQ(edit_distance("workers", "workers"), 0u);
  EXPECT_EQ(edit_distance("worker", "workers"), 1u);
  EXPECT_EQ(edit_distance("wrokers", "workers"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(suggest, of_two_equally_near_takes_the_one_that_begins_alike) {
  constexpr std::array<std::string_view, 2> alike = {"state", "stages"};
  EXPECT_EQ(nearest("stage", alike), "stages");
}

TEST(suggest, offers_the_nearest_word_and_nothing_far_away) {
  EXPECT_EQ(did_you_mean("worker", known), "; did you mean 'workers'?");
  EXPECT_EQ(did_you_mean("time_out", known), "; did you mean 'timeout'?");
  EXPECT_EQ(did_you_mean("jqq", known), "; did you mean 'jq'?");
  EXPECT_EQ(did_you_mean("colour", known), "");
  EXPECT_EQ(did_you_mean("xy", known), "");
  EXPECT_EQ(did_you_mean("", known), "");
}

}  // namespace
}  // namespace brigade::cli
