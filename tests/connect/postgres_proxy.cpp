#include "connect/postgres_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string_view>

namespace brigade::test {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void send_all(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// What has come, at least one byte; empty: the end.
std::string some_of(int from) {
  std::array<char, 65536> buffer{};
  const ssize_t count = ::recv(from, buffer.data(), buffer.size(), 0);
  return count <= 0 ? std::string() : std::string(buffer.data(), static_cast<std::size_t>(count));
}

// Whether the server commits when it gets this. A COMMIT that was sent with a COPY comes to be with
// the end of the rows.
bool commits(std::string_view question, bool& is_behind_rows) {
  constexpr std::string_view end_of_rows("c\0\0\0\4", 5);
  if (question.find("COMMIT") != std::string_view::npos) {
    is_behind_rows = question.find("COPY ") != std::string_view::npos;
    return !is_behind_rows;
  }
  return is_behind_rows && question.ends_with(end_of_rows);
}

}  // namespace

postgres_proxy::postgres_proxy(int server_port) : server_port_(server_port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(listener_, raw, size) != 0 || ::listen(listener_, 8) != 0 ||
      ::getsockname(listener_, raw, &size) != 0) {
    throw std::runtime_error("the proxy cannot listen");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

postgres_proxy::~postgres_proxy() {
  ends_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  ::close(listener_);
}

std::string postgres_proxy::conninfo() const {
  return "host=127.0.0.1 port=" + std::to_string(port_) +
         " user=postgres dbname=postgres sslmode=disable gssencmode=disable";
}

// One client at a time, as the sink is.
void postgres_proxy::serve() {
  while (!ends_) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    if (!away_) pass(client);
    ::close(client);
  }
}

void postgres_proxy::pass(int client) {
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(server_port_);
  if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(server);
    return;
  }
  bool is_behind_rows = false;
  std::array<pollfd, 2> both = {pollfd{client, POLLIN, 0}, pollfd{server, POLLIN, 0}};
  while (!ends_ && ::poll(both.data(), both.size(), 50) >= 0) {
    if (both[1].revents != 0) {
      const std::string answer = some_of(server);
      if (answer.empty()) break;
      send_all(client, answer);
    }
    if (both[0].revents == 0) continue;
    const std::string question = some_of(client);
    if (question.empty()) break;
    const loss how = commits(question, is_behind_rows) ? next_.load() : loss::none;
    if (how != loss::before_commit) send_all(server, question);
    if (how == loss::none) continue;
    next_ = loss::none;
    ++losses_;
    if (how == loss::after_commit) some_of(server);  // it has answered
    break;
  }
  ::close(server);
}

}  // namespace brigade::test
