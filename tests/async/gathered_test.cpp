#include <brigade/async/error.hpp>
#include <brigade/async/gathered.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace brigade {
namespace {

TEST(gathered, a_value_is_given_and_is_no_error) {
  gathered<std::string> one(std::string("done"));
  EXPECT_TRUE(one.has_value());
  EXPECT_EQ(one.value(), "done");
  EXPECT_EQ(one.error(), nullptr);
  EXPECT_FALSE(one.cancelled());
}

TEST(gathered, an_error_is_thrown_by_who_asks_for_the_value) {
  const gathered<int> one(std::make_exception_ptr(std::runtime_error("burnt")), false);
  EXPECT_FALSE(one.has_value());
  EXPECT_THROW(static_cast<void>(one.value()), std::runtime_error);
  EXPECT_FALSE(one.cancelled());
}

TEST(gathered, one_that_was_cancelled_says_so) {
  const gathered<void> one(std::make_exception_ptr(cancelled("enough")), true);
  EXPECT_TRUE(one.cancelled());
  EXPECT_THROW(static_cast<void>(one.value()), cancelled);
}

}  // namespace
}  // namespace brigade
