#include "connect/file_tail_paths.hpp"

#include "connect/file_handle.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <tuple>

namespace brigade {
namespace {

constexpr std::string_view separators = ".-_";
constexpr std::int64_t second_ns = 1'000'000'000;

bool is_glob(std::string_view text) { return text.find_first_of("*?[") != text.npos; }

bool is_number_or_date(std::string_view text) {
  const bool has_digit = text.find_first_of("0123456789") != text.npos;
  return has_digit && text.find_first_not_of("0123456789.-_:TZ+") == text.npos;
}

bool is_rotation(std::string_view text) {
  if (is_number_or_date(text)) return true;
  constexpr std::array<std::string_view, 4> words = {"old", "bak", "prev", "save"};
  return std::ranges::any_of(words, [&](std::string_view word) {
    if (!text.starts_with(word)) return false;
    const std::string_view rest = text.substr(word.size());
    return rest.empty() || is_number_or_date(rest);
  });
}

// `app.log.1` was `app.log`.
void add_with_suffix(std::string_view name, std::vector<std::string>& bases) {
  for (std::size_t at = 1; at + 1 < name.size(); ++at) {
    if (separators.find(name[at]) == separators.npos) continue;
    if (is_rotation(name.substr(at + 1))) bases.emplace_back(name.substr(0, at));
  }
}

// `app.1.log` was `app.log`.
void add_with_infix(std::string_view name, std::vector<std::string>& bases) {
  const std::size_t dot = name.rfind('.');
  if (dot == name.npos || is_rotation(name.substr(dot + 1))) return;
  std::vector<std::string> stems;
  add_with_suffix(name.substr(0, dot), stems);
  for (const std::string& stem : stems) bases.push_back(stem + std::string(name.substr(dot)));
}

using open_folder = std::unique_ptr<DIR, int (*)(DIR*)>;

std::optional<tail_entry> facts_of(int folder, const std::string& name) {
  struct statx facts{};
  if (::statx(folder, name.c_str(), 0, STATX_BASIC_STATS | STATX_BTIME, &facts) != 0) return {};
  if (!S_ISREG(facts.stx_mode)) return {};
  tail_entry entry;
  entry.device = makedev(facts.stx_dev_major, facts.stx_dev_minor);
  entry.inode = facts.stx_ino;
  entry.size = facts.stx_size;
  entry.changed_ns = facts.stx_mtime.tv_sec * second_ns + facts.stx_mtime.tv_nsec;
  if ((facts.stx_mask & STATX_BTIME) != 0) {
    entry.born_ns = facts.stx_btime.tv_sec * second_ns + facts.stx_btime.tv_nsec;
  }
  return entry;
}

// The oldest first; a file that has two names goes by that of a path.
void put_in_order(std::vector<tail_entry>& entries) {
  const auto file = [](const tail_entry& each) {
    return std::tuple(each.device, each.inode, !each.at_base, each.path);
  };
  std::ranges::sort(entries, {}, file);
  const auto same = std::ranges::unique(
      entries, {}, [](const tail_entry& each) { return std::pair(each.device, each.inode); });
  entries.erase(same.begin(), same.end());
  std::ranges::sort(entries, {}, [](const tail_entry& each) {
    return std::tuple(each.at_base, each.changed_ns, each.born_ns);
  });
}

}  // namespace

bool is_compressed_name(std::string_view name) {
  constexpr std::array<std::string_view, 7> ends = {".gz",  ".zst", ".xz", ".bz2",
                                                    ".lz4", ".zip", ".Z"};
  return std::ranges::any_of(ends, [&](std::string_view end) { return name.ends_with(end); });
}

std::vector<std::string> rotated_from(std::string_view name) {
  std::vector<std::string> bases;
  add_with_suffix(name, bases);
  add_with_infix(name, bases);
  return bases;
}

tail_paths::tail_paths(std::string folder, std::vector<std::string> paths) {
  for (const std::string& written : paths) {
    const std::filesystem::path path = (std::filesystem::path(folder) / written).lexically_normal();
    pattern each;
    each.folder = path.parent_path().string();
    each.name = path.filename().string();
    const std::filesystem::path given(written);
    std::error_code ignored;
    const bool exists = std::filesystem::exists(path, ignored);
    each.name_is_glob = !exists && is_glob(each.name);
    each.folder_is_glob = !exists && is_glob(given.parent_path().string()) &&
                          !std::filesystem::exists(each.folder, ignored);
    patterns_.push_back(std::move(each));
  }
}

std::vector<tail_paths::names_of> tail_paths::folders() const {
  std::vector<names_of> all;
  const auto add = [&](const std::string& folder, const pattern& wanted) {
    const auto known = std::ranges::find(all, folder, &names_of::folder);
    names_of& to = known == all.end() ? all.emplace_back(names_of{folder, {}}) : *known;
    to.wanted.push_back(&wanted);
  };
  for (const pattern& each : patterns_) {
    if (!each.folder_is_glob) {
      add(each.folder, each);
      continue;
    }
    glob_t found{};
    const int result = ::glob(each.folder.c_str(), GLOB_ONLYDIR, nullptr, &found);
    for (std::size_t i = 0; result == 0 && i < found.gl_pathc; ++i) add(found.gl_pathv[i], each);
    ::globfree(&found);
  }
  return all;
}

tail_listing tail_paths::look() const {
  tail_listing found;
  for (const names_of& each : folders()) list(each, found);
  put_in_order(found.entries);
  return found;
}

void tail_paths::list(const names_of& names, tail_listing& to) {
  const std::string shown = names.folder.empty() ? "." : names.folder;
  const open_folder folder(::opendir(shown.c_str()), &::closedir);
  if (!folder) {
    to.unreadable.push_back(names.folder);
    to.problems.push_back("cannot look into the folder " + shown + ": " + error_text(errno));
    return;
  }
  to.folders.push_back(shown);
  std::vector<std::string> all;
  while (const dirent* entry = ::readdir(folder.get())) all.emplace_back(entry->d_name);
  const auto is_named = [&](const std::string& name) {
    return std::ranges::any_of(names.wanted, [&](const pattern* each) {
      return each->name_is_glob ? ::fnmatch(each->name.c_str(), name.c_str(), FNM_PERIOD) == 0
                                : each->name == name;
    });
  };
  for (const std::string& name : all) {
    if (is_compressed_name(name)) continue;
    const bool named = is_named(name);
    std::string base = name;
    for (const std::string& before : rotated_from(name)) {
      // What is named itself was rotated away only if there is what it was rotated away from.
      if (!is_named(before) || (named && std::ranges::find(all, before) == all.end())) continue;
      base = before;
      break;
    }
    if (!named && base == name) continue;
    auto entry = facts_of(::dirfd(folder.get()), name);
    if (!entry) continue;
    const std::filesystem::path in(names.folder);
    entry->path = (in / name).string();
    entry->base = (in / base).string();
    entry->named = named;
    entry->at_base = base == name;
    to.entries.push_back(*std::move(entry));
  }
}

}  // namespace brigade
