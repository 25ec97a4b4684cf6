// A source on a network, with a flaw or none, and the server it asks.
#pragma once
#include <brigade/async/cancel.hpp>
#include <brigade/async/descriptor.hpp>
#include <brigade/async/thread.hpp>
#include <brigade/async/timeout.hpp>
#include <brigade/testing/connector_suite.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace brigade::testing {

/// Answers each line, which is a number, by the item of that number, as soon as there is one: its
/// length, a newline, and its bytes.
class item_server {
 public:
  item_server() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, plain, size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, plain, &size) != 0) {
      throw std::runtime_error("no port");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~item_server() {
    over_ = true;
    thread_.join();
    for (const auto& [fd, asked] : callers_) ::close(fd);
    ::close(listener_);
  }
  item_server(const item_server&) = delete;
  item_server& operator=(const item_server&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }
  void add(const std::vector<std::string>& more) {
    const std::lock_guard lock(mutex_);
    items_.insert(items_.end(), more.begin(), more.end());
  }

 private:
  void serve() {
    while (!over_) {
      std::vector<pollfd> all = {{listener_, POLLIN, 0}};
      for (const auto& [fd, asked] : callers_) all.push_back({fd, POLLIN, 0});
      ::poll(all.data(), all.size(), 2);
      const int caller = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (caller >= 0) callers_.emplace(caller, std::string());
      for (auto at = callers_.begin(); at != callers_.end();) {
        at = hear(at->first, at->second) ? std::next(at) : callers_.erase(at);
      }
    }
  }
  bool hear(int fd, std::string& asked) {
    std::array<char, 4096> buffer;
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
      ::close(fd);
      return false;
    }
    if (got > 0) asked.append(buffer.data(), static_cast<std::size_t>(got));
    const std::size_t end = asked.find('\n');
    const std::lock_guard lock(mutex_);
    const std::size_t number = end == std::string::npos ? items_.size() : std::stoul(asked);
    if (number >= items_.size()) return true;
    const std::string answer = std::to_string(items_[number].size()) + "\n" + items_[number];
    asked.erase(0, end + 1);
    for (std::size_t sent = 0; sent < answer.size();) {
      const ssize_t some = ::send(fd, answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
      if (some < 0 && errno != EAGAIN) break;
      sent += some > 0 ? static_cast<std::size_t>(some) : 0;
    }
    return true;
  }

  int listener_;
  std::uint16_t port_ = 0;
  std::map<int, std::string> callers_;  ///< what each asked for and has not got
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::vector<std::string> items_;
  std::thread thread_;
};

/// Asks for one item after the other, and again, over a new connection, when one breaks.
class network_source final : public source {
 public:
  network_source(std::uint16_t port, std::string flaw) : port_(port), flaw_(std::move(flaw)) {}
  task<> open(std::vector<partition_mark> resume, std::string) override {
    for (partition_mark& each : resume) {
      if (each.partition == partitions_[0]) done_ = std::move(each.at);
    }
    co_return;
  }
  task<std::vector<source_item>> read(std::size_t) override {
    while (done_.finished(next_)) ++next_;
    std::string text;
    if (flaw_ == "cannot be cancelled") {
      auto whole = shielded(std::chrono::seconds(7), ask_until_answered());
      text = co_await std::move(whole);
    } else {
      text = co_await ask_until_answered();
    }
    std::vector<source_item> items;
    items.emplace_back(payload(std::move(text)), 0, next_, next_ + 1);
    ++next_;
    co_return items;
  }
  task<> close() override {
    wire_.reset();
    co_return;
  }
  [[nodiscard]] const std::vector<std::string>& partitions() const override { return partitions_; }
  [[nodiscard]] bool finite() const override { return false; }
  [[nodiscard]] std::string fingerprint() const override { return "network"; }

 private:
  static int connect_to(std::uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    const int error = errno;
    ::close(fd);
    throw std::system_error(error, std::generic_category());
  }
  // A wait that is cancelled leaves an answer behind that nobody has asked for.
  task<std::string> ask_until_answered() {
    const auto limit = std::chrono::milliseconds(flaw_ == "skips when late" ? 15 : 5000);
    for (;;) {
      struct forget {
        std::optional<descriptor>& wire;
        bool is_whole = false;
        ~forget() {
          if (!is_whole) wire.reset();
        }
      };
      bool is_late = false;
      {
        forget guard{wire_};
        try {
          auto bounded = timeout(limit, ask());
          std::string text = co_await std::move(bounded);
          guard.is_whole = true;
          co_return text;
        } catch (const std::system_error&) {
        } catch (const timed_out&) {
          is_late = true;
        }
      }
      if (flaw_ == (is_late ? "skips when late" : "skips when broken")) ++next_;
      co_await sleep_for(std::chrono::milliseconds(5));
    }
  }
  task<std::string> ask() {
    if (!wire_) {
      auto call = to_thread(&connect_to, port_);
      wire_.emplace(co_await std::move(call));
    }
    const std::string question = std::to_string(next_) + "\n";
    static_cast<void>(co_await wire_->write_some(question));
    std::string answer;
    std::array<char, 65536> buffer;
    for (;;) {
      const std::size_t got = co_await wire_->read_some(buffer);
      if (got == 0) throw std::system_error(ECONNRESET, std::generic_category());
      answer.append(buffer.data(), got);
      const std::size_t end = answer.find('\n');
      if (end == std::string::npos) continue;
      const std::size_t size = std::stoul(answer);
      if (answer.size() == end + 1 + size) co_return answer.substr(end + 1);
    }
  }

  std::uint16_t port_;
  std::string flaw_;
  std::vector<std::string> partitions_ = {"main:0"};
  std::optional<descriptor> wire_;
  mark done_;
  std::uint64_t next_ = 0;
};

class network_far_source final : public source_far_side {
 public:
  explicit network_far_source(std::string flaw) : flaw_(std::move(flaw)) {}
  std::unique_ptr<source> make_source() override {
    return std::make_unique<network_source>(wire_.port(), flaw_);
  }
  void feed(const std::vector<std::string>& texts) override { server_.add(texts); }
  fault_proxy* wire() override { return &wire_; }

 private:
  std::string flaw_;
  item_server server_;
  fault_proxy wire_{server_.port()};
};

}  // namespace brigade::testing
