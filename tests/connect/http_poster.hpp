/// A client of the source `http`: threads that post what they are given, each request under a key
/// of its own, again and again until they hear what became of it. Knows nothing of brigade.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace brigade::test {

/// A connection to loopback; empty where there is none to be had.
class plain_connection {
 public:
  explicit plain_connection(std::uint16_t port)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval look_up{0, 50'000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &look_up, sizeof(look_up));
    is_open_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
  }
  ~plain_connection() { ::close(fd_); }
  plain_connection(const plain_connection&) = delete;
  plain_connection& operator=(const plain_connection&) = delete;

  [[nodiscard]] bool is_open() const { return is_open_; }
  [[nodiscard]] bool send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t sent = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// The status and the body of an answer; nothing when the connection ended before it did, or
  /// `ends` says so.
  [[nodiscard]] std::optional<std::pair<int, std::string>> answer(const std::atomic<bool>& ends) {
    std::string text;
    std::array<char, 4096> bytes{};
    while (!ends) {
      const std::size_t head = text.find("\r\n\r\n");
      if (head != std::string::npos) {
        const std::size_t at = text.find("Content-Length: ");
        const std::size_t length = at < head ? std::stoul(text.substr(at + 16)) : 0;
        if (text.size() >= head + 4 + length) {
          return std::pair(std::stoi(text.substr(9, 3)), text.substr(head + 4, length));
        }
      }
      const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0) return std::nullopt;
      text.append(bytes.data(), static_cast<std::size_t>(got));
    }
    return std::nullopt;
  }

 private:
  int fd_;
  bool is_open_ = false;
};

class http_poster {
 public:
  explicit http_poster(std::uint16_t port) : port_(port) {}
  ~http_poster() {
    ends_ = true;
    change_.notify_all();
    for (std::thread& each : threads_) each.join();
  }
  http_poster(const http_poster&) = delete;
  http_poster& operator=(const http_poster&) = delete;

  /// A request; `items`: how many are in it.
  void post(std::string body, std::size_t items) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({"key-" + std::to_string(++posted_), std::move(body), items});
    if (threads_.size() < 64) threads_.emplace_back([this] { work(); });
    change_.notify_one();
  }
  /// Items that were answered by 200, or as delivered among others.
  [[nodiscard]] std::size_t delivered() const { return delivered_; }

 private:
  struct request {
    std::string key;
    std::string body;
    std::size_t items = 0;
  };

  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      change_.wait(lock, [&] { return ends_ || !waiting_.empty(); });
      if (ends_) return;
      const request mine = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      while (!ends_ && !try_to_post(mine)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
      }
    }
  }
  /// True: there is nothing more to say about it.
  bool try_to_post(const request& mine) {
    plain_connection server(port_);
    if (!server.is_open()) return false;
    const bool sent = server.send(
        "POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nIdempotency-Key: " +
        mine.key + "\r\nContent-Length: " + std::to_string(mine.body.size()) + "\r\n\r\n" +
        mine.body);
    if (!sent) return false;
    const auto answer = server.answer(ends_);
    if (!answer) return false;
    const auto& [status, text] = *answer;
    if (status == 200) delivered_ += mine.items;
    if (status == 207) return settled_one_by_one(text, mine.items);
    return status == 200 || status == 202 || (status >= 400 && status < 500 && status != 429);
  }
  /// Of a batch that did not go all one way.
  bool settled_one_by_one(const std::string& text, std::size_t items) {
    const std::size_t good = count_of(text, "\"status\":200");
    const std::size_t others = count_of(text, "\"status\":422") + count_of(text, "\"status\":202");
    if (good + others < items) return false;
    delivered_ += good;
    return true;
  }
  static std::size_t count_of(const std::string& text, std::string_view what) {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size()) ++count;
    return count;
  }

  std::uint16_t port_;
  std::mutex mutex_;
  std::condition_variable change_;
  std::deque<request> waiting_;
  std::size_t posted_ = 0;
  std::atomic<std::size_t> delivered_{0};
  std::atomic<bool> ends_{false};
  std::vector<std::thread> threads_;
};

}  // namespace brigade::test
