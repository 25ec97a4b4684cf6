// Content that is there twice, or in the place of another.
#include "connect/file_follower.hpp"

#include <sys/stat.h>

#include <algorithm>

namespace brigade {
namespace {

constexpr std::uint64_t compared_bytes = 4096;

// Whether a file of `size` bytes says the same as the other one, at its beginning and at its end.
bool is_front_of(int copy, std::uint64_t size, int original) {
  struct stat facts{};
  if (::fstat(original, &facts) != 0 || static_cast<std::uint64_t>(facts.st_size) < size) {
    return false;
  }
  const auto length = static_cast<std::size_t>(std::min(size, compared_bytes));
  return bytes_at(copy, 0, length) == bytes_at(original, 0, length) &&
         bytes_at(copy, size - length, length) == bytes_at(original, size - length, length);
}

}  // namespace

// In its place is another file now. What was not read of the old one is in its copy, if anywhere.
void file_follower::settle_cut(file& old, std::vector<stranger>& strangers) {
  open_copies_of(old, strangers);
  stranger* const copy = best_copy(old, strangers);
  if (copy == nullptr) {
    lose(old, "was cut or replaced");
    return;
  }
  copy->taken = true;
  old.identity.ends = copy->identity.size < old.trail.offset() ? copy->identity.size : 0;
  take_over(old, *copy);
  old.ended = false;
  changed_first_ = true;
  for (stranger& each : strangers) {  // other copies of it
    if (each.taken || each.identity.copy_of != old.identity.token) continue;
    add_unread(each, {});
  }
}

void file_follower::open_copies_of(const file& old, std::vector<stranger>& strangers) {
  for (file& each : files_) {
    if (each.is_read() || each.gone || !each.seen) continue;
    if (each.identity.copy_of != old.identity.token) continue;
    tail_entry entry;
    entry.path = each.identity.path;
    entry.base = each.base;
    entry.at_base = false;
    entry.device = each.identity.device;
    entry.inode = each.identity.inode;
    entry.changed_ns = each.changed_ns;
    each.gone = true;
    auto found = open_stranger(entry);
    if (!found) continue;
    found->identity.copy_of = old.identity.token;
    strangers.push_back(*std::move(found));
  }
}

file_follower::stranger* file_follower::best_copy(const file& old,
                                                  std::vector<stranger>& strangers) const {
  const file_identity before = identity_of(old);
  stranger* best = nullptr;
  for (stranger& each : strangers) {
    if (each.taken || each.entry.at_base || each.entry.base != old.base) continue;
    if (best != nullptr && each.identity.size <= best->identity.size) continue;
    // Of what nothing was read, any one may be the copy: it is read from its beginning.
    const bool can_be_compared = before.heads.empty()
                                     ? old.low == 0 && old.trail.offset() == 0
                                     : before.heads.begin()->first <= each.identity.size;
    if (!can_be_compared) continue;
    if (same_content(before, each.identity, each.handle.fd())) best = &each;
  }
  return best;
}

// A copy whose original was rotated away, or is gone, will not be needed. One that goes its own way
// is a file of its own.
void file_follower::look_at_copies() {
  for (file& each : files_) {
    if (each.is_read() || each.gone || !each.seen || each.identity.copy_of.empty()) continue;
    const auto original = std::ranges::find_if(files_, [&](const file& other) {
      return other.identity.token == each.identity.copy_of && !other.gone && other.seen &&
             other.at_base && other.handle.fd() >= 0;
    });
    if (original == files_.end()) {
      each.identity.copy_of.clear();
      each.gone = each.identity.size == 0;
      changed_ = true;
      continue;
    }
    try {
      const file_handle copy = file_handle::open_to_read(each.identity.path);
      each.identity.size = copy.size();
      each.gone = !is_front_of(copy.fd(), each.identity.size, original->handle.fd());
    } catch (const std::exception& failed) {
      notice_once(failed.what());
    }
    if (each.gone) look_again_ = true;
  }
}

// Only what stays where it is can be copied: it was there when the copy was not, and is not cut.
const file_follower::file* file_follower::original_of(const stranger& maybe) const {
  if (maybe.entry.at_base) return nullptr;
  for (const file& each : files_) {
    if (!each.is_read() || each.gone || each.cut || each.is_new || !each.seen) continue;
    if (!each.at_base || each.base != maybe.entry.base || each.handle.fd() < 0) continue;
    if (is_front_of(maybe.handle.fd(), maybe.identity.size, each.handle.fd())) return &each;
  }
  return nullptr;
}

void file_follower::add_unread(stranger& found, std::string copy_of) {
  found.taken = true;
  file& known = files_.emplace_back();
  known.identity = std::move(found.identity);
  known.identity.copy_of = std::move(copy_of);
  known.base = found.entry.base;
  known.changed_ns = found.entry.changed_ns;
  known.seen = true;
  changed_ = true;
}

void file_follower::add_new(stranger& found) {
  found.taken = true;
  file& known = files_.emplace_back();
  known.identity = std::move(found.identity);
  const auto is_taken = [&](const std::string& token) {
    return std::ranges::any_of(files_,
                               [&](const file& each) { return each.identity.token == token; });
  };
  std::string token = random_token();
  while (is_taken(token)) token = random_token();
  known.identity.token = std::move(token);
  known.identity.heads.clear();
  known.base = found.entry.base;
  known.changed_ns = found.entry.changed_ns;
  known.at_base = found.entry.at_base;
  known.handle = std::move(found.handle);
  known.index = free_index();
  known.grown = now_;
  known.seen = true;
  known.is_new = true;
  news_.opened.push_back({*known.index, options_.name + ":" + known.identity.token, mark{}});
  changed_ = true;
  changed_first_ = true;
}

}  // namespace brigade
