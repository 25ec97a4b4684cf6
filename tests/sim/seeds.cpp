#include "sim/seeds.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string_view>

// There in programs built with a sanitizer.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace brigade::sim {

namespace {

std::string line_to_print;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void print_line() { static_cast<void>(!::write(2, line_to_print.data(), line_to_print.size())); }

void on_abort(int) { print_line(); }

}  // namespace

seed_range all_seeds() {
  seed_range range;
  range.first = number_from("BRIGADE_SIM_FIRST", 1);
  range.count = number_from("BRIGADE_SIM_SEEDS", seeds_by_default);
  return range;
}

seed_range seeds_for_one_of_two() {
  seed_range range = all_seeds();
  range.count = (range.count + 1) / 2;
  return range;
}

seed_under_way::seed_under_way(const char* suite, std::uint64_t seed) {
  line_to_print = "seed " + std::to_string(seed) +
                  "; again: BRIGADE_SIM_SEEDS=1 BRIGADE_SIM_FIRST=" + std::to_string(seed) +
                  " build/dev/tests/sim_tests --gtest_filter='" + suite + ".*'\n";
  std::signal(SIGABRT, on_abort);
  if (&__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(print_line);
}

seed_under_way::~seed_under_way() {
  std::signal(SIGABRT, SIG_DFL);
  line_to_print.clear();
}

std::string seed_under_way::how_to_repeat() const { return line_to_print; }

}  // namespace brigade::sim
