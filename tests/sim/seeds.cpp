#include "sim/seeds.hpp"

#include <cstdlib>

namespace brigade::sim {

namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

seed_range seeds_for_one_of_two() {
  seed_range range;
  range.first = number_from("BRIGADE_SIM_FIRST", 1);
  range.count = (number_from("BRIGADE_SIM_SEEDS", seeds_by_default) + 1) / 2;
  return range;
}

std::string how_to_repeat(const std::string& test, std::uint64_t seed) {
  return "seed " + std::to_string(seed) +
         "; again: BRIGADE_SIM_SEEDS=1 BRIGADE_SIM_FIRST=" + std::to_string(seed) +
         " build/dev/tests/sim_tests --gtest_filter=" + test;
}

}  // namespace brigade::sim
