#include "cli/report_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

namespace brigade::cli {
namespace {

/// Links, devices and pipes are written through, never replaced.
bool is_replaceable(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto found = std::filesystem::symlink_status(path, ignored);
  return !std::filesystem::exists(found) || std::filesystem::is_regular_file(found);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

/// 0, or what errno says. EINVAL: a device or a pipe, with nothing to sync.
int synced(int fd) { return ::fsync(fd) == 0 || errno == EINVAL ? 0 : errno; }

int write_to(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t took = ::write(fd, text.data(), text.size());
    if (took < 0 && errno == EINTR) continue;
    if (took < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(took));
  }
  return synced(fd);
}

int write_file(const std::filesystem::path& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return errno;
  const int error = write_to(fd, text);
  return ::close(fd) != 0 && error == 0 ? errno : error;
}

int sync_folder(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = synced(fd);
  ::close(fd);
  return error;
}

int replace(const std::filesystem::path& path, std::string_view text) {
  const std::filesystem::path part = path.string() + ".part";
  int error = write_file(part, text);
  if (error == 0 && ::rename(part.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) ::unlink(part.c_str());
  return error != 0 ? error : sync_folder(folder_of(path));
}

}  // namespace

std::optional<std::string> trouble_with_report(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto refuse = [&](std::string_view why) {
    return fmt::format("--report {}: {}; name a file in a folder that is there", path.string(),
                       why);
  };
  if (path.empty()) return refuse("is no file name");
  if (std::filesystem::is_directory(path, ignored)) return refuse("is a folder");
  if (!std::filesystem::is_directory(folder_of(path), ignored)) {
    return refuse("there is no such folder");
  }
  return std::nullopt;
}

std::optional<std::string> write_report(const std::string& text,
                                        const std::filesystem::path& path) {
  const int error = is_replaceable(path) ? replace(path, text) : write_file(path, text);
  if (error == 0) return std::nullopt;
  return fmt::format("--report {}: cannot be written: {}", path.string(),
                     std::generic_category().message(error));
}

}  // namespace brigade::cli
