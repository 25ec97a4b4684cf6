/// Assertions that stay on in release builds: a broken invariant here would be a lost item later.
#pragma once

namespace brigade::detail {
[[noreturn]] void assertion_failed(const char* condition, const char* message, const char* file,
                                   int line);
}  // namespace brigade::detail

/// Ends the program, naming the misuse, when `condition` does not hold.
#define BRIGADE_ASSERT(condition, message) \
  (static_cast<bool>(condition)            \
       ? static_cast<void>(0)              \
       : ::brigade::detail::assertion_failed(#condition, message, __FILE__, __LINE__))
