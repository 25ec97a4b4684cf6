#include <brigade/async/assert.hpp>
#include <brigade/testing/probes.hpp>

#include <algorithm>

namespace brigade::testing {

namespace probe = detail::probe;

namespace {

std::size_t index_of(std::string_view name, std::span<const std::string_view> names) {
  const auto found = std::ranges::find(names, name);
  BRIGADE_ASSERT(found != names.end(), "no coverage mark or guard has this name");
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace

std::span<const std::string_view> coverage::marks() { return probe::coverage_names; }

std::uint64_t coverage::of(std::string_view mark) const {
  const std::size_t at = index_of(mark, marks());
  return probe::coverage_counts[at] - before_[at];
}

std::span<const std::string_view> without_guard::guards() {
  return std::span(probe::guard_names).subspan(1);  // the first one is none
}

without_guard::without_guard(std::string_view guard) {
  BRIGADE_ASSERT(probe::removed == probe::guard::none, "two guards were removed at once");
  probe::removed = static_cast<probe::guard>(index_of(guard, guards()) + 1);
}

without_guard::~without_guard() { probe::removed = probe::guard::none; }

}  // namespace brigade::testing
