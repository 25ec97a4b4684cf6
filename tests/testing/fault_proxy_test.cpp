#include <brigade/testing/fault_proxy.hpp>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace brigade::testing {
namespace {

using namespace std::chrono_literals;

/// A blocking socket on loopback whose calls wait for ten seconds at most.
class peer {
 public:
  explicit peer(int fd) : fd_(fd) {
    const timeval patience{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  peer(peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  peer& operator=(peer&&) = delete;
  ~peer() { close(); }

  static peer connect(std::uint16_t port) {
    peer made(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    made.refused_ =
        ::connect(made.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0;
    return made;
  }
  [[nodiscard]] bool refused() const { return refused_; }
  void send(const std::string& text) const {
    std::size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t some = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      ASSERT_GT(some, 0) << std::strerror(errno);
      sent += static_cast<std::size_t>(some);
    }
  }
  /// So many bytes, or less and what ended it: "abc|end", "|reset".
  [[nodiscard]] std::string receive(std::size_t bytes) const {
    std::string text;
    while (text.size() < bytes) {
      std::array<char, 65536> buffer;
      const ssize_t some =
          ::recv(fd_, buffer.data(), std::min(buffer.size(), bytes - text.size()), 0);
      if (some == 0) return text + "|end";
      if (some < 0) return text + (errno == ECONNRESET ? "|reset" : "|nothing");
      text.append(buffer.data(), static_cast<std::size_t>(some));
    }
    return text;
  }
  [[nodiscard]] bool has_something() const {
    pollfd look{fd_, POLLIN, 0};
    return ::poll(&look, 1, 0) > 0;
  }
  void end() const { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  bool refused_ = false;
};

class fault_proxy_test : public ::testing::Test {
 protected:
  fault_proxy_test() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.fd(), 16), 0);
    socklen_t size = sizeof address;
    ::getsockname(listener_.fd(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  peer accept() { return peer(::accept(listener_.fd(), nullptr, nullptr)); }

  peer listener_;
  std::uint16_t port_ = 0;
};

TEST_F(fault_proxy_test, passes_on_what_comes_and_each_end) {
  fault_proxy wire(port_);
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  client.send("ping");
  EXPECT_EQ(server.receive(4), "ping");
  client.end();
  EXPECT_EQ(server.receive(1), "|end");
  server.send("pong");  // half of it is still open
  EXPECT_EQ(client.receive(4), "pong");
  server.end();
  EXPECT_EQ(client.receive(1), "|end");
  EXPECT_TRUE(wire.wait_for([](const proxy_counts& now) { return now.open == 0; }));
  const proxy_counts counts = wire.counts();
  EXPECT_EQ(counts.connections, 1U);
  EXPECT_EQ(counts.to_target, 4U);
  EXPECT_EQ(counts.from_target, 4U);
  EXPECT_EQ(counts.strikes, 0U);
}

TEST_F(fault_proxy_test, passes_on_a_reset_and_a_target_that_is_not_there) {
  fault_proxy wire(port_);
  const peer client = peer::connect(wire.port());
  {
    peer server = accept();
    const linger at_once{1, 0};
    ::setsockopt(server.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  EXPECT_EQ(client.receive(1), "|reset");
  listener_.close();
  EXPECT_EQ(peer::connect(wire.port()).receive(1), "|reset");
}

TEST_F(fault_proxy_test, cuts_and_resets_what_is_there_and_lets_others_in) {
  fault_proxy wire(port_);
  for (const auto& [fault, seen] :
       {std::pair(proxy_fault::cut, "|end"), std::pair(proxy_fault::reset, "|reset")}) {
    const peer client = peer::connect(wire.port());
    const peer server = accept();
    client.send("x");
    EXPECT_EQ(server.receive(1), "x");
    wire.strike(fault);
    EXPECT_EQ(client.receive(1), seen);
    EXPECT_EQ(server.receive(1), seen);
  }
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  client.send("again");
  EXPECT_EQ(server.receive(5), "again");
}

TEST_F(fault_proxy_test, is_silent_until_it_is_healed_and_loses_nothing) {
  fault_proxy wire(port_);
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  wire.strike(proxy_fault::silence);
  client.send("held");
  const peer other = peer::connect(wire.port());  // accepted all the same
  EXPECT_FALSE(other.refused());
  EXPECT_TRUE(wire.wait_for([](const proxy_counts& now) { return now.connections == 2; }));
  EXPECT_EQ(wire.counts().to_target, 0U);
  EXPECT_FALSE(server.has_something());
  wire.heal();
  EXPECT_EQ(server.receive(4), "held");
}

TEST_F(fault_proxy_test, refuses_until_it_is_healed_and_keeps_its_port) {
  fault_proxy wire(port_);
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  wire.strike(proxy_fault::refuse);
  EXPECT_EQ(client.receive(1), "|reset");
  EXPECT_TRUE(peer::connect(wire.port()).refused());
  wire.heal();
  const peer again = peer::connect(wire.port());
  EXPECT_FALSE(again.refused());
  const peer at = accept();
  again.send("x");
  EXPECT_EQ(at.receive(1), "x");
}

TEST_F(fault_proxy_test, strikes_after_exactly_so_many_bytes_of_the_way_that_counts) {
  fault_proxy wire(port_);
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  wire.strike_after(5, proxy_fault::cut, proxy_way::from_target);
  client.send("these do not count");
  EXPECT_EQ(server.receive(18), "these do not count");
  server.send("five, and no more");
  EXPECT_EQ(client.receive(100), "five,|end");
  EXPECT_EQ(wire.counts().from_target, 5U);
  EXPECT_EQ(wire.counts().strikes, 1U);
}

TEST_F(fault_proxy_test, goes_on_from_the_byte_at_which_it_fell_silent) {
  fault_proxy wire(port_);
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  wire.strike_after(3, proxy_fault::silence);
  client.send("onetwo");
  EXPECT_EQ(server.receive(3), "one");
  EXPECT_TRUE(wire.wait_for([](const proxy_counts& now) { return now.strikes == 1; }));
  EXPECT_FALSE(server.has_something());
  wire.heal();
  EXPECT_EQ(server.receive(3), "two");
}

TEST_F(fault_proxy_test, strikes_the_next_connection_alone) {
  fault_proxy wire(port_);
  wire.strike_next(proxy_fault::reset);
  EXPECT_EQ(peer::connect(wire.port()).receive(1), "|reset");
  wire.strike_next(proxy_fault::cut);
  EXPECT_EQ(peer::connect(wire.port()).receive(1), "|end");
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  client.send("x");
  EXPECT_EQ(server.receive(1), "x");

  wire.strike_next(proxy_fault::silence);
  const peer deaf = peer::connect(wire.port());
  const peer at = accept();
  deaf.send("y");
  client.send("z");
  EXPECT_EQ(server.receive(1), "z");
  EXPECT_FALSE(at.has_something());
  EXPECT_EQ(wire.counts().strikes, 3U);

  wire.strike_next(proxy_fault::refuse);
  EXPECT_EQ(peer::connect(wire.port()).receive(1), "|reset");
  EXPECT_TRUE(peer::connect(wire.port()).refused());
}

// The lower bounds are the promise; there is no upper one on a machine that is busy.
TEST_F(fault_proxy_test, delays_and_throttles) {
  fault_proxy wire(port_);
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  wire.delay(50ms);
  auto began = std::chrono::steady_clock::now();
  client.send("late");
  EXPECT_EQ(server.receive(4), "late");
  EXPECT_GE(std::chrono::steady_clock::now() - began, 50ms);
  wire.heal();
  wire.throttle(10'000);
  began = std::chrono::steady_clock::now();
  client.send(std::string(1500, 'x'));
  EXPECT_EQ(server.receive(1500).size(), 1500U);
  EXPECT_GE(std::chrono::steady_clock::now() - began, 120ms);  // the last piece costs nobody time
}

TEST_F(fault_proxy_test, passes_on_a_lot_in_order_whatever_the_pieces) {
  fault_proxy wire(port_);
  const peer client = peer::connect(wire.port());
  const peer server = accept();
  std::string sent;
  for (int i = 0; sent.size() < (3U << 20); ++i) sent += std::to_string(i) + " ";
  std::thread sender([&] {
    client.send(sent);
    client.end();
  });
  const std::string got = server.receive(sent.size() + 1);
  sender.join();
  EXPECT_TRUE(got == sent + "|end") << got.size() << " of " << sent.size() << " bytes";
}

TEST_F(fault_proxy_test, resets_who_is_connected_when_it_goes) {
  auto wire = std::make_unique<fault_proxy>(port_);
  const peer client = peer::connect(wire->port());
  const peer server = accept();
  wire.reset();
  EXPECT_EQ(client.receive(1), "|reset");
  EXPECT_EQ(server.receive(1), "|reset");
}

}  // namespace
}  // namespace brigade::testing
