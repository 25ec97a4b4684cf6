#include "connect/file_handle.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace brigade {
namespace {

constexpr int mode_of_new_files = 0666;  // the umask takes away what it does not want

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

std::string error_text(int error) { return std::generic_category().message(error); }

file_handle::~file_handle() {
  if (fd_ >= 0) ::close(fd_);
}

file_handle file_handle::open_to_read(const std::string& path) {
  // Non-blocking, for a fifo would keep the thread until somebody writes to it.
  file_handle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) throw std::runtime_error("cannot read " + path + ": " + error_text(errno));
  struct stat facts{};
  if (::fstat(file.fd(), &facts) != 0) {
    throw std::runtime_error("cannot read " + path + ": " + error_text(errno));
  }
  if (S_ISDIR(facts.st_mode)) {
    throw std::runtime_error("cannot read " + path + ": it is a directory; write " + path +
                             "/* for the files in it");
  }
  if (!S_ISREG(facts.st_mode)) {
    throw std::runtime_error("cannot read " + path +
                             ": it is no regular file; read pipes and devices through the source "
                             "stdin");
  }
  return file;
}

file_handle file_handle::open_to_append(const std::string& path) {
  file_handle file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode_of_new_files));
  if (file.fd() < 0) throw std::runtime_error("cannot write " + path + ": " + error_text(errno));
  return file;
}

std::string file_handle::read_at(std::uint64_t offset, std::size_t bytes_max,
                                 std::string used) const {
  std::string bytes = std::move(used);
  bytes.resize(bytes_max);
  std::size_t have = 0;
  while (have < bytes_max) {
    const ssize_t got =
        ::pread(fd_, bytes.data() + have, bytes_max - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

std::uint64_t file_handle::size() const {
  struct stat facts{};
  if (::fstat(fd_, &facts) != 0) fail("stat", errno);
  return static_cast<std::uint64_t>(facts.st_size);
}

void sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::absolute(path).parent_path().string();
  const file_handle opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.fd() < 0) fail("cannot open the folder " + folder, errno);
  if (::fsync(opened.fd()) != 0) fail("cannot sync the folder " + folder, errno);
}

}  // namespace brigade
