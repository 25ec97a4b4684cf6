/// The sockets of a source, and what reads them: connections as tasks of the loop, datagrams by a
/// thread of their own, which a busy loop does not keep from reading.
#pragma once
#include "connect/socket_address.hpp"
#include "connect/socket_format.hpp"
#include "connect/socket_inbox.hpp"

#include <brigade/async/task.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace brigade {

struct socket_options {
  std::string name;  ///< of the source
  listen_options listen;
  socket_framing framing = socket_framing::line;
  socket_format format = socket_format::lines;
  std::uint64_t line_bytes_max = std::uint64_t{64} << 10;
  std::size_t connections_max = 1000;
  std::optional<std::chrono::milliseconds> idle_timeout;
  std::optional<intake_options> journal;
};

/// Thread safety: the loop's thread. Lifetime: inside its loop.
class socket_server {
 public:
  virtual ~socket_server() = default;
  /// Takes nothing new in any more; what the kernel has is still read, if it can be kept. At once.
  virtual void stop() = 0;
  /// Behind `stop`. Completes: when all that was read is in the inbox, or could not be put there in
  /// time.
  virtual task<> finish() = 0;
  /// One line for people about what was read and what was lost; empty: nothing worth saying.
  [[nodiscard]] virtual std::string account() const = 0;
};

/// `keeps`: what is in the inbox survives the run. `on_failed` is told when nothing is read any
/// more, though nobody stopped it.
[[nodiscard]] std::unique_ptr<socket_server> serve_streams(
    const socket_options& options, std::unique_ptr<listening_socket> socket,
    std::shared_ptr<socket_inbox> inbox, bool keeps,
    std::function<void(const std::string& why)> on_failed);
[[nodiscard]] std::unique_ptr<socket_server> serve_datagrams(
    const socket_options& options, std::unique_ptr<listening_socket> socket,
    std::shared_ptr<socket_inbox> inbox, bool keeps,
    std::function<void(const std::string& why)> on_failed);

/// Lines for people that any client can bring about: no more than one a second.
class polite_log {
 public:
  explicit polite_log(std::string before) : before_(std::move(before)) {}
  void say(const std::string& text);

 private:
  std::string before_;
  std::optional<std::chrono::steady_clock::time_point> last_;
  std::uint64_t unsaid_ = 0;
};

}  // namespace brigade
