#include <brigade/pipeline/log.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace brigade {
namespace {

TEST(log, goes_to_stderr_line_by_line) {
  ::testing::internal::CaptureStderr();
  log_line("handler ended");
  log_line("handler started");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "handler ended\nhandler started\n");
}

TEST(log, goes_to_the_innermost_who_shows_it) {
  std::vector<std::string> outer;
  std::vector<std::string> inner;
  const log_to first([&](std::string_view line) { outer.emplace_back(line); });
  {
    const log_to second([&](std::string_view line) { inner.emplace_back(line); });
    log_line("one");
  }
  log_line("two");
  EXPECT_EQ(inner, (std::vector<std::string>{"one"}));
  EXPECT_EQ(outer, (std::vector<std::string>{"two"}));
}

}  // namespace
}  // namespace brigade
