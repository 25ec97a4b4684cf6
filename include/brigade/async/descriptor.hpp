/// An open file descriptor that tasks of a loop can wait for: pipes and sockets.
///
/// Owns the descriptor and makes it non-blocking. One task may read while another writes.
/// Thread safety: the loop's thread. Lifetime: inside its loop; destroying it while a task waits
/// for it is a misuse (asserted).
#pragma once
#include <brigade/async/task.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <source_location>
#include <span>
#include <string_view>

namespace brigade {

class descriptor {
 public:
  /// Takes over `fd`. Throws std::system_error when it cannot be waited for (a regular file, a
  /// folder); it is then left as it is.
  explicit descriptor(int fd);
  descriptor(descriptor&& other) noexcept;
  descriptor& operator=(descriptor&& other) noexcept;
  ~descriptor();

  /// Completes:  with how many bytes came, at least one; 0 at the end.
  /// Cancelled:  throws `cancelled`, nothing was read.
  /// Throws:     std::system_error.
  task<std::size_t> read_some(std::span<char> buffer,
                              std::source_location where = std::source_location::current());
  /// What has come by now, without waiting: how many bytes, 0 at the end, or nothing so far. May be
  /// called while a task waits to read.
  /// Throws:     std::system_error.
  std::optional<std::size_t> read_now(std::span<char> buffer);
  /// Completes:  with how many bytes were taken, at least one.
  /// Cancelled:  throws `cancelled`, nothing was written.
  /// Throws:     std::system_error; EPIPE when nobody reads any more.
  task<std::size_t> write_some(std::string_view bytes,
                               std::source_location where = std::source_location::current());
  /// Completes when reading would not block. Cancelled: throws `cancelled`.
  task<> wait_readable(std::source_location where = std::source_location::current());
  /// Completes when writing would not block, or would fail. Cancelled: throws `cancelled`.
  task<> wait_writable(std::source_location where = std::source_location::current());
  /// Completes when reading or writing would not block: for a peer that reads no more before its
  /// own words were read. Cancelled: throws `cancelled`.
  task<> wait_either(std::source_location where = std::source_location::current());

  [[nodiscard]] int fd() const;
  [[nodiscard]] bool is_open() const;
  void close() noexcept;

  class implementation;

 private:
  std::unique_ptr<implementation> impl_;
};

}  // namespace brigade
