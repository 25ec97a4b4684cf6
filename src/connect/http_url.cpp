#include "connect/http_url.hpp"

#include <brigade/connect/record.hpp>
#include <brigade/pipeline/config_spec.hpp>
#include <brigade/pipeline/stage.hpp>

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace brigade::http {
namespace {

// Shorter ones hide nothing, and stand everywhere.
constexpr std::size_t secret_bytes_min = 4;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_unreserved(char c) {
  return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

[[noreturn]] void refuse(const std::string& why) { throw config_error("url", why); }

std::uint16_t port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failed != std::errc{} || end != text.data() + text.size() || port == 0) {
    refuse("'" + excerpt(text) + "' is no port; it is a number from 1 to 65535");
  }
  return port;
}

void check_host(const std::string& host, bool bracketed) {
  if (bracketed) {
    std::array<unsigned char, 16> address{};
    if (inet_pton(AF_INET6, host.c_str(), address.data()) == 1) return;
    refuse("[" + excerpt(host) + "] is no IPv6 address");
  }
  const bool is_name = std::ranges::all_of(host, [](char c) { return is_unreserved(c); });
  if (host.empty() || host.starts_with('.') || !is_name) {
    refuse("'" + excerpt(host) +
           "' is no host; it is a name or an IP address (write a name with other letters as xn--, "
           "and fields only behind the host)");
  }
}

// The rest behind the host, as a request has it.
void check_rest(std::string_view rest) {
  for (std::size_t at = 0; at < rest.size(); ++at) {
    const char c = rest[at];
    const bool escape = c == '%' && (rest.size() - at < 3 ||
                                     std::isxdigit(static_cast<unsigned char>(rest[at + 1])) == 0 ||
                                     std::isxdigit(static_cast<unsigned char>(rest[at + 2])) == 0);
    if (c == '#') refuse("a fragment ('#...') is never sent; leave it out, or write %23");
    if (escape || c <= ' ' || c >= '\x7f' ||
        std::string_view("\"<>\\^`{|}").find(c) != std::string_view::npos) {
      refuse("'" + excerpt(std::string_view(&c, 1)) + "' cannot stand in a URL like that: write " +
             percent_encoded(std::string_view(&c, 1)));
    }
  }
}

// Where the host ends, and its pieces.
std::size_t read_authority(std::string_view rest, address& to) {
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  if (authority.find('@') != std::string_view::npos) {
    refuse(
        "a user or a password does not belong into the URL; give a 'token', or 'headers' with "
        "Authorization");
  }
  const bool bracketed = authority.starts_with('[');
  std::size_t host_end = std::min(authority.find(':'), authority.size());
  if (bracketed) {
    host_end = authority.find(']');
    if (host_end == std::string_view::npos) refuse("']' is missing behind the IPv6 address");
    to.host = authority.substr(1, host_end - 1);
    ++host_end;
  } else {
    to.host = authority.substr(0, host_end);
  }
  check_host(to.host, bracketed);
  const std::string_view behind = authority.substr(host_end);
  to.port = to.tls ? 443 : 80;
  if (!behind.empty() && behind.front() != ':') refuse("a port comes behind ':'");
  if (!behind.empty()) to.port = port_of(behind.substr(1));
  const bool usual = to.port == (to.tls ? 443 : 80);
  to.authority = std::string(authority.substr(0, host_end));
  if (!usual) to.authority += ":" + std::to_string(to.port);
  return end;
}

bool is_other_address(std::string_view piece) {
  return piece.empty() || piece == "." || piece == "..";
}

}  // namespace

std::string address::shown() const { return (tls ? "https://" : "http://") + authority; }

url_template::url_template(std::string_view text) {
  std::string scheme(text.substr(0, std::min(text.find("://"), text.size())));
  std::ranges::transform(scheme, scheme.begin(),
                         [](char c) { return static_cast<char>(std::tolower(c)); });
  if (text.find("://") == std::string_view::npos || (scheme != "http" && scheme != "https")) {
    refuse("the URL must begin with http:// or https://");
  }
  where_.tls = scheme == "https";
  const std::string_view rest = text.substr(scheme.size() + 3);
  const std::size_t host_end = read_authority(rest, where_);
  std::string behind(rest.substr(host_end));
  if (!behind.starts_with('/')) behind.insert(0, "/");
  pieces_ = split_template(behind);
  for (template_piece& piece : pieces_) {
    if (!piece.is_field) {
      check_rest(piece.text);
    } else if (std::ranges::find(fields_, piece.text) == fields_.end()) {
      fields_.push_back(piece.text);
    }
  }
}

std::string url_template::target(std::string_view item) const {
  return has_fields() ? filled(item) : pieces_.front().text;
}

std::vector<std::string> url_template::secrets() const {
  std::vector<std::string> result;
  for (const template_piece& piece : pieces_) {
    if (piece.is_field) continue;
    const std::size_t query = std::min(piece.text.find('?'), piece.text.size());
    const std::string_view all = piece.text;
    for (const std::string_view part : {all.substr(0, query), all.substr(query)}) {
      if (part.size() >= secret_bytes_min) result.emplace_back(part.substr(part.front() == '?'));
    }
  }
  return result;
}

std::string url_template::filled(std::string_view item) const {
  const auto values = fields_of(item, fields_);
  std::string result;
  bool in_query = false;
  // Of the path, the piece between two slashes that the last field is in.
  std::string_view last_field;
  const auto check_piece = [&] {
    const std::size_t begin = result.rfind('/') + 1;
    if (last_field.empty() || in_query) return;
    const std::string_view piece = std::string_view(result).substr(begin);
    if (is_other_address(piece)) {
      throw permanent_error("field '" + std::string(last_field) + "' is '" + std::string(piece) +
                            "', which would make it another address");
    }
    last_field = {};
  };
  for (const template_piece& piece : pieces_) {
    if (piece.is_field) {
      const auto found = values.find(piece.text);
      if (found == values.end()) {
        throw permanent_error("the item has no field '" + piece.text + "' to fill into the URL");
      }
      result += percent_encoded(found->second);
      last_field = piece.text;
      continue;
    }
    for (const char c : piece.text) {
      if (!in_query && (c == '/' || c == '?')) check_piece();
      in_query = in_query || c == '?';
      result += c;
    }
  }
  check_piece();
  return result;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    if (is_unreserved(c)) {
      result += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    result += '%';
    result += digits[byte >> 4];
    result += digits[byte & 0xF];
  }
  return result;
}

}  // namespace brigade::http
