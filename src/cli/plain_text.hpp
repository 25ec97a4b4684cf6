/// Text from outside, made fit for one line of a terminal.
#pragma once
#include <string>
#include <string_view>

namespace brigade::cli {

/// Control characters become spaces; what is over `bytes_max` becomes `...`.
[[nodiscard]] std::string plain_line(std::string_view text, std::size_t bytes_max = 500);

}  // namespace brigade::cli
