/// What a far side's answer means for who asked. Pure.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade::http {

using std::chrono::milliseconds;

struct answer {
  int status = 0;
  std::string reason = {};  ///< as the status line had it
  std::string body = {};
  bool is_cut = false;  ///< the body was larger than was asked for; none of it is here
  std::optional<milliseconds> retry_after = {};
  std::string location = {};
};

enum class meaning : std::uint8_t {
  done,       ///< 2xx
  refused,    ///< the item is at fault, and always will be
  unclear,    ///< later it may go well; whose fault it is cannot be told from this answer alone
  throttled,  ///< 429: too much at once; nobody's fault
};

/// Whether an answer of the 4xx kind can only be about the item.
enum class addressed : std::uint8_t {
  by_item,  ///< of a stage, or where the item says what address: 404, 409 and 422 are the item's
  fixed,    ///< every item goes there: 401, 403, 404 and their like are an outage
};
[[nodiscard]] meaning meaning_of(int status, addressed how);

/// `https://shop.example answered 422 Unprocessable Entity: {"error":...}`, one line. None of
/// `secrets` is in it.
[[nodiscard]] std::string told(const std::string& who, const answer& what,
                               const std::vector<std::string>& secrets);
/// `text` with *** in place of each of `secrets`.
[[nodiscard]] std::string without(std::string text, const std::vector<std::string>& secrets);

/// The value of a Retry-After header, seconds or a date (RFC 9110, 10.2.3), as from `date` (the
/// answer's own Date header) or, where that is none, from `now`. At most a day; nothing when it is
/// neither.
[[nodiscard]] std::optional<milliseconds> retry_after_of(std::string_view value,
                                                         std::string_view date,
                                                         std::chrono::system_clock::time_point now);

/// Names and values that may stand in a request's header.
[[nodiscard]] bool is_header_name(std::string_view text);
[[nodiscard]] bool is_header_value(std::string_view text);
/// Compared without regard to case.
[[nodiscard]] bool same_name(std::string_view left, std::string_view right);

}  // namespace brigade::http
