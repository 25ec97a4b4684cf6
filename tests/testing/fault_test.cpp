#include <brigade/async/error.hpp>
#include <brigade/testing/fault.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace brigade::testing {
namespace {

TEST(fault, only_the_nth_passage_throws_and_names_itself) {
  fail_at fault(2);
  fault.pass();
  EXPECT_FALSE(fault.failed());
  std::string text;
  try {
    fault.pass();
  } catch (const injected_fault& error) {
    text = error.what();
  }
  EXPECT_EQ(text.rfind("injected fault 2 at ", 0), 0U) << text;
  EXPECT_NE(text.find("fault_test.cpp:"), std::string::npos) << text;
  EXPECT_TRUE(fault.failed());
  fault.pass();
  EXPECT_EQ(fault.passed(), 3U);
}

TEST(fault, every_call_fails_once_until_none_does) {
  std::vector<int> reached;
  const std::uint64_t calls = for_each_failure([&](fail_at& fault) {
    reached.push_back(0);
    for (int i = 0; i < 3; ++i) {
      fault.pass();
      ++reached.back();
    }
  });
  EXPECT_EQ(calls, 3U);
  EXPECT_EQ(reached, (std::vector{0, 1, 2, 3}));
}

TEST(fault, it_may_come_out_as_a_group_or_be_dealt_with) {
  EXPECT_EQ(for_each_failure([](fail_at& fault) {
              try {
                fault.pass();
              } catch (const injected_fault&) {
                throw exception_group({std::current_exception()});
              }
            }),
            1U);
  EXPECT_EQ(for_each_failure([](fail_at& fault) {
              try {
                fault.pass();
              } catch (const injected_fault&) {
                return;
              }
            }),
            1U);
}

TEST(fault, another_error_comes_out_with_the_call_that_led_to_it) {
  std::string text;
  try {
    for_each_failure([](fail_at& fault) {
      fault.pass();
      try {
        fault.pass();
      } catch (const injected_fault&) {
        throw std::logic_error("half done");
      }
    });
  } catch (const std::runtime_error& error) {
    text = error.what();
  }
  EXPECT_EQ(text, "with call 2 failing: half done");
}

TEST(fault, a_scenario_without_end_is_an_error) {
  const auto calls_for_ever = [](fail_at& fault) {
    while (true) fault.pass();
  };
  EXPECT_THROW(for_each_failure(calls_for_ever, 10), std::runtime_error);
}

}  // namespace
}  // namespace brigade::testing
