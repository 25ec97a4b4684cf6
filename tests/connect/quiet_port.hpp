/// A port that a test may have for a listener that comes and goes.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

namespace brigade::test {

/// A port of loopback on which nobody listens. Outside the range that the kernel gives away by
/// itself, so that it stays free while who listens there is started anew.
inline std::uint16_t quiet_port() {
  static std::uint32_t next = static_cast<std::uint32_t>(::getpid()) * 37;
  for (;;) {
    const auto port = static_cast<std::uint16_t>(10'000 + next++ % 20'000);
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_free = ::bind(probe, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0;
    ::close(probe);
    if (is_free) return port;
  }
}

}  // namespace brigade::test
