/// What the process ends with, besides what a run says itself.
#pragma once

namespace brigade::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_invalid_pipeline = 78;

}  // namespace brigade::cli
