/// A server on loopback that does as it is told: each connection is a coroutine of the test's loop.
#pragma once
#include <brigade/async/asio.hpp>
#include <brigade/async/group.hpp>
#include <brigade/async/task.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace brigade::test {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

/// One connection, from the server's side.
class visitor {
 public:
  explicit visitor(tcp::socket socket, asio::ssl::context* tls) : socket_(std::move(socket)) {
    if (tls != nullptr) tls_.emplace(socket_, *tls);
  }
  /// With TLS; true when it went well.
  task<bool> handshake() {
    auto [failed] = co_await tls_->async_handshake(asio::ssl::stream_base::server, with_error);
    co_return !failed;
  }
  /// The next request, head and body; nothing when the connection has ended.
  task<std::optional<std::string>> request() {
    for (;;) {
      const std::size_t head = text_.find("\r\n\r\n");
      if (head != std::string::npos) {
        const std::size_t length = text_.find("Content-Length: ");
        std::size_t size = head + 4;
        if (length < head) size += std::stoul(text_.substr(length + 16));
        if (text_.size() >= size) {
          std::string one = text_.substr(0, size);
          text_.erase(0, size);
          co_return one;
        }
      }
      const bool more = co_await receive();
      if (!more) co_return std::nullopt;
    }
  }
  /// More of what comes; false at its end.
  task<bool> receive() {
    std::string piece(64 << 10, '\0');
    std::size_t size = 0;
    if (tls_) {
      auto [failed, got] = co_await tls_->async_read_some(asio::buffer(piece), with_error);
      size = failed ? 0 : got;
    } else {
      auto [failed, got] = co_await socket_.async_read_some(asio::buffer(piece), with_error);
      size = failed ? 0 : got;
    }
    text_.append(piece, 0, size);
    co_return size != 0;
  }
  /// Waits for the end.
  task<> hear_all() {
    for (bool more = true; more;) more = co_await receive();
  }
  task<> say(std::string text) {
    if (tls_) {
      static_cast<void>(co_await asio::async_write(*tls_, asio::buffer(text), with_error));
    } else {
      static_cast<void>(co_await asio::async_write(socket_, asio::buffer(text), with_error));
    }
  }
  /// An answer as most are.
  task<> answer(int status, std::string body = "", std::string headers = "") {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " Said\r\n" + headers +
                       "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    auto saying = say(std::move(text));
    co_await std::move(saying);
  }
  /// Ends it with a reset instead of politely.
  void reset() {
    socket_.set_option(asio::socket_base::linger(true, 0));
    socket_.close();
  }

 private:
  static constexpr auto with_error = asio::as_tuple(use_await);
  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  std::string text_;
};

/// What is done with the n-th connection, counted from 0.
using reception = std::function<task<>(visitor&, int)>;

/// Outlives the group.
class far_server {
 public:
  explicit far_server(task_group& group, reception receive, asio::ssl::context* tls = nullptr)
      : receive_(std::move(receive)),
        tls_(tls),
        acceptor_(asio_context(), tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    group.spawn([this, &group] { return accept(group); });
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  [[nodiscard]] std::string url(const std::string& path = "/") const {
    return (tls_ == nullptr ? "http" : "https") +
           std::string("://127.0.0.1:" + std::to_string(port())) + path;
  }
  int connections = 0;

 private:
  task<> accept(task_group& group) {
    for (;;) {
      tcp::socket socket = co_await acceptor_.async_accept(use_await);
      auto guest = std::make_shared<visitor>(std::move(socket), tls_);
      const int number = connections++;
      group.spawn([this, guest, number] { return receive_(*guest, number); });
    }
  }
  reception receive_;
  asio::ssl::context* tls_;
  tcp::acceptor acceptor_;
};

}  // namespace brigade::test
