/// Coverage marks and guards: whether a test gets to the rare situations, and whether it would see
/// what happens without the rule that makes them safe.
///
///     coverage seen;
///     ... many seeds ...
///     EXPECT_GT(seen.of("grant_revoked"), 0);    // else the test proves nothing about it
///
///     without_guard mutant("grant_pass_on");     // now the test must fail
///
/// Thread safety: marks are counted by thread; a guard is removed for all, before a loop runs.
#pragma once
#include <brigade/async/detail/probe.hpp>

#include <cstdint>
#include <span>
#include <string_view>

namespace brigade::testing {

/// How often each mark was passed, on this thread, since this object was made.
class coverage {
 public:
  /// The names of all marks.
  [[nodiscard]] static std::span<const std::string_view> marks();
  /// A name that is none of them is a misuse (asserted).
  [[nodiscard]] std::uint64_t of(std::string_view mark) const;

 private:
  decltype(detail::probe::coverage_counts) before_ = detail::probe::coverage_counts;
};

/// Removes one of the library's own guards while it lives; one at a time (asserted).
class without_guard {
 public:
  [[nodiscard]] static std::span<const std::string_view> guards();
  /// A name that is none of them is a misuse (asserted).
  explicit without_guard(std::string_view guard);
  ~without_guard();
  without_guard(const without_guard&) = delete;
  without_guard& operator=(const without_guard&) = delete;
};

}  // namespace brigade::testing
