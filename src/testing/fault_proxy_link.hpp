// One connection through a fault_proxy: two sockets, and what is on its way between them.
#pragma once
#include <poll.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

namespace brigade::testing::detail {

using proxy_clock = std::chrono::steady_clock;

/// Owns a socket, or nothing.
class owned_socket {
 public:
  owned_socket() = default;
  explicit owned_socket(int fd) : fd_(fd) {}
  owned_socket(owned_socket&& other) noexcept : fd_(other.release()) {}
  owned_socket& operator=(owned_socket&& other) noexcept;
  ~owned_socket() { close(); }
  [[nodiscard]] int fd() const { return fd_; }
  int release() noexcept;
  void close() noexcept;
  /// Closes it so that the far side sees a reset.
  void reset() noexcept;

 private:
  int fd_ = -1;
};

/// What holds for all connections.
struct link_rules {
  std::chrono::milliseconds delay{0};
  std::uint64_t bytes_per_second = 0;
  bool silent = false;
};

/// How many of `bytes` may be passed on that way now, and then: so many were. A limit that is
/// reached strikes by what `passed` does.
struct link_toll {
  std::function<std::size_t(bool to_target, std::size_t bytes)> allowed;
  std::function<void(bool to_target, std::size_t bytes)> passed;
};

class proxy_link {
 public:
  proxy_link(owned_socket client, owned_socket target, bool silent);

  /// Adds what it waits for; at most two entries.
  void add_to(std::deque<pollfd>& wanted, const link_rules& rules, proxy_clock::time_point now);
  /// When time alone lets something happen.
  [[nodiscard]] std::optional<proxy_clock::time_point> due(const link_rules& rules) const;
  /// Moves what can be moved. False: it is over, and its sockets are to go.
  bool work(const link_rules& rules, proxy_clock::time_point now, const link_toll& toll);
  void cut();
  void reset();
  void speak() { silent_ = false; }

 private:
  struct chunk {
    proxy_clock::time_point read_at;
    std::string bytes;
  };
  /// One direction.
  struct way {
    owned_socket* from = nullptr;
    owned_socket* to = nullptr;
    std::deque<chunk> held{};
    std::size_t held_bytes = 0;
    std::optional<proxy_clock::time_point> ended{};  ///< its sender has
    proxy_clock::time_point free_at{};               ///< of the throttle
    bool is_over = false;                            ///< and that was passed on
  };
  [[nodiscard]] bool is_quiet(const link_rules& rules) const { return silent_ || rules.silent; }
  [[nodiscard]] static std::optional<proxy_clock::time_point> next_send(const way& one,
                                                                        const link_rules& rules);
  static bool take_in(way& one, proxy_clock::time_point now);
  bool send_on(way& one, const link_rules& rules, proxy_clock::time_point now,
               const link_toll& toll);

  owned_socket client_;
  owned_socket target_;
  way up_;
  way down_;
  bool silent_;
};

}  // namespace brigade::testing::detail
