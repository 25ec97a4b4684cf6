#include <brigade/pipeline/mark.hpp>

#include <gtest/gtest.h>

#include <stdexcept>

namespace brigade {
namespace {

mark with(std::uint64_t low, std::vector<mark::range> above, std::vector<mark::part> parts = {}) {
  mark result;
  result.low = low;
  result.above = std::move(above);
  result.parts = std::move(parts);
  return result;
}

TEST(mark, without_parts_is_an_array_of_pairs) {
  EXPECT_EQ(with(10, {}).encode_above(), "[]");
  EXPECT_EQ(with(10, {{20, 30}, {40, 41}}).encode_above(), "[[20,30],[40,41]]");
}

TEST(mark, with_parts_is_an_object) {
  EXPECT_EQ(with(10, {{20, 30}}, {{10, "0"}, {10, "1/2"}}).encode_above(),
            R"({"ranges":[[20,30]],"parts":[[10,"0"],[10,"1/2"]]})");
  EXPECT_EQ(with(0, {}, {{5, "3"}}).encode_above(), R"({"ranges":[],"parts":[[5,"3"]]})");
}

TEST(mark, reads_back_what_it_wrote) {
  for (const mark& each :
       {with(0, {}), with(7, {{9, 12}}), with(7, {{9, 12}, {13, 20}}, {{7, "0"}, {12, "0/10"}}),
        with(0, {{1, UINT64_MAX}})}) {
    EXPECT_EQ(mark::decode(each.low, each.encode_above()), each) << each.encode_above();
  }
}

TEST(mark, refuses_what_it_would_not_have_written) {
  for (const char* text : {"",
                           "null",
                           "[",
                           "[]]",
                           "[ ]",
                           "[[20,30],]",
                           "[[20,30] ,[40,50]]",
                           "[[30,20]]",
                           "[[20,20]]",
                           "[[020,30]]",
                           "[[20,30],[30,40]]",
                           "[[20,30],[25,40]]",
                           "[[40,50],[20,30]]",
                           "[[10,30]]",
                           "[[5,30]]",
                           "[[-1,30]]",
                           "[[20,99999999999999999999]]",
                           "[[20,30]",
                           "[[20]]",
                           "[[20,30]]x",
                           R"({"ranges":[],"parts":[]})",
                           R"({"ranges":[[20,30]]})",
                           R"({"ranges":[[20,30]],"parts":[[25,"0"]]})",
                           R"({"ranges":[],"parts":[[5,"0"]]})",
                           R"({"ranges":[],"parts":[[15,""]]})",
                           R"({"ranges":[],"parts":[[15,"a"]]})",
                           R"({"ranges":[],"parts":[[15,"1"],[15,"0"]]})"}) {
    EXPECT_THROW((void)mark::decode(10, text), std::invalid_argument) << text;
  }
}

TEST(mark, knows_what_is_finished) {
  const mark at = with(10, {{20, 30}, {40, 50}});
  EXPECT_TRUE(at.finished(0));
  EXPECT_TRUE(at.finished(9));
  EXPECT_FALSE(at.finished(10));
  EXPECT_FALSE(at.finished(19));
  EXPECT_TRUE(at.finished(20));
  EXPECT_TRUE(at.finished(29));
  EXPECT_FALSE(at.finished(30));
  EXPECT_TRUE(at.finished(49));
  EXPECT_FALSE(at.finished(50));
}

TEST(mark, merges_what_either_side_finished) {
  const mark left = with(10, {{20, 30}, {60, 70}}, {{10, "0"}, {30, "1"}});
  const mark right = with(15, {{30, 40}, {65, 80}}, {{15, "2"}, {45, "0"}});
  const mark both = with(15, {{20, 40}, {60, 80}}, {{15, "2"}, {45, "0"}});
  EXPECT_EQ(mark::merge(left, right), both);
  EXPECT_EQ(mark::merge(right, left), both);
  EXPECT_EQ(mark::merge(left, left), left);
  EXPECT_EQ(mark::merge(left, mark{}), left);
}

TEST(mark, merging_may_close_the_gap_to_low) {
  EXPECT_EQ(mark::merge(with(10, {{20, 30}}), with(0, {{10, 20}, {30, 35}})), with(35, {}));
}

TEST(mark_builder, joins_ranges_that_touch_and_swallows_those_at_low) {
  mark_builder done(with(10, {}));
  done.finish(30, 40);
  done.finish(20, 30);
  EXPECT_EQ(done.at(), with(10, {{20, 40}}));
  done.finish(50, 60);
  done.finish(10, 20);
  EXPECT_EQ(done.at(), with(40, {{50, 60}}));
  done.finish(45, 55);
  EXPECT_EQ(done.at(), with(40, {{45, 60}}));
}

TEST(mark_builder, adding_twice_changes_nothing) {
  mark_builder done;
  done.finish(20, 30);
  done.finish_part(5, "0");
  const mark once = done.at();
  done.finish(20, 30);
  done.finish_part(5, "0");
  EXPECT_EQ(done.at(), once);
  done.finish(0, 10);
  done.finish_part(5, "1");
  EXPECT_EQ(done.at(), with(10, {{20, 30}}));
}

TEST(mark_builder, an_item_that_is_finished_has_no_parts_any_more) {
  mark_builder done;
  done.finish_part(10, "0");
  done.finish_part(20, "0");
  EXPECT_TRUE(done.part_finished(10, "0"));
  EXPECT_FALSE(done.part_finished(10, "1"));
  done.finish(10, 20);
  EXPECT_TRUE(done.part_finished(10, "1"));
  EXPECT_EQ(done.at(), with(0, {{10, 20}}, {{20, "0"}}));
}

}  // namespace
}  // namespace brigade
