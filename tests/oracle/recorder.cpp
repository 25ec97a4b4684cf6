// Preloaded into the program: writes down, in order, what it asks of the disk below CRASH_ROOT,
// into CRASH_LOG. A record is a line, `what path offset length`, and as many bytes as it says.
// What it changes is only that the calls happen one after the other.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace {

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

using write_function = ssize_t (*)(int, const void*, size_t);
using pwrite_function = ssize_t (*)(int, const void*, size_t, off_t);

struct record_keeper {
  std::mutex one_at_a_time;
  std::map<int, std::string> paths;
  std::string root;
  int log = -1;

  record_keeper() {
    const char* const folder = std::getenv("CRASH_ROOT");
    const char* const file = std::getenv("CRASH_LOG");
    if (folder == nullptr || file == nullptr) return;
    root = folder;
    log = next<int (*)(const char*, int, ...)>("open")(
        file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }

  // The path of what is to be recorded, below the root; empty: it is none of our business.
  std::string place(int folder, const char* path) const {
    std::string whole = path;
    if (log < 0) return {};
    if (whole.empty() || whole[0] != '/') {
      if (folder != AT_FDCWD) return {};
      char here[PATH_MAX];
      if (getcwd(here, sizeof here) == nullptr) return {};
      whole = std::string(here) + "/" + whole;
    }
    if (whole == root) return ".";
    return whole.starts_with(root + "/") ? whole.substr(root.size() + 1) : std::string();
  }
  std::string of(int file) const {
    const auto known = paths.find(file);
    return known == paths.end() ? std::string() : known->second;
  }
  void note(const char* what, const std::string& path, off_t offset = 0, const void* data = nullptr,
            size_t length = 0) const {
    const std::string head = std::string(what) + " " + path + " " + std::to_string(offset) + " " +
                             std::to_string(length) + "\n";
    static const auto write_out = next<write_function>("write");
    if (write_out(log, head.data(), head.size()) < 0) abort();
    if (length != 0 && write_out(log, data, length) < 0) abort();
  }
};

record_keeper& keeper() {
  static auto* const it = new record_keeper;  // outlives every other thread
  return *it;
}

int opened(int folder, const char* path, int flags, mode_t mode) {
  static const auto real = next<int (*)(int, const char*, int, ...)>("openat");
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  const std::string place = here.place(folder, path);
  struct stat status{};
  const bool was_there = place.empty() || stat(path, &status) == 0;
  const int file = real(folder, path, flags, mode);
  if (file < 0 || place.empty()) return file;
  here.paths[file] = place;
  if (!was_there) here.note("create", place);
  if ((flags & O_TRUNC) != 0 && was_there) here.note("truncate", place);
  return file;
}

int synced(const char* name, int file) {
  const auto real = next<int (*)(int)>(name);
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  const int result = real(file);
  const std::string path = here.of(file);
  if (result == 0 && !path.empty()) here.note("sync", path);
  return result;
}

int shortened(const char* name, int file, off_t length) {
  const auto real = next<int (*)(int, off_t)>(name);
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  const int result = real(file, length);
  const std::string path = here.of(file);
  if (result == 0 && !path.empty()) here.note("truncate", path, length);
  return result;
}

ssize_t written_at(const char* name, int file, const void* data, size_t length, off_t offset) {
  const auto real = next<pwrite_function>(name);
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  const ssize_t result = real(file, data, length, offset);
  const std::string path = here.of(file);
  if (result > 0 && !path.empty()) {
    here.note("write", path, offset, data, static_cast<size_t>(result));
  }
  return result;
}

mode_t mode_in(int flags, va_list& arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

#define BRIGADE_RECORD_OPEN(name)                  \
  int name(const char* path, int flags, ...) {     \
    va_list arguments;                             \
    va_start(arguments, flags);                    \
    const mode_t mode = mode_in(flags, arguments); \
    va_end(arguments);                             \
    return opened(AT_FDCWD, path, flags, mode);    \
  }
BRIGADE_RECORD_OPEN(open)
BRIGADE_RECORD_OPEN(open64)

int fsync(int file) { return synced("fsync", file); }
int fdatasync(int file) { return synced("fdatasync", file); }
int ftruncate(int file, off_t length) noexcept { return shortened("ftruncate", file, length); }
int ftruncate64(int file, off_t length) noexcept { return shortened("ftruncate64", file, length); }
ssize_t pwrite(int file, const void* data, size_t length, off_t offset) {
  return written_at("pwrite", file, data, length, offset);
}
ssize_t pwrite64(int file, const void* data, size_t length, off_t offset) {
  return written_at("pwrite64", file, data, length, offset);
}

ssize_t write(int file, const void* data, size_t length) {
  static const auto real = next<write_function>("write");
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  const std::string path = here.of(file);
  const off_t end = path.empty() ? 0 : lseek(file, 0, SEEK_END);
  const ssize_t result = real(file, data, length);
  if (result > 0 && !path.empty()) {
    here.note("write", path, end, data, static_cast<size_t>(result));
  }
  return result;
}

int close(int file) {
  static const auto real = next<int (*)(int)>("close");
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  here.paths.erase(file);
  return real(file);
}

int unlink(const char* path) noexcept {
  static const auto real = next<int (*)(const char*)>("unlink");
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  const std::string place = here.place(AT_FDCWD, path);
  const int result = real(path);
  if (result == 0 && !place.empty()) here.note("remove", place);
  return result;
}

int rename(const char* from, const char* to) noexcept {
  static const auto real = next<int (*)(const char*, const char*)>("rename");
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  const std::string before = here.place(AT_FDCWD, from);
  const std::string after = here.place(AT_FDCWD, to);
  const int result = real(from, to);
  if (result == 0 && !before.empty() && !after.empty()) {
    here.note("rename", before, 0, after.data(), after.size());
    for (auto& [file, path] : here.paths) path = path == before ? after : path;
  }
  return result;
}

int mkdir(const char* path, mode_t mode) noexcept {
  static const auto real = next<int (*)(const char*, mode_t)>("mkdir");
  record_keeper& here = keeper();
  const std::scoped_lock lock(here.one_at_a_time);
  const std::string place = here.place(AT_FDCWD, path);
  const int result = real(path, mode);
  if (result == 0 && !place.empty()) here.note("folder", place);
  return result;
}

}  // extern "C"
