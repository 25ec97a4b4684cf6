/// An open file descriptor with one owner, and what the file connectors do with it. All of this
/// blocks.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace brigade {

class file_handle {
 public:
  file_handle() = default;
  explicit file_handle(int fd) : fd_(fd) {}
  file_handle(file_handle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  file_handle& operator=(file_handle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~file_handle();

  /// Throws std::runtime_error that names `path` and says why.
  static file_handle open_to_read(const std::string& path);
  static file_handle open_to_append(const std::string& path);

  [[nodiscard]] int fd() const { return fd_; }
  /// Reads up to `bytes_max` bytes at `offset`; fewer only at the file's end.
  /// A `used` buffer of that size is used again, and spared the zeros (a tenth of reading lines).
  [[nodiscard]] std::string read_at(std::uint64_t offset, std::size_t bytes_max,
                                    std::string used = {}) const;
  [[nodiscard]] std::uint64_t size() const;

 private:
  int fd_ = -1;
};

/// What errno says.
[[nodiscard]] std::string error_text(int error);
/// Makes a directory's entries durable. Throws std::system_error.
void sync_folder_of(const std::string& path);

}  // namespace brigade
