/// An HTTP/1.1 client for one loop: connections kept and used again, at most so many at a time.
///
/// A connection that was idle and turns out to be closed is replaced, and the request sent again
/// on a new one, when nothing of an answer had come and to do it twice does no harm. Redirects are
/// not followed; there are no proxies, cookies and compression.
///
/// Thread safety: the loop's thread. Lifetime: ends before the loop does.
#pragma once
#include "connect/http_connection.hpp"

#include <brigade/async/semaphore.hpp>

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>

namespace brigade::http {

struct client_options {
  std::shared_ptr<boost::asio::ssl::context> tls = {};  ///< none: only http://
  std::size_t connections_max = 100;
  milliseconds connect_timeout{10'000};  ///< with the name's addresses and TLS
  milliseconds answer_timeout{30'000};   ///< from the request's first byte to the answer's last
  milliseconds idle_max{60'000};         ///< what was idle for longer is not used again
  std::size_t body_bytes_max = std::size_t{1} << 20;  ///< of an answer
};

/// Who asks for others; a seam for tests.
class sender {
 public:
  virtual ~sender() = default;
  /// Completes:  with the answer, whatever its status.
  /// Throws:     `unreachable`, `broken`; a time limit that passes is one of these.
  /// Cancelled:  at every wait; the connection is dropped.
  /// `what` is kept by the caller until then.
  virtual task<answer> send(const address& to, const request& what) = 0;
};

class client final : public sender {
 public:
  explicit client(client_options options);
  ~client() override;
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  task<answer> send(const address& to, const request& what) override;

 private:
  struct idle_connection {
    std::string where;
    std::unique_ptr<connection> line;
    std::chrono::steady_clock::time_point since;
  };
  std::unique_ptr<connection> take_idle(const address& to);
  void keep(const address& to, std::unique_ptr<connection> line);
  void make_room();
  task<std::unique_ptr<connection>> connect(const address& to);
  task<answer> ask(const address& to, connection& line, const request& what);

  client_options options_;
  semaphore slots_;
  std::list<idle_connection> idle_;  ///< the newest at the front
};

}  // namespace brigade::http
