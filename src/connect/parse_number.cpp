#include "connect/parse_number.hpp"

#include "connect/json_text.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace brigade {

bool append_integer(std::string& to, std::string_view text) {
  const bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return false;
  }
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  if (negative) to.push_back('-');
  to += digits;
  return true;
}

bool append_float(std::string& to, std::string_view text) {
  const char* const end = text.data() + text.size();
  double value = 0;
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc{} || read.ptr != end || !std::isfinite(value)) return false;
  if (!json_text::check(text)) {
    to += text;  // as it was written: nothing is rounded
    return true;
  }
  std::array<char, 32> shortest{};
  const auto written = std::to_chars(shortest.data(), shortest.data() + shortest.size(), value);
  to.append(shortest.data(), written.ptr);
  return true;
}

}  // namespace brigade
