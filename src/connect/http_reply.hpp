// An answer as it goes over the wire, and where the source `http` listens.
#pragma once
#include "connect/http_taker.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

struct http_manners {
  bool keep_alive = false;
  bool is_http_10 = false;
  bool head_only = false;
};

/// `headers` are whole lines, CRLF behind each.
[[nodiscard]] std::string http_reply(const http_answer& answer, std::string_view headers,
                                     const http_manners& how);

struct http_address {
  std::string ip;
  std::uint16_t port = 0;
  bool is_loopback = false;
};
/// What `listen` says: an IP address (or localhost) and a port; none when it is no such thing.
[[nodiscard]] std::optional<http_address> parse_http_address(std::string_view text);

}  // namespace brigade
