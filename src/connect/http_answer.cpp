#include "connect/http_answer.hpp"

#include <brigade/connect/record.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

namespace brigade::http {
namespace {

constexpr std::chrono::seconds retry_after_max = std::chrono::hours(24);
constexpr std::size_t told_bytes_max = 300;

// Statuses that speak of what was sent, also where all items go to one address.
constexpr std::array of_the_item = {400, 409, 412, 413, 414, 422};
// Those that may be otherwise later, or speak of who asks: never the item's fault.
constexpr std::array for_now = {401, 403, 407, 408, 425};

bool is_among(const auto& set, int status) { return std::ranges::find(set, status) != set.end(); }

// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is still sent.
std::optional<std::time_t> date_of(std::string_view text) {
  static constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::string copy(text);
  std::array<char, 4> month{};
  std::tm when{};
  int end = 0;
  const int read = std::sscanf(
      copy.c_str(), "%*3[A-Za-z], %2d %3s %4d %2d:%2d:%2d GMT%n",  // NOLINT(cert-err34-c)
      &when.tm_mday, month.data(), &when.tm_year, &when.tm_hour, &when.tm_min, &when.tm_sec, &end);
  const std::size_t at = months.find(month.data());
  if (read != 6 || static_cast<std::size_t>(end) != copy.size() || at == std::string_view::npos ||
      at % 3 != 0) {
    return {};
  }
  when.tm_mon = static_cast<int>(at / 3);
  when.tm_year -= 1900;
  return ::timegm(&when);
}

}  // namespace

meaning meaning_of(int status, addressed how) {
  if (status >= 200 && status < 300) return meaning::done;
  if (status == 429) return meaning::throttled;
  if (status >= 500 || is_among(for_now, status)) return meaning::unclear;
  if (how == addressed::by_item) return meaning::refused;
  return is_among(of_the_item, status) ? meaning::refused : meaning::unclear;
}

std::string without(std::string text, const std::vector<std::string>& secrets) {
  constexpr std::string_view instead = "***";
  for (const std::string& secret : secrets) {
    if (secret.empty()) continue;
    std::size_t at = text.find(secret);
    while (at != std::string::npos) {
      text.replace(at, secret.size(), instead);
      at = text.find(secret, at + instead.size());
    }
  }
  return text;
}

std::string told(const std::string& who, const answer& what,
                 const std::vector<std::string>& secrets) {
  std::string text;
  if (!what.reason.empty()) text += " " + what.reason;
  if (what.status >= 300 && what.status < 400) {
    text += "; redirects are not followed: give the address it leads to";
  } else if (!what.body.empty()) {
    text += ": " + what.body;
  }
  text = who + " answered " + std::to_string(what.status) + without(std::move(text), secrets);
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  text.resize(std::min(text.size(), text.find_last_not_of(' ') + 1));
  return excerpt(text, told_bytes_max);
}

std::optional<milliseconds> retry_after_of(std::string_view value, std::string_view date,
                                           std::chrono::system_clock::time_point now) {
  std::int64_t seconds = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, failed] = std::from_chars(value.data(), end, seconds);
  const bool digits = !value.empty() && value.front() >= '0' && value.front() <= '9' && stop == end;
  if (!digits) {
    const auto then = date_of(value);
    if (!then) return std::nullopt;
    seconds = *then - date_of(date).value_or(std::chrono::system_clock::to_time_t(now));
  } else if (failed != std::errc{}) {
    seconds = retry_after_max.count();
  }
  return std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, retry_after_max.count()));
}

bool is_header_name(std::string_view text) {
  const auto is_token = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  };
  return !text.empty() && std::ranges::all_of(text, is_token);
}

bool is_header_value(std::string_view text) {
  const bool printable = std::ranges::all_of(
      text, [](char c) { return (c >= ' ' && c != '\x7f') || c == '\t' || c < 0; });
  return printable && (text.empty() || (text.front() != ' ' && text.back() != ' '));
}

bool same_name(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  });
}

}  // namespace brigade::http
