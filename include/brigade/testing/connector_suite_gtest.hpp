/// The connector suite as tests of GoogleTest: one a case, `source_file.gives_all_once`, and one,
/// `source_file.applies_to`, that prints which cases do not apply, and why.
///
///     const bool listed = add_to_gtest(my_source()) && add_to_gtest(my_sink());
///
/// Thread safety: before the tests run, from one thread. Throws std::invalid_argument when the
/// description excuses a case that there is not.
#pragma once
#include <brigade/testing/connector_suite.hpp>

#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <utility>

namespace brigade::testing {

namespace detail {

template <class Description, class Case>
class gtest_case final : public ::testing::Test {
 public:
  gtest_case(const Description& what, const Case& which) : what_(what), which_(which) {}
  void TestBody() override {
    const std::string wrong = run_case(what_, which_);
    if (!wrong.empty()) ADD_FAILURE() << wrong;
  }

 private:
  Description what_;
  Case which_;
};

class gtest_listing final : public ::testing::Test {
 public:
  explicit gtest_listing(std::string text) : text_(std::move(text)) {}
  void TestBody() override { std::cout << text_; }

 private:
  std::string text_;
};

template <class Description, class Case>
bool add_cases(const std::string& title, const Description& what, const std::vector<Case>& cases) {
  ::testing::RegisterTest(
      title.c_str(), "applies_to", nullptr, nullptr, __FILE__, __LINE__,
      [text = list_cases(what)]() -> ::testing::Test* { return new gtest_listing(text); });
  for (const Case& each : cases) {
    if (!why_unfit(what, each).empty()) continue;
    ::testing::RegisterTest(title.c_str(), each.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                            [what, each]() -> ::testing::Test* {
                              return new gtest_case<Description, Case>(what, each);
                            });
  }
  return true;
}

}  // namespace detail

inline bool add_to_gtest(const source_description& what) {
  return detail::add_cases("source_" + what.name, what, source_cases());
}
inline bool add_to_gtest(const sink_description& what) {
  return detail::add_cases("sink_" + what.name, what, sink_cases());
}

}  // namespace brigade::testing
