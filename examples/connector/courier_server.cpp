#include "courier_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

class courier_server::office {
 public:
  office() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, plain, size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, plain, &size) != 0) {
      throw std::runtime_error("no port for the courier");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~office() {
    over_ = true;
    thread_.join();
    for (const auto& [fd, bytes] : callers_) ::close(fd);
    ::close(listener_);
  }
  std::uint16_t port() const { return port_; }
  std::vector<std::string> taken() const {
    const std::lock_guard lock(mutex_);
    return taken_;
  }

 private:
  void serve() {
    while (!over_) {
      std::vector<pollfd> all = {{listener_, POLLIN, 0}};
      for (const auto& [fd, bytes] : callers_) all.push_back({fd, POLLIN, 0});
      ::poll(all.data(), all.size(), 20);
      for (const pollfd& each : all) {
        if (each.revents == 0) continue;
        if (each.fd != listener_) {
          hear(each.fd);
          continue;
        }
        const int caller = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (caller >= 0) callers_.emplace(caller, std::string());
      }
    }
  }
  void hear(int fd) {
    std::array<char, 65536> buffer;
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      ::close(fd);
      callers_.erase(fd);
      return;
    }
    std::string& bytes = callers_[fd];
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
    std::string answers;
    while (take_one(bytes, answers)) {
    }
    static_cast<void>(!::send(fd, answers.data(), answers.size(), MSG_NOSIGNAL));
  }
  bool take_one(std::string& bytes, std::string& answers) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string::npos) return false;
    const std::size_t size = std::stoul(bytes.substr(0, end));
    if (bytes.size() < end + 1 + size) return false;
    std::string item = bytes.substr(end + 1, size);
    bytes.erase(0, end + 1 + size);
    answers += item == "a bomb" ? "no bombs\n" : "ok\n";
    if (item == "a bomb") return true;
    const std::lock_guard lock(mutex_);
    taken_.push_back(std::move(item));
    return true;
  }

  int listener_;
  std::uint16_t port_ = 0;
  std::map<int, std::string> callers_;  ///< what each has said and is not an item yet
  std::atomic<bool> over_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> taken_;
  std::thread thread_;
};

courier_server::courier_server() : office_(std::make_unique<office>()) {}
courier_server::~courier_server() = default;
std::uint16_t courier_server::port() const { return office_->port(); }
std::vector<std::string> courier_server::taken() const { return office_->taken(); }
