#include <brigade/async/error.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <type_traits>

namespace brigade {
namespace {

using namespace std::chrono_literals;

TEST(error, cancelled_is_not_a_std_exception) {
  EXPECT_FALSE((std::is_base_of_v<std::exception, cancelled>));
}

TEST(error, the_text_of_any_exception_can_be_had) {
  EXPECT_EQ(error_text(std::make_exception_ptr(std::runtime_error("burnt"))), "burnt");
  EXPECT_EQ(error_text(std::make_exception_ptr(cancelled("closing"))), "cancelled: closing");
  EXPECT_EQ(error_text(std::make_exception_ptr(7)), "an exception of type int");
}

TEST(error, a_group_names_its_errors_and_says_how_many) {
  std::vector<std::exception_ptr> errors;
  for (int i = 0; i < 12; ++i) {
    errors.push_back(std::make_exception_ptr(std::runtime_error("e" + std::to_string(i))));
  }
  const exception_group group(std::move(errors));
  EXPECT_STREQ(group.what(),
               "12 errors in a task group: e0; e1; e2; e3; e4; e5; e6; e7; e8; e9; ...");
  EXPECT_EQ(group.errors().size(), 12U);
}

TEST(error, a_group_of_one_is_called_what_it_holds) {
  const exception_group group({std::make_exception_ptr(std::runtime_error("burnt"))});
  EXPECT_STREQ(group.what(), "burnt");
}

TEST(error, a_timeout_says_after_how_long) {
  EXPECT_STREQ(timed_out(5s).what(), "timed out after 5 s");
  EXPECT_STREQ(timed_out(250ms).what(), "timed out after 250 ms");
}

}  // namespace
}  // namespace brigade
