#include "connect/socket_address.hpp"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace brigade {
namespace {

constexpr int connections_waiting_max = 4096;  // the kernel has a limit of its own beside it

constexpr std::array<std::pair<std::string_view, socket_kind>, 4> schemes = {
    {{"tcp", socket_kind::tcp},
     {"udp", socket_kind::udp},
     {"unix", socket_kind::unix_stream},
     {"unixgram", socket_kind::unix_datagram}}};

std::string_view scheme_of(socket_kind kind) {
  for (const auto& [name, each] : schemes) {
    if (each == kind) return name;
  }
  return {};
}

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  throw std::invalid_argument("'" + std::string(text) + "' " + why);
}

std::uint16_t port_in(std::string_view text, std::string_view digits) {
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, port);
  if (digits.empty() || error != std::errc{} || stop != end) {
    refuse(text, "has no port from 0 to 65535 at its end; write it as tcp://127.0.0.1:5140");
  }
  return port;
}

void parse_internet(socket_address& to, std::string_view text, std::string_view rest) {
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) {
    refuse(text, "has no port; write it as tcp://127.0.0.1:5140");
  }
  std::string_view host = rest.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    refuse(text, "has an IPv6 address without brackets; write it as tcp://[::1]:5140");
  }
  if (host.empty()) {
    refuse(text, "has no address; 127.0.0.1 is this machine alone, 0.0.0.0 all its addresses");
  }
  to.host = host;
  to.port = port_in(text, rest.substr(colon + 1));
}

sockaddr_un unix_name(const std::filesystem::path& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.c_str(), path.string().size());
  return name;
}

std::string error_text(int number) { return std::generic_category().message(number); }

int option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  ::getsockopt(fd, SOL_SOCKET, name, &value, &size);
  return value;
}

}  // namespace

std::string socket_address::text() const {
  const std::string scheme = std::string(scheme_of(kind)) + "://";
  if (is_unix()) return scheme + path.string();
  const bool is_v6 = host.find(':') != std::string::npos;
  return scheme + (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

socket_address parse_socket_address(std::string_view text, const std::filesystem::path& folder) {
  const std::size_t end = text.find("://");
  for (const auto& [name, kind] : schemes) {
    if (end == std::string_view::npos || text.substr(0, end) != name) continue;
    socket_address made;
    made.kind = kind;
    const std::string_view rest = text.substr(end + 3);
    if (!made.is_unix()) {
      parse_internet(made, text, rest);
      return made;
    }
    if (rest.empty()) refuse(text, "has no path; write it as unix:///run/in.sock");
    made.path = (folder / rest).lexically_normal();
    if (made.path.string().size() >= sizeof(sockaddr_un::sun_path)) {
      refuse(text,
             "is longer than the 107 bytes that a socket's path may have: " + made.path.string());
    }
    return made;
  }
  refuse(text,
         "is no address to listen on; write tcp://127.0.0.1:5140, udp://127.0.0.1:5140, "
         "unix:///run/in.sock or unixgram:///run/in.sock");
}

listening_socket::listening_socket(const listen_options& options) : at_(options.at) {
  try {
    if (at_.is_unix()) {
      open_unix(options.permissions);
    } else {
      open_internet();
    }
    if (options.receive_buffer) set_receive_buffer(*options.receive_buffer);
    receive_buffer_ = static_cast<std::uint64_t>(option(fd_, SO_RCVBUF));
    if (at_.is_stream()) listen();
  } catch (...) {
    if (file_is_ours_) ::unlink(at_.path.c_str());
    if (fd_ >= 0) ::close(fd_);
    throw;
  }
}

listening_socket::~listening_socket() {
  if (file_is_ours_) ::unlink(at_.path.c_str());
  if (fd_ >= 0) ::close(fd_);
}

int listening_socket::release_fd() { return std::exchange(fd_, -1); }

void listening_socket::open_internet() {
  const auto fail = [&](const std::string& why) {
    throw std::runtime_error("cannot listen on " + at_.text() + ": " + why);
  };
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = at_.is_stream() ? SOCK_STREAM : SOCK_DGRAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(at_.port);
  const int result = ::getaddrinfo(at_.host.c_str(), port.c_str(), &hints, &found);
  if (result != 0) fail(::gai_strerror(result));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  fd_ = ::socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) fail(error_text(errno));
  const int yes = 1;
  // A restart must not wait for connections of the run before.
  if (at_.is_stream()) ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(fd_, found->ai_addr, found->ai_addrlen) != 0) {
    fail(errno == EADDRINUSE ? "another program does" : error_text(errno));
  }
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ::getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size);
  at_.port =
      ntohs(name.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&name)->sin6_port
                                       : reinterpret_cast<const sockaddr_in*>(&name)->sin_port);
}

void listening_socket::open_unix(mode_t permissions) {
  const auto fail = [&](const std::string& why) {
    throw std::runtime_error("cannot listen on " + at_.text() + ": " + why);
  };
  const int type = at_.is_stream() ? SOCK_STREAM : SOCK_DGRAM;
  lock_ = std::make_unique<ledger_detail::ledger_lock>(at_.path);
  make_room(at_.path);
  fd_ = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) fail(error_text(errno));
  // The file is made with the mode of the socket, less the umask: nobody else gets in between.
  ::fchmod(fd_, permissions & 0600);
  const sockaddr_un name = unix_name(at_.path);
  if (::bind(fd_, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    fail(error_text(errno));
  }
  file_is_ours_ = true;
  if (::chmod(at_.path.c_str(), permissions) != 0) fail(error_text(errno));
}

void listening_socket::make_room(const std::filesystem::path& path) const {
  const auto fail = [&](const std::string& why) {
    throw std::runtime_error("cannot listen on " + at_.text() + ": " + why);
  };
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) fail("there is a file of that name, and it is no socket");
  const sockaddr_un name = unix_name(path);
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    const int probe = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) fail(error_text(errno));
    const int result = ::connect(probe, reinterpret_cast<const sockaddr*>(&name), sizeof name);
    const int error = errno;
    ::close(probe);
    if (result == 0 || error == EAGAIN) fail("another program does");
    if (error == EPROTOTYPE) continue;
    if (error != ECONNREFUSED) fail(error_text(error));
  }
  if (::unlink(path.c_str()) != 0) fail("the old socket cannot be removed: " + error_text(errno));
}

// The second is for those who may ask for more than everybody may.
void listening_socket::set_receive_buffer(std::uint64_t bytes) const {
  const int half = static_cast<int>(bytes / 2);  // the kernel doubles it, for what it adds itself
  if (::setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof half) == 0) return;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &half, sizeof half);
}

void listening_socket::listen() {
  if (::listen(fd_, connections_waiting_max) != 0) {
    throw std::runtime_error("cannot listen on " + at_.text() + ": " + error_text(errno));
  }
}

std::uint64_t dropped_datagrams(int fd) {
  std::array<std::uint32_t, SK_MEMINFO_VARS> values{};
  socklen_t size = sizeof values;
  if (::getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values.data(), &size) != 0) return 0;
  return values[SK_MEMINFO_DROPS];
}

std::string peer_name(int fd) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&name), &size) != 0) return "a client";
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (name.ss_family == AF_UNIX ||
      ::getnameinfo(reinterpret_cast<const sockaddr*>(&name), size, host.data(), host.size(),
                    port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "a client";
  }
  return std::string(host.data()) + ":" + port.data();
}

}  // namespace brigade
