// A small HTTP server on a thread of its own: who asks too slowly, too much or nonsense is sent
// away, and everybody else gets what the handler says.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade::admin {

struct http_request {
  std::string method;
  std::string path;           ///< without the query
  std::string host;           ///< as sent; empty: none was
  std::string authorization;  ///< as sent
  std::string local_address;  ///< the one that the connection came in on, without the port
};

struct http_response {
  unsigned status = 200;
  std::string body{};
  std::string type = "text/plain; charset=utf-8";
  std::vector<std::pair<std::string, std::string>> headers{};
};

using http_handler = std::function<http_response(const http_request&)>;

/// An IP address and a port.
struct listen_address {
  std::string ip;
  std::uint16_t port = 0;
  bool is_loopback = false;
};

class http_server {
 public:
  static constexpr std::size_t connections_max = 64;  ///< then who has been idle longest has to go
  static constexpr std::size_t header_bytes_max = 8192;
  static constexpr std::size_t body_bytes_max = 4096;

  /// Throws std::runtime_error when it cannot listen. `answer` is called on the server's thread;
  /// what it throws becomes a 500.
  http_server(const listen_address& where, http_handler answer);
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// With the real port.
  [[nodiscard]] std::string address() const;

 private:
  class implementation;
  std::unique_ptr<implementation> impl_;
};

}  // namespace brigade::admin
