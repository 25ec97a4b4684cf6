#include <brigade/pipeline/payload.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

namespace brigade {
namespace {

struct order {
  int number = 0;
  friend std::string text_of(const order& value) { return "order " + std::to_string(value.number); }
  friend std::size_t size_in_bytes(const order&) { return 1000; }
};
struct nameless {
  int number = 0;
};
struct large {
  std::array<char, 200> bytes{};
  std::shared_ptr<int> owner;
};

TEST(payload, gives_back_what_was_put_in) {
  payload small(order{847});
  EXPECT_TRUE(small.holds<order>());
  EXPECT_FALSE(small.holds<nameless>());
  EXPECT_EQ(small.get<order>().number, 847);
}

TEST(payload, moving_leaves_it_empty) {
  payload first(std::string("some text that does not fit into a short string"));
  payload second(std::move(first));
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is what is tested
  EXPECT_EQ(second.text(), "some text that does not fit into a short string");
  first = std::move(second);
  EXPECT_EQ(first.text(), "some text that does not fit into a short string");
}

TEST(payload, destroys_a_value_once_wherever_it_is_kept) {
  const auto counted = std::make_shared<int>(1);
  {
    payload inside(counted);
    payload outside(large{{}, counted});
    payload moved(std::move(outside));
    EXPECT_EQ(counted.use_count(), 3);
    moved = payload(counted);
    EXPECT_EQ(counted.use_count(), 3);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST(payload, reads_as_its_type_says) {
  EXPECT_EQ(payload(order{3}).text(), "order 3");
  EXPECT_EQ(payload(std::string("plain")).text(), "plain");
  EXPECT_EQ(payload(42).text(), "42");
  EXPECT_EQ(payload().text(), "");
}

TEST(payload, of_a_type_without_text_reads_as_its_name) {
  EXPECT_EQ(payload(std::vector<int>{1}).text(), "<std::vector<int, std::allocator<int> >>");
  EXPECT_NE(payload(nameless{}).text().find("nameless>"), std::string::npos);
}

TEST(payload, knows_about_how_large_it_is) {
  EXPECT_EQ(payload(order{}).bytes(), 1000U);
  EXPECT_GE(payload(std::string(500, 'x')).bytes(), 500U);
  EXPECT_EQ(payload(nameless{}).bytes(), sizeof(nameless));
  EXPECT_EQ(payload().bytes(), 0U);
}

TEST(payload_death_test, names_the_misuse_of_asking_for_another_type) {
  payload value(order{});
  EXPECT_DEATH((void)value.get<nameless>(),
               "brigade: misuse: payload::get asked for a type that is not inside");
}

}  // namespace
}  // namespace brigade
