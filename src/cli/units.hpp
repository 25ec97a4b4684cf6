/// The quantities people write in a pipeline file: `5s`, `64KiB`, `100/s`, `200ms..30s`, `5%`.
///
/// Strict: a whole number and a unit, nothing between or around them. Every function throws
/// `unit_error` with a message that quotes the text and says what was expected.
/// Thread safety: pure functions.
#pragma once
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace brigade::cli {

using std::chrono::milliseconds;

class unit_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct duration_range {
  milliseconds min{0};
  milliseconds max{0};
};

/// So many `per` so long.
struct rate_value {
  std::uint64_t items = 0;
  std::chrono::seconds per{1};
};

/// `250ms 5s 2m 1h 7d`, at most 36500d.
[[nodiscard]] milliseconds parse_duration(std::string_view text);
/// `512B 64KiB 10MB 1GiB`: bytes. KB, MB, GB, TB are powers of 1000, KiB and so on of 1024.
[[nodiscard]] std::uint64_t parse_size(std::string_view text);
/// `100/s 6000/m 10/h`: at most 1000000000/s.
[[nodiscard]] rate_value parse_rate(std::string_view text);
/// `200ms..30s`, the lower end first.
[[nodiscard]] duration_range parse_duration_range(std::string_view text);
/// `5%` as 0.05; at most 100%.
[[nodiscard]] double parse_percentage(std::string_view text);
/// As people write it, in the largest unit that gives a whole number.
[[nodiscard]] std::string duration_text(milliseconds duration);
[[nodiscard]] std::string size_text(std::uint64_t bytes);
/// Decimal digits with an optional minus.
[[nodiscard]] std::int64_t parse_integer(std::string_view text);

}  // namespace brigade::cli
