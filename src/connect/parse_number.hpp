/// Numbers as logs write them, into numbers as JSON writes them.
#pragma once
#include <string>
#include <string_view>

namespace brigade {

/// Appends an integer of any length; false, and nothing appended, when `text` is none.
bool append_integer(std::string& to, std::string_view text);
/// Appends a decimal number; false, and nothing appended, when `text` is none, or too large.
bool append_float(std::string& to, std::string_view text);

}  // namespace brigade
