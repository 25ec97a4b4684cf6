#include <brigade/testing/counted.hpp>

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace brigade::testing {
namespace {

TEST(counted, objects_values_copies_and_moves_are_told_apart) {
  census items;
  {
    counted first(items, 7);
    const counted copy = first;
    counted moved = std::move(first);
    EXPECT_FALSE(first.holds());
    EXPECT_EQ(moved.value(), 7);
    EXPECT_EQ(moved, copy);
    EXPECT_EQ(items.live(), 3);
    EXPECT_EQ(items.held(), 2);
    EXPECT_EQ(items.copies(), 1U);
    EXPECT_EQ(items.moves(), 1U);
    moved = counted(items, 8);
    EXPECT_GT(moved, copy);
    EXPECT_EQ(items.held(), 2);
    first = copy;
    EXPECT_EQ(items.held(), 3);
  }
  EXPECT_EQ(items.live(), 0);
  EXPECT_EQ(items.held(), 0);
}

TEST(counted, an_item_may_pass_from_one_census_to_another) {
  census here;
  census there;
  counted item(here, 1);
  item = counted(there, 2);
  EXPECT_EQ(here.live(), 0);
  EXPECT_EQ(there.live(), 1);
}

TEST(counted, what_is_left_is_found) {
  EXPECT_DEATH(
      {
        std::vector<counted> kept;
        census items;
        kept.emplace_back(items, 1);
      },
      "counted items are left");
}

TEST(counted, an_item_that_was_moved_away_is_not_to_be_used) {
  census items;
  counted first(items, 7);
  const counted moved = std::move(first);
  EXPECT_DEATH(static_cast<void>(first.value()), "an item was used after it was moved away");
}

}  // namespace
}  // namespace brigade::testing
