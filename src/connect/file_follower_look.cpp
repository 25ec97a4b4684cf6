// What has become of the files since they were looked at last.
#include "connect/file_follower.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

namespace brigade {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

}  // namespace

void file_follower::refuse_what_is_no_file() {
  for (const std::string& written : options_.paths) {
    const std::string path =
        (std::filesystem::path(options_.folder) / written).lexically_normal().string();
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) {
      static_cast<void>(file_handle::open_to_read(path));
    } else if (written.find_first_of("*?[") == std::string::npos) {
      notice_once("waits for " + path + ": there is no such file yet");
    }
  }
}

void file_follower::look_at_sizes() {
  for (file& each : files_) {
    if (each.is_read() && !each.gone && !each.cut && each.handle.fd() >= 0) look_at(each);
  }
}

void file_follower::look_at(file& open) {
  struct stat facts{};
  if (::fstat(open.handle.fd(), &facts) != 0) return;
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  const std::int64_t changed_ns = facts.st_mtim.tv_sec * second_ns + facts.st_mtim.tv_nsec;
  if (size == open.identity.size && changed_ns == open.changed_ns) return;
  open.changed_ns = changed_ns;
  const std::uint64_t offset = open.trail.offset();
  if (open.identity.ends != 0 && size <= offset) return;
  const std::string& recent = open.trail.recent();
  open.cut = size < offset ||
             bytes_at(open.handle.fd(), offset - recent.size(), recent.size()) != recent ||
             (open.trail.is_behind() && !open.trail.matches(open.handle.fd()));
  if (open.cut) {
    look_again_ = true;
  } else {
    open.identity.size = size;
  }
}

// The sizes were looked at before: so a copy that was made before a file was found cut is seen.
void file_follower::look_into_folders() {
  look_again_ = false;
  tail_listing listing = paths_.look();
  for (const std::string& problem : listing.problems) notice_once(problem);
  news_.folders = listing.folders;
  for (file& each : files_) {
    each.was_seen = std::exchange(each.seen, false);
    each.is_new = false;
  }
  std::vector<stranger> strangers;
  const bool is_whole = sort_all(listing, strangers);
  for (file& each : files_) {
    if (each.cut && !each.gone) settle_cut(each, strangers);
  }
  look_at_copies();
  for (stranger& each : strangers) {
    if (each.taken) continue;
    if (const file* original = original_of(each)) {
      add_unread(each, original->identity.token);
    } else if (first_start_ && !looked_ && !each.entry.named) {
      add_unread(each, {});
    } else {
      add_new(each);
    }
  }
  end_what_is_quiet(listing);
  close_some();
  looked_ = looked_ || is_whole;
  look_again_ = look_again_ || !is_whole;
}

// Of very many new files some at a time, for each is open in its look. But where content was cut,
// its copy may be any of them. False: there are more.
bool file_follower::sort_all(const tail_listing& listing, std::vector<stranger>& strangers) {
  by_inode_.clear();
  for (file& each : files_) by_inode_[each.identity.inode].push_back(&each);
  std::vector<const tail_entry*> later;
  for (const tail_entry& entry : listing.entries) {
    if (!sort(entry, options_.open_max, strangers)) later.push_back(&entry);
  }
  const bool one_is_cut =
      std::ranges::any_of(files_, [](const file& each) { return each.cut && !each.gone; });
  if (!one_is_cut) return later.empty();
  for (const tail_entry* entry : later) sort(*entry, listing.entries.size(), strangers);
  return true;
}

bool file_follower::sort(const tail_entry& entry, std::size_t strangers_max,
                         std::vector<stranger>& strangers) {
  for (file* const known : by_inode_[entry.inode]) {
    file& each = *known;
    if (each.gone || each.seen) continue;
    if (!each.loaded && each.identity.device != entry.device) continue;
    const bool is_open = each.handle.fd() >= 0;
    if (is_open && each.cut) break;
    const bool is_as_it_was =
        each.identity.size == entry.size && each.changed_ns == entry.changed_ns;
    if (!is_open && (each.loaded || !is_as_it_was)) {
      find_again(each, entry, strangers);
      return true;
    }
    if (each.identity.path != entry.path) changed_ = true;
    each.identity.path = entry.path;
    each.base = entry.base;
    each.at_base = entry.at_base;
    each.seen = true;
    return true;
  }
  if (strangers.size() >= strangers_max) return false;
  if (auto found = open_stranger(entry)) strangers.push_back(*std::move(found));
  return true;
}

// One that may have been written, cut, or deleted and its inode given to another.
void file_follower::find_again(file& known, const tail_entry& entry,
                               std::vector<stranger>& strangers) {
  known.base = entry.base;
  auto found = open_stranger(entry);
  if (!found) {  // it cannot be opened now
    known.seen = true;
    return;
  }
  if (is_still(known, *found)) {
    take_over(known, *found);
    if (known.is_read() && !known.at_base && !known.has_more()) {
      known.ended = true;
      known.handle = file_handle();
    }
    return;
  }
  const std::int64_t born_ns = known.identity.born_ns;
  const bool has_its_inode_only = born_ns != 0 && entry.born_ns != 0 && born_ns != entry.born_ns;
  if (!known.is_read()) {
    known.gone = true;
  } else if (has_its_inode_only) {
    lose(known, "was deleted");
  } else {
    known.cut = true;
    known.at_base = entry.at_base;
  }
  strangers.push_back(*std::move(found));
}

bool file_follower::is_still(const file& known, const stranger& now) const {
  std::uint64_t size_min = known.trail.offset();
  const std::map<std::uint64_t, std::string> tails = identity_of(known).tails;
  if (!tails.empty()) size_min = std::max(size_min, tails.rbegin()->first);
  if (known.identity.ends != 0) size_min = std::min(size_min, known.identity.ends);
  if (!known.is_read()) size_min = known.identity.copy_of.empty() ? known.identity.size : 0;
  return now.identity.size >= size_min &&
         same_file(identity_of(known), now.identity, now.handle.fd());
}

std::optional<file_follower::stranger> file_follower::open_stranger(const tail_entry& entry) {
  stranger found;
  found.entry = entry;
  try {
    found.handle = file_handle::open_to_read(entry.path);
    found.identity = identify(found.handle.fd());
  } catch (const std::exception& failed) {
    notice_once(failed.what());
    return std::nullopt;
  }
  // Between listing and opening it may have been rotated: the next look finds out.
  if (found.identity.inode != entry.inode || found.identity.device != entry.device) {
    look_again_ = true;
    return std::nullopt;
  }
  found.identity.path = entry.path;
  return found;
}

void file_follower::take_over(file& known, stranger& now) {
  if (known.is_read() && known.loaded) {
    file_identity& before = known.identity;  // the part of it that can be compared
    const auto is_behind = [&](const auto& each) { return each.first > now.identity.size; };
    std::erase_if(before.heads, is_behind);
    std::erase_if(before.tails, is_behind);
    known.trail = known.low > now.identity.size
                      ? file_trail(known.low, now.identity.head, {})
                      : file_trail::at(now.handle.fd(), known.low, before);
  }
  known.identity.path = now.entry.path;
  known.identity.device = now.identity.device;
  known.identity.inode = now.identity.inode;
  known.identity.born_ns = now.identity.born_ns;
  known.identity.size = now.identity.size;
  known.changed_ns = now.entry.changed_ns;
  known.base = now.entry.base;
  known.at_base = now.entry.at_base;
  known.seen = true;
  known.cut = false;
  known.grown = now_;
  changed_ = true;
  known.loaded = false;
  if (known.is_read()) known.handle = std::move(now.handle);
}

// What is in a folder that cannot be looked into may be there still. So may be what was renamed
// while its folder was looked into: of a chain of renames a look sees some before and some after.
void file_follower::end_what_is_quiet(const tail_listing& listing) {
  const auto is_hidden = [&](const file& each) {
    return std::ranges::find(listing.unreadable, folder_of(each.identity.path)) !=
           listing.unreadable.end();
  };
  std::vector<file*> deleted;
  for (file& each : files_) {
    if (!each.seen && each.was_seen) each.missing_since = now_;
    if (each.gone || each.has_more() || (!each.seen && is_hidden(each))) continue;
    const auto quiet = now_ - each.grown;
    const bool is_open = each.handle.fd() >= 0;
    const bool is_missing = !each.seen && now_ - each.missing_since >= options_.missing_quiet;
    if (is_missing && !each.is_read()) {
      each.gone = true;
    } else if (is_missing && (!is_open || quiet >= options_.deleted_quiet)) {
      lose(each, "was deleted");
    } else if (is_missing) {
      deleted.push_back(&each);
    } else if (each.seen && each.is_read() && !each.at_base && is_open &&
               quiet >= options_.rotated_quiet) {
      end(each);
      each.handle = file_handle();
    }
  }
  if (deleted.size() > options_.open_max) {  // where files come and go this fast, sooner
    std::ranges::sort(deleted, {}, &file::grown);
    deleted.resize(deleted.size() - options_.open_max);
    for (file* each : deleted) lose(*each, "was deleted");
  }
  const auto unread = [](const file& each) { return each.gone && !each.is_read(); };
  if (files_.remove_if(unread) != 0) changed_ = true;
}

void file_follower::end(file& over) {
  if (!std::exchange(over.ended, true)) news_.ended.push_back(*over.index);
}

void file_follower::lose(file& over, std::string_view how) {
  const std::uint64_t from = over.loaded ? over.low : over.trail.offset();
  if (over.identity.size > from) {
    news_.notices.push_back(
        "lost before it was read: " + std::to_string(over.identity.size - from) + " bytes of " +
        over.identity.path + " (" + over.identity.token + "), which " + std::string(how));
  }
  end(over);
  over.handle = file_handle();
  over.gone = true;
  news_.gone.push_back(*over.index);
  changed_ = true;
}

// What is closed is opened again when it grows. What was deleted could not be.
void file_follower::close_some() {
  std::vector<file*> idle;
  for (file& each : files_) {
    if (each.handle.fd() >= 0 && each.seen) idle.push_back(&each);
  }
  if (idle.size() <= options_.open_max) return;
  std::ranges::sort(idle, {}, [](const file* each) {
    return std::pair(each->at_base && !each->has_more(), each->grown);
  });
  idle.resize(idle.size() - options_.open_max);
  for (file* each : idle) each->handle = file_handle();
}

}  // namespace brigade
