// The connections of the source `http`, on the loop of whoever makes it: a task each. Who is slow,
// silent or talks nonsense is sent away; whoever else is answered by the taker.
#pragma once
#include "connect/http_request.hpp"
#include "connect/http_taker.hpp"
#include "connect/tls_context.hpp"

#include <brigade/async/task.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace brigade {

struct http_server_options {
  std::string name = "http";  ///< of the source, for messages
  std::string ip = "127.0.0.1";
  std::uint16_t port = 0;
  http_rules rules;
  std::size_t connections_max = 1024;
  std::chrono::milliseconds idle_timeout{60'000};     ///< between requests
  std::chrono::milliseconds request_timeout{30'000};  ///< for a request; for an answer
  std::optional<tls::server_files> tls = {};
};

class http_server {
 public:
  /// Listens, and answers from the next turn of the loop on. Throws std::runtime_error when it
  /// cannot listen or a file of its TLS cannot be used.
  http_server(http_server_options options, std::shared_ptr<http_taker> taker);
  /// Without `close`: connections are cut.
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// With the real port.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::size_t connections() const;

  /// Sends the answers that there are, for at most two seconds, and hangs up.
  [[nodiscard]] task<> close();

 private:
  class implementation;
  std::shared_ptr<implementation> impl_;
};

}  // namespace brigade
