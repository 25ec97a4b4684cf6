/// A client of the source `socket`: a thread that sends lines or datagrams, whenever there is
/// somebody who listens. Knows nothing of brigade.
///
/// On a connection nobody says what arrived. Without a journal each item is sent once. With one, it
/// looks into the journal's file: an item is sent again until it is there, and the next one is not
/// sent before. Of one that was sent twice both may be kept, and the second is not the next one.
#pragma once
#include "connect/sqlite_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace brigade::test {

/// How many items an intake journal has had, durably.
class journal_count {
 public:
  explicit journal_count(std::string path) : path_(std::move(path)) {
    // SQLite's memory of its locks must not go into a process that is forked off.
    static const int once =
        ::pthread_atfork([] { lock().lock(); }, [] { lock().unlock(); }, [] { lock().unlock(); });
    static_cast<void>(once);
  }
  [[nodiscard]] std::size_t now() const {
    if (!std::filesystem::exists(path_)) return 0;
    const std::lock_guard one_at_a_time(lock());
    try {
      const auto rows = sqlite_client(path_).query(
          "select max(coalesce((select max(position) from items), 0), value - 1) from meta "
          "where key = 'trimmed'");
      return rows.empty() ? 0 : std::stoul(rows.front());
    } catch (const std::runtime_error&) {
      return 0;  // it is just being made
    }
  }

 private:
  static std::mutex& lock() {
    static std::mutex one;
    return one;
  }
  std::string path_;
};

struct sender_options {
  bool is_stream = true;
  std::uint16_t port = 0;  ///< of loopback; 0: `unix_path`
  std::string unix_path = {};
  std::string journal = {};  ///< empty: there is none
};

class socket_sender {
 public:
  explicit socket_sender(sender_options options)
      : options_(std::move(options)), journal_(options_.journal), thread_([this] { work(); }) {}
  ~socket_sender() {
    ends_ = true;
    change_.notify_all();
    thread_.join();
    disconnect();
  }
  socket_sender(const socket_sender&) = delete;
  socket_sender& operator=(const socket_sender&) = delete;

  void send(const std::vector<std::string>& items) {
    const std::lock_guard lock(mutex_);
    waiting_.insert(waiting_.end(), items.begin(), items.end());
    change_.notify_all();
  }

 private:
  static constexpr std::chrono::milliseconds twin_comes_within{50};

  void work() {
    for (std::size_t sent = 0;;) {
      std::unique_lock lock(mutex_);
      change_.wait(lock, [&] { return ends_ || !waiting_.empty(); });
      if (ends_) return;
      const std::string item = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      ++sent;
      copies_ = 0;
      while (!ends_ && !is_sent(item, sent)) pause();
      if (copies_ > 1 && !options_.journal.empty()) sent = count_twins(sent);
    }
  }
  std::size_t count_twins(std::size_t sent) {
    const auto until = std::chrono::steady_clock::now() + twin_comes_within;
    while (!ends_ && std::chrono::steady_clock::now() < until) {
      pause();
      sent = std::max(sent, journal_.now());
    }
    return sent;
  }
  static void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

  bool is_sent(const std::string& item, std::size_t number) {
    if (!is_connected() && !connect()) return false;
    // Whatever an earlier listener took in is there by the time that a new one listens.
    if (!options_.journal.empty() && journal_.now() >= number) return true;
    if (!is_connected()) return false;  // that look took its time
    ++copies_;
    if (!write(options_.is_stream ? item + "\n" : item)) {
      disconnect();
      return false;
    }
    if (options_.journal.empty()) return true;
    while (!ends_ && is_connected()) {
      if (journal_.now() >= number) return true;
      pause();
    }
    return false;
  }

  /// To whoever listened when it was made.
  bool is_connected() {
    if (fd_ < 0) return false;
    char byte = 0;
    const ssize_t got = ::recv(fd_, &byte, 1, MSG_DONTWAIT);
    const bool is_over =
        options_.is_stream ? got == 0 || (got < 0 && errno != EAGAIN) : listener() != listener_;
    if (is_over) disconnect();
    return !is_over;
  }
  bool connect() {
    listener_ = options_.is_stream ? "" : listener();
    if (!options_.is_stream && listener_.empty()) return false;
    const bool is_unix = options_.port == 0;
    fd_ = ::socket(is_unix ? AF_UNIX : AF_INET,
                   (options_.is_stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    sockaddr_storage name{};
    socklen_t size = sizeof(sockaddr_in);
    if (is_unix) {
      auto* const to = reinterpret_cast<sockaddr_un*>(&name);
      to->sun_family = AF_UNIX;
      std::memcpy(to->sun_path, options_.unix_path.c_str(), options_.unix_path.size());
      size = sizeof(sockaddr_un);
    } else {
      auto* const to = reinterpret_cast<sockaddr_in*>(&name);
      to->sin_family = AF_INET;
      to->sin_port = htons(options_.port);
      to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&name), size) == 0) return true;
    disconnect();
    return false;
  }
  void disconnect() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // A listener that stands still must not keep the end of a test.
  bool write(std::string_view bytes) {
    do {
      const ssize_t some = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (some < 0 && errno != EAGAIN) return false;
      if (some < 0) pause();
      if (some >= 0) bytes.remove_prefix(static_cast<std::size_t>(some));
      if (some >= 0 && !options_.is_stream) return true;
    } while (!bytes.empty() && !ends_);
    return true;
  }

  /// Which socket takes the datagrams, as the kernel names it; empty: none.
  [[nodiscard]] std::string listener() const {
    std::array<char, 32> place{};
    std::snprintf(place.data(), place.size(), "0100007F:%04X ", options_.port);
    std::ifstream all(options_.port == 0 ? "/proc/net/unix" : "/proc/net/udp");
    for (std::string line; std::getline(all, line);) {
      const bool is_it = options_.port == 0 ? line.ends_with(" " + options_.unix_path)
                                            : line.find(place.data()) == line.find(": ") + 2;
      if (is_it) return line_identity(line);
    }
    return {};
  }
  /// The inode: the last number but for what may change.
  [[nodiscard]] std::string line_identity(const std::string& line) const {
    std::istringstream words(line);
    std::string word;
    for (int at = 0; at < (options_.port == 0 ? 7 : 10); ++at) words >> word;
    return word;
  }

  sender_options options_;
  journal_count journal_;
  std::mutex mutex_;
  std::condition_variable change_;
  std::deque<std::string> waiting_;
  std::atomic<bool> ends_{false};
  int fd_ = -1;
  std::string listener_;
  int copies_ = 0;  ///< of the item, that went out
  std::thread thread_;
};

}  // namespace brigade::test
