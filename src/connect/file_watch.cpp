#include "connect/file_watch.hpp"

#include "connect/file_handle.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace brigade {
namespace {

constexpr std::uint32_t of_names =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
constexpr std::uint32_t wanted_events = of_names | IN_MODIFY | IN_ONLYDIR;

std::string instead(const std::string& what, int error) {
  return "cannot watch " + what + " (" + error_text(error) + "): looks once a second instead";
}

}  // namespace

std::optional<std::string> folder_watch::begin() {
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return instead("folders", errno);
  events_.emplace(fd);
  return std::nullopt;
}

std::optional<std::string> folder_watch::watch(const std::vector<std::string>& folders) {
  if (!events_) return std::nullopt;
  std::erase_if(watched_, [&](const auto& each) {
    if (std::ranges::find(folders, each.first) != folders.end()) return false;
    if (each.second >= 0) ::inotify_rm_watch(events_->fd(), each.second);
    return true;
  });
  std::optional<std::string> problem;
  for (const std::string& folder : folders) {
    const auto [known, is_new] = watched_.try_emplace(folder, -1);
    // Again also where it was before: the folder may be another one of that name.
    known->second = ::inotify_add_watch(events_->fd(), folder.c_str(), wanted_events);
    if (known->second < 0 && is_new && errno != ENOENT) problem = instead(folder, errno);
  }
  return problem;
}

folder_watch::hint folder_watch::take() {
  hint all = hint::nothing;
  if (!events_) return all;
  alignas(inotify_event) std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t got = ::read(events_->fd(), buffer.data(), buffer.size());
    if (got <= 0) return all;
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const bool written = (event.mask & IN_MODIFY) != 0;
      all = std::max(all, written ? hint::written : hint::renamed);
      at += sizeof event + event.len;
    }
  }
}

void folder_watch::end() {
  events_.reset();
  watched_.clear();
}

}  // namespace brigade
