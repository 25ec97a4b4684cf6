#include "connect/admin_routes.hpp"

#include "connect/admin_pages.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace brigade::admin {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// `host`, `host:port`, `[::1]:port`: what is before the port, without brackets.
std::string name_in(std::string_view host) {
  if (!host.empty() && host.front() == '[') {
    const std::size_t end = host.find(']');
    if (end == host.npos) return {};
    const std::string_view rest = host.substr(end + 1);
    const bool sound = rest.empty() || (rest.front() == ':' && all_digits(rest.substr(1)));
    return sound ? lower(host.substr(1, end - 1)) : "";
  }
  const std::size_t colon = host.find(':');
  if (colon == host.npos) return lower(host);
  return all_digits(host.substr(colon + 1)) ? lower(host.substr(0, colon)) : "";
}

bool is_own_host(const http_request& request, const admin_options& options) {
  const std::string name = name_in(request.host);
  if (name.empty()) return false;
  if (name == "localhost" || name == "127.0.0.1" || name == "::1") return true;
  if (name == request.local_address) return true;
  const auto listening = parse_listen(options.listen);
  if (listening && name == listening->ip) return true;
  return std::any_of(options.hosts.begin(), options.hosts.end(),
                     [&](const std::string& own) { return lower(own) == name; });
}

bool has_token(const http_request& request, const admin_options& options) {
  constexpr std::string_view scheme = "bearer ";
  const std::string_view given = request.authorization;
  if (lower(given.substr(0, scheme.size())) != scheme) return false;
  return is_same_token(given.substr(scheme.size()), options.token);
}

http_response refusal(unsigned status, std::string text) {
  http_response response;
  response.status = status;
  response.body = std::move(text) + "\n";
  return response;
}

http_response judged(const health& state) { return refusal(state.good ? 200 : 503, state.text); }

std::optional<http_response> refused(const http_request& request, const admin_options& options) {
  if (request.host.empty()) return refusal(400, "the request has no Host header");
  if (!is_own_host(request, options)) {
    return refusal(403,
                   "the Host header is not an address or a name of this endpoint: a web page may "
                   "have made it up. Ask by address, or add the name to 'hosts' of 'admin'");
  }
  if (!options.token.empty() && !has_token(request, options)) {
    http_response response =
        refusal(401, "the token is missing or wrong: send 'Authorization: Bearer TOKEN'");
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  if (request.method != "GET" && request.method != "HEAD") {
    http_response response = refusal(405, "only GET and HEAD: nothing can be changed here");
    response.headers.emplace_back("Allow", "GET, HEAD");
    return response;
  }
  return std::nullopt;
}

}  // namespace

std::optional<listen_address> parse_listen(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos || !all_digits(text.substr(colon + 1))) return std::nullopt;
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failed != std::errc() || port > 65535) return std::nullopt;
  listen_address result;
  result.port = static_cast<std::uint16_t>(port);
  result.ip = text.substr(0, colon);
  if (result.ip == "localhost") result.ip = "127.0.0.1";
  if (in_addr v4{}; ::inet_pton(AF_INET, result.ip.c_str(), &v4) == 1) {
    result.is_loopback = (ntohl(v4.s_addr) >> 24) == 127;
    return result;
  }
  if (result.ip.size() < 2 || result.ip.front() != '[' || result.ip.back() != ']') {
    return std::nullopt;
  }
  result.ip = result.ip.substr(1, result.ip.size() - 2);
  in6_addr v6{};
  if (::inet_pton(AF_INET6, result.ip.c_str(), &v6) != 1) return std::nullopt;
  result.is_loopback = IN6_IS_ADDR_LOOPBACK(&v6);
  return result;
}

bool is_same_token(std::string_view given, std::string_view right) {
  unsigned difference = given.size() == right.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size() && !right.empty(); ++i) {
    const auto own = static_cast<unsigned char>(right[i % right.size()]);
    difference |= static_cast<unsigned>(static_cast<unsigned char>(given[i]) ^ own);
  }
  return difference == 0 && !right.empty();
}

http_response answer(const http_request& request, const admin_options& options,
                     const std::function<run_status()>& look) {
  if (auto no = refused(request, options)) return *std::move(no);
  http_response response;
  if (request.path == "/livez") return judged(liveness(look(), options.stuck_after));
  if (request.path == "/readyz") return judged(readiness(look()));
  if (request.path == "/metrics") {
    response.type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics_page(look());
  } else if (request.path == "/status") {
    response.type = "application/json";
    response.body = status_page(look(), options.stuck_after);
  } else {
    return refusal(404, "there are /livez, /readyz, /metrics and /status");
  }
  return response;
}

}  // namespace brigade::admin
