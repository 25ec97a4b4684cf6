// Whether a simulation got to the rare situations it is there for.
#pragma once
#include "sim/seeds.hpp"

#include <brigade/async/detail/probe.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <iostream>

namespace brigade::sim {

class coverage_since_now {
 public:
  /// Prints each count; in a full run each must be at least `coverage_min`.
  void expect(std::uint64_t seeds, std::initializer_list<detail::probe::coverage> points) const {
    for (const auto point : points) {
      const auto at = static_cast<std::size_t>(point);
      const std::uint64_t count = detail::probe::coverage_counts[at] - before_[at];
      std::cout << "  " << detail::probe::coverage_names[at] << " " << count << "\n";
      if (seeds * 2 < seeds_by_default) continue;
      EXPECT_GE(count, coverage_min) << detail::probe::coverage_names[at];
    }
  }

 private:
  decltype(detail::probe::coverage_counts) before_ = detail::probe::coverage_counts;
};

}  // namespace brigade::sim
