// Preloaded into the program: makes a disk fail. FAULT_CALL is the call (`write`, `sync`),
// FAULT_PATH a part of the file's path, FAULT_ERRNO the number it fails with, FAULT_FROM the
// first of those calls that fails (from 1), FAULT_TIMES how many do. Other files are left alone.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace {

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int number(const char* name, int otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

bool is_at(int file, std::string_view part) {
  std::array<char, 64> link{};
  std::array<char, PATH_MAX> path{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link.data(), path.data(), path.size());
  return length > 0 && std::string_view(path.data(), static_cast<size_t>(length)).find(part) !=
                           std::string_view::npos;
}

/// Whether this call is one that fails; errno says why.
bool fails(std::string_view call, int file) {
  static const char* const wanted = std::getenv("FAULT_CALL");
  static const char* const part = std::getenv("FAULT_PATH");
  static const int from = number("FAULT_FROM", 1);
  static const int times = number("FAULT_TIMES", INT_MAX);
  static std::atomic<int> seen{0};
  if (wanted == nullptr || part == nullptr || call != wanted || !is_at(file, part)) return false;
  const int nth = ++seen;
  if (nth < from || nth - from >= times) return false;
  errno = number("FAULT_ERRNO", EIO);
  return true;
}

}  // namespace

extern "C" {

int fsync(int file) {
  static const auto real = next<int (*)(int)>("fsync");
  return fails("sync", file) ? -1 : real(file);
}
int fdatasync(int file) {
  static const auto real = next<int (*)(int)>("fdatasync");
  return fails("sync", file) ? -1 : real(file);
}
ssize_t write(int file, const void* data, size_t length) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  return fails("write", file) ? -1 : real(file, data, length);
}
ssize_t pwrite(int file, const void* data, size_t length, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return fails("write", file) ? -1 : real(file, data, length, offset);
}
ssize_t pwrite64(int file, const void* data, size_t length, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite64");
  return fails("write", file) ? -1 : real(file, data, length, offset);
}

}  // extern "C"
