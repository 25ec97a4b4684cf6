/// Which files belong to the paths of a tail: those they name, and what those were rotated to.
///
/// A rotated file's name is that of its base and a number, a date, or one of `old`, `bak`, `prev`,
/// `save`, behind or before the last extension: `app.log.1`, `app.log-20260101`, `app.1.log`.
/// Compressed files are left out.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct tail_entry {
  std::string path;
  std::string base;     ///< the path whose file it is or was
  bool named = false;   ///< one of the paths means it
  bool at_base = true;  ///< it was not rotated away
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t born_ns = 0;
  std::int64_t changed_ns = 0;  ///< its content, last
  std::uint64_t size = 0;
};

struct tail_listing {
  std::vector<tail_entry> entries;  ///< regular files, each inode once, the oldest first
  std::vector<std::string> folders;
  std::vector<std::string> unreadable;  ///< folders of which nothing is known
  std::vector<std::string> problems;    ///< one line each
};

class tail_paths {
 public:
  /// `folder` is what relative paths are relative to.
  tail_paths(std::string folder, std::vector<std::string> paths);
  /// What is there now. Blocks.
  [[nodiscard]] tail_listing look() const;

 private:
  struct pattern {
    std::string folder;  ///< may be a glob
    std::string name;    ///< may be a glob
    bool folder_is_glob = false;
    bool name_is_glob = false;
  };
  struct names_of {
    std::string folder;
    std::vector<const pattern*> wanted;
  };
  [[nodiscard]] std::vector<names_of> folders() const;
  static void list(const names_of& names, tail_listing& to);

  std::vector<pattern> patterns_;
};

[[nodiscard]] bool is_compressed_name(std::string_view name);
/// The names that `name` may have had before it was rotated, the likeliest first.
[[nodiscard]] std::vector<std::string> rotated_from(std::string_view name);

}  // namespace brigade
