// Which file stands under a name, to see that it was moved away, replaced or deleted: what is
// written to one without its name, nobody finds again.
#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <utility>

namespace brigade {

/// Device and number; zeros: no file.
using inode = std::pair<std::uint64_t, std::uint64_t>;

[[nodiscard]] inline inode inode_of(const std::filesystem::path& name) {
  struct stat facts{};
  if (::stat(name.c_str(), &facts) != 0) return {};
  return {facts.st_dev, facts.st_ino};
}

}  // namespace brigade
