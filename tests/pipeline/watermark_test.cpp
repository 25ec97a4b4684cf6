#include <brigade/pipeline/watermark.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace brigade {
namespace {

mark with(std::uint64_t low, std::vector<mark::range> above, std::vector<mark::part> parts = {}) {
  mark result;
  result.low = low;
  result.above = std::move(above);
  result.parts = std::move(parts);
  return result;
}

// Reliability row 1: item 1 is not finished and the ones behind it are. The guard is that a window
// gives way at its front only.
TEST(watermark, never_passes_a_hole) {
  watermark seen(mark{});
  std::vector<std::uint64_t> slots;
  for (std::uint64_t item = 0; item < 10; ++item) {
    slots.push_back(seen.taken(item * 10, item * 10 + 10));
  }
  seen.finished(slots[0]);
  for (std::size_t item = 2; item < 10; ++item) seen.finished(slots[item]);
  EXPECT_EQ(seen.at(), with(10, {{20, 100}}));
  EXPECT_EQ(seen.unfinished(), 1U);
  seen.finished(slots[1]);
  EXPECT_EQ(seen.at(), with(100, {}));
  EXPECT_EQ(seen.unfinished(), 0U);
}

TEST(watermark, starts_where_the_last_run_stopped) {
  const mark resume = with(30, {{50, 60}}, {{30, "0"}});
  watermark seen(resume);
  EXPECT_EQ(seen.at(), resume);
  const auto first = seen.taken(30, 50);
  EXPECT_EQ(seen.at(), resume);
  const auto second = seen.taken(60, 70);
  seen.finished(second);
  EXPECT_EQ(seen.at(), with(30, {{50, 70}}, {{30, "0"}}));
  seen.finished(first);
  EXPECT_EQ(seen.at(), with(70, {}));
}

TEST(watermark, bridges_what_holds_no_item) {
  watermark seen(mark{});
  const auto first = seen.taken(12, 20);  // behind a header line
  const auto second = seen.taken(25, 30);
  const auto third = seen.taken(35, 40);
  seen.finished(third);
  seen.finished(second);
  EXPECT_EQ(seen.at(), with(0, {{25, 40}}));
  seen.finished(first);
  EXPECT_EQ(seen.at(), with(40, {}));
}

TEST(watermark, leaves_the_gaps_of_a_selection_alone) {
  watermark seen(mark{}, watermark::gaps::stay);
  const auto first = seen.taken(3, 4);
  const auto second = seen.taken(4, 5);
  const auto third = seen.taken(9, 10);
  EXPECT_EQ(seen.at_with(std::vector{first, third}, {}), with(0, {{3, 4}, {9, 10}}));
  seen.finished(second);
  seen.finished(third);
  EXPECT_EQ(seen.at(), with(0, {{4, 5}, {9, 10}}));
  seen.finished(first);
  EXPECT_EQ(seen.at(), with(0, {{3, 5}, {9, 10}}));
}

TEST(watermark, keeps_the_children_of_an_unfinished_item) {
  watermark seen(with(0, {}, {{10, "1"}}));
  const auto whole = seen.taken(0, 10);
  const auto split = seen.taken(10, 20);
  EXPECT_TRUE(seen.is_part_finished(split, "1"));
  EXPECT_FALSE(seen.is_part_finished(split, "0"));
  seen.part_finished(split, "0");
  EXPECT_EQ(seen.at(), with(0, {}, {{10, "0"}, {10, "1"}}));
  seen.finished(whole);
  EXPECT_EQ(seen.at(), with(10, {}, {{10, "0"}, {10, "1"}}));
  seen.finished(split);
  EXPECT_EQ(seen.at(), with(20, {}));
}

TEST(watermark, says_what_a_batch_would_finish) {
  watermark seen(mark{});
  const auto first = seen.taken(0, 10);
  const auto second = seen.taken(10, 20);
  const auto third = seen.taken(20, 30);
  const std::vector<watermark::slot_part> children = {{first, "0"}, {third, "0"}};
  EXPECT_EQ(seen.at_with(std::vector{third, second}, children), with(0, {{10, 30}}, {{0, "0"}}));
  EXPECT_EQ(seen.at(), mark{});
}

TEST(watermark_death_test, names_an_item_that_is_finished_twice) {
  watermark seen(mark{});
  const auto first = seen.taken(0, 10);
  const auto second = seen.taken(10, 20);
  seen.finished(second);
  EXPECT_DEATH(seen.finished(second), "finished twice");
  seen.finished(first);
  EXPECT_DEATH(seen.finished(first), "finished twice");
}

/// The same by brute force: every item that exists, and whether it is finished.
class reference_model {
 public:
  explicit reference_model(std::mt19937_64& random) {
    std::uint64_t position = random() % 3;
    for (std::uint64_t count = 20 + random() % 60; count > 0; --count) {
      const std::uint64_t end = position + 1 + random() % 5;
      items_.emplace(position, entry{end, false});
      position = end + (random() % 4 == 0 ? random() % 3 : 0);
    }
  }
  struct entry {
    std::uint64_t end = 0;
    bool finished = false;
  };
  std::map<std::uint64_t, entry>& items() { return items_; }

  void check(const mark& at) const {
    std::uint64_t lowest_unfinished = UINT64_MAX;
    for (const auto& [begin, item] : items_) {
      ASSERT_EQ(at.finished(begin), item.finished) << "item at " << begin;
      ASSERT_EQ(at.finished(item.end - 1), item.finished) << "end of the item at " << begin;
      if (!item.finished) lowest_unfinished = std::min(lowest_unfinished, begin);
    }
    ASSERT_LE(at.low, lowest_unfinished);
    // Canonical, so that it reads back.
    ASSERT_EQ(mark::decode(at.low, at.encode_above()), at);
  }

 private:
  std::map<std::uint64_t, entry> items_;
};

/// One life of the process: takes what the mark leaves, finishes some of it in any order.
mark one_run(std::mt19937_64& random, reference_model& model, const mark& resume) {
  watermark seen(resume);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> open;  // slot, begin
  auto next = model.items().begin();
  for (std::uint64_t steps = random() % 200; steps > 0; --steps) {
    if (random() % 2 == 0 && next != model.items().end()) {
      if (!resume.finished(next->first)) {
        open.emplace_back(seen.taken(next->first, next->second.end), next->first);
      }
      ++next;
    } else if (!open.empty()) {
      std::ranges::shuffle(open, random);
      std::vector<std::uint64_t> batch;
      for (std::uint64_t count = 1 + random() % 4; count > 0 && !open.empty(); --count) {
        batch.push_back(open.back().first);
        model.items().at(open.back().second).finished = true;
        open.pop_back();
      }
      const mark expected = seen.at_with(batch, {});
      for (const std::uint64_t slot : batch) seen.finished(slot);
      EXPECT_EQ(seen.at(), expected);
    }
    EXPECT_EQ(seen.unfinished(), open.size());
    model.check(seen.at());
    if (::testing::Test::HasFailure()) break;
  }
  return seen.at();
}

TEST(watermark, agrees_with_a_model_over_crashes_and_restarts) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    reference_model model(random);
    mark at;
    for (int life = 0; life < 5; ++life) {
      at = one_run(random, model, at);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace brigade
