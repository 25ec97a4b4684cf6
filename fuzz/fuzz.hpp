/// What the fuzz targets share. A target is one file: a function of some bytes, which fails a
/// property by `demand` and anything else by crashing, and BRIGADE_FUZZ at its end.
///
/// Built with libFuzzer (the preset `fuzz`) each target is a program; otherwise all are one, that
/// runs the corpus: what was found once stays found.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

namespace brigade::fuzz {

using target = void (*)(std::string_view input);

/// Adds a target to those that run the corpus of their name.
bool add_target(std::string_view name, target run);

inline void demand(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "property does not hold: %s\n", property);
  std::abort();
}

/// Chance that is the same for the same input, so that a corpus may be plain text.
class chance {
 public:
  explicit chance(std::string_view input) {
    std::uint32_t hash = 2166136261U;
    for (const char c : input) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
    random_.seed(hash);
  }
  /// From 0 up to, and without, `end`.
  std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }
  bool coin() { return below(2) == 0; }

 private:
  std::minstd_rand random_;
};

}  // namespace brigade::fuzz

#ifdef BRIGADE_LIBFUZZER
#define BRIGADE_FUZZ(name, function)                                                  \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    function(std::string_view(reinterpret_cast<const char*>(data), size));            \
    return 0;                                                                         \
  }
#else
#define BRIGADE_FUZZ(name, function) \
  static const bool name##_is_added = brigade::fuzz::add_target(#name, function)
#endif
