#include <brigade/pipeline/log.hpp>

#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace brigade {

namespace {

thread_local std::function<void(std::string_view)> shown_by;

void write_whole(std::string_view left) {
  while (!left.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, left.data(), left.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) left.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

void log_line(std::string_view line) {
  if (shown_by) {
    shown_by(line);
  } else {
    write_whole(std::string(line) + '\n');
  }
}

log_to::log_to(std::function<void(std::string_view)> show)
    : before_(std::exchange(shown_by, std::move(show))) {}
log_to::~log_to() { shown_by = std::move(before_); }

}  // namespace brigade
