/// Text of unknown origin (errors, ids, payloads) made fit for JSON, for a database and for people.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

namespace brigade::detail {

/// True for well-formed UTF-8 without a NUL: what every program can read as text.
[[nodiscard]] bool is_plain_text(std::string_view bytes);
/// `bytes` with every ill-formed byte replaced by U+FFFD.
[[nodiscard]] std::string as_utf8(std::string_view bytes);
/// `bytes` as a JSON string with its quotes; ill-formed bytes become U+FFFD.
[[nodiscard]] std::string as_json(std::string_view bytes);
/// `2026-01-31T09:05:00.123Z`
[[nodiscard]] std::string iso_utc(std::chrono::system_clock::time_point at);

}  // namespace brigade::detail
