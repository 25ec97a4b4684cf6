#include "connect/http_reply.hpp"

#include <arpa/inet.h>
#include <boost/beast/http/status.hpp>

#include <array>
#include <charconv>
#include <ctime>

namespace brigade {
namespace {

constexpr std::string_view try_again = "Retry-After: 1\r\n";

/// As HTTP writes it; made once a second.
const std::string& date_now() {
  thread_local std::time_t made_at = 0;
  thread_local std::string text;
  const std::time_t now = std::time(nullptr);
  if (now != made_at) {
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::array<char, 64> line{};
    const std::size_t size =
        std::strftime(line.data(), line.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    text.assign(line.data(), size);
    made_at = now;
  }
  return text;
}

}  // namespace

std::string http_reply(const http_answer& answer, std::string_view headers,
                       const http_manners& how) {
  const auto reason =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(answer.status));
  std::string text;
  text.reserve(256 + answer.body.size());
  text += "HTTP/1.1 " + std::to_string(answer.status) + " ";
  text.append(reason.data(), reason.size());
  text += "\r\nServer: brigade\r\nDate: " + date_now();
  text += "\r\nContent-Type: application/json\r\nContent-Length: ";
  text += std::to_string(answer.body.size() + 1) + "\r\n";
  if (answer.try_later) text += try_again;
  text += headers;
  if (!how.keep_alive) text += "Connection: close\r\n";
  if (how.keep_alive && how.is_http_10) text += "Connection: keep-alive\r\n";
  text += "\r\n";
  if (!how.head_only) text += answer.body + "\n";
  return text;
}

std::optional<http_address> parse_http_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  std::string_view ip = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  http_address result;
  const char* const end = digits.data() + digits.size();
  const auto [stop, failed] = std::from_chars(digits.data(), end, result.port);
  if (failed != std::errc{} || stop != end) return std::nullopt;
  const bool is_v6 = ip.size() > 2 && ip.front() == '[' && ip.back() == ']';
  if (is_v6) ip = ip.substr(1, ip.size() - 2);
  result.ip = ip == "localhost" ? "127.0.0.1" : ip;
  std::array<unsigned char, 16> bytes{};
  if (::inet_pton(is_v6 ? AF_INET6 : AF_INET, result.ip.c_str(), bytes.data()) != 1) {
    return std::nullopt;
  }
  constexpr std::array<unsigned char, 16> loopback_v6 = {0, 0, 0, 0, 0, 0, 0, 0,
                                                         0, 0, 0, 0, 0, 0, 0, 1};
  result.is_loopback = is_v6 ? bytes == loopback_v6 : bytes[0] == 127;
  return result;
}

}  // namespace brigade
