/// Where a socket listens.
#pragma once
#include "pipeline/ledger_lock.hpp"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace brigade {

enum class socket_kind : std::uint8_t { tcp, udp, unix_stream, unix_datagram };

struct socket_address {
  socket_kind kind = socket_kind::tcp;
  std::string host;  ///< a name or an address, without brackets
  std::uint16_t port = 0;
  std::filesystem::path path;  ///< of a Unix socket

  [[nodiscard]] bool is_stream() const {
    return kind == socket_kind::tcp || kind == socket_kind::unix_stream;
  }
  [[nodiscard]] bool is_unix() const {
    return kind == socket_kind::unix_stream || kind == socket_kind::unix_datagram;
  }
  /// As it is written in a pipeline file.
  [[nodiscard]] std::string text() const;
};

/// `tcp://127.0.0.1:5140`, `udp://[::1]:514`, `unix:///run/in.sock`, `unixgram://in.sock`; the path
/// is relative to `folder`. Throws std::invalid_argument with what to write instead.
[[nodiscard]] socket_address parse_socket_address(std::string_view text,
                                                  const std::filesystem::path& folder);

struct listen_options {
  socket_address at;
  mode_t permissions = 0600;                    ///< of the file of a Unix socket
  std::optional<std::uint64_t> receive_buffer;  ///< bytes to ask the kernel for
};

/// A socket that is bound, and listens if it is a stream. Closed by the destructor, which removes
/// the file of a Unix socket, too.
///
/// A file that a socket left behind is removed when nobody listens there any more: a lock beside it
/// (`PATH.lock`) says that no other brigade does, and a connection that is refused that no other
/// program does. Blocks while a host's name is looked up. Throws std::runtime_error.
class listening_socket {
 public:
  explicit listening_socket(const listen_options& options);
  ~listening_socket();
  listening_socket(const listening_socket&) = delete;
  listening_socket& operator=(const listening_socket&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  /// Gives the descriptor away.
  [[nodiscard]] int release_fd();
  /// With the port that was given, where it was asked for port 0.
  [[nodiscard]] const socket_address& at() const { return at_; }
  /// What the kernel holds of what was not read yet, in its own counting.
  [[nodiscard]] std::uint64_t receive_buffer() const { return receive_buffer_; }

 private:
  void open_internet();
  void open_unix(mode_t permissions);
  void make_room(const std::filesystem::path& path) const;
  void set_receive_buffer(std::uint64_t bytes) const;
  void listen();

  socket_address at_;
  int fd_ = -1;
  bool file_is_ours_ = false;
  std::unique_ptr<ledger_detail::ledger_lock> lock_;
  std::uint64_t receive_buffer_ = 0;
};

/// How many datagrams the kernel could not put into this socket's buffer, since it was opened.
[[nodiscard]] std::uint64_t dropped_datagrams(int fd);
/// Who is at the other end of a connection, for people.
[[nodiscard]] std::string peer_name(int fd);

}  // namespace brigade
