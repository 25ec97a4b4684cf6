/// A server that keeps what is posted to it: a thread, and one more for each connection. Knows
/// nothing of brigade.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace brigade::test {

class http_shelf {
 public:
  /// What is in a body, in order; empty: it is refused, by 422, as a whole.
  using reader = std::function<std::vector<std::string>(const std::string& body)>;

  explicit http_shelf(reader items_of)
      : items_of_(std::move(items_of)),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const raw = reinterpret_cast<sockaddr*>(&at);
    if (::bind(listener_, raw, size) != 0 || ::listen(listener_, 100) != 0 ||
        ::getsockname(listener_, raw, &size) != 0) {
      throw std::runtime_error("no server can be made");
    }
    port_ = ntohs(at.sin_port);
    threads_.emplace_back([this] { serve(); });
  }
  ~http_shelf() {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
      ::shutdown(listener_, SHUT_RDWR);
      for (const int each : open_) ::shutdown(each, SHUT_RDWR);
    }
    for (std::thread& each : threads_) each.join();
    ::close(listener_);
  }
  http_shelf(const http_shelf&) = delete;
  http_shelf& operator=(const http_shelf&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::vector<std::string> kept() const {
    const std::lock_guard lock(mutex_);
    return kept_;
  }

 private:
  void serve() {
    for (;;) {
      const int one = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      const std::lock_guard lock(mutex_);
      if (ends_ || one < 0) {
        if (one >= 0) ::close(one);
        if (ends_) return;
        continue;
      }
      open_.push_back(one);
      threads_.emplace_back([this, one] { attend(one); });
    }
  }
  void attend(int connection) {
    std::string text;
    while (take_one(connection, text)) {
    }
    const std::lock_guard lock(mutex_);
    open_.remove(connection);
    ::close(connection);
  }
  bool take_one(int connection, std::string& text) {
    std::array<char, 65536> bytes{};
    for (;;) {
      const std::size_t head = text.find("\r\n\r\n");
      const std::size_t at = text.find("Content-Length: ");
      if (head != std::string::npos && at < head) {
        const std::size_t length = std::stoul(text.substr(at + 16));
        if (text.size() >= head + 4 + length) {
          const std::string body = text.substr(head + 4, length);
          text.erase(0, head + 4 + length);
          return answer(connection, keep(body));
        }
      }
      const ssize_t got = ::recv(connection, bytes.data(), bytes.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      text.append(bytes.data(), static_cast<std::size_t>(got));
    }
  }
  bool keep(const std::string& body) {
    const std::vector<std::string> items = items_of_(body);
    const std::lock_guard lock(mutex_);
    kept_.insert(kept_.end(), items.begin(), items.end());
    return !items.empty();
  }
  static bool answer(int connection, bool is_good) {
    const std::string text = is_good ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                                     : "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n";
    return ::send(connection, text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  }

  reader items_of_;
  int listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  bool ends_ = false;
  std::list<int> open_;
  std::vector<std::string> kept_;
  std::list<std::thread> threads_;
};

}  // namespace brigade::test
