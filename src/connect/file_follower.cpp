#include "connect/file_follower.hpp"

#include <algorithm>
#include <stdexcept>
#include <unordered_set>

namespace brigade {

file_follower::file_follower(follower_options options)
    : options_(std::move(options)), paths_(options_.folder, options_.paths) {}

follower_news file_follower::open(const std::vector<partition_mark>& resume,
                                  const std::string& state, std::chrono::nanoseconds now) {
  now_ = now;
  refuse_what_is_no_file();
  load(resume, state);
  look_into_folders();
  changed_ = true;
  tell_state();
  return std::exchange(news_, follower_news{});
}

follower_news file_follower::advance(const follower_request& request) {
  now_ = request.now;
  take_in(request);
  if (request.look != follower_look::nowhere) look_at_sizes();
  if (request.look == follower_look::folders || look_again_) look_into_folders();
  read_next();
  tell_state();
  news_.more = look_again_ || std::ranges::any_of(files_, &file::has_more);
  return std::exchange(news_, follower_news{});
}

// A mark without a file that it belongs to is of a file that was forgotten when the program was
// killed: it is forgotten once more.
void file_follower::load(const std::vector<partition_mark>& resume, const std::string& state) {
  std::vector<file_identity> before_this_run = decode_identities(state);
  first_start_ = !is_followed(state);
  std::vector<const partition_mark*> unknown;
  for (const partition_mark& each : resume) {
    if (each.partition.starts_with(options_.name + ":")) unknown.push_back(&each);
  }
  const auto take_mark = [&](const std::string& partition) {
    const auto found = std::ranges::find_if(unknown, [&](const partition_mark* each) {
      return each != nullptr && each->partition == partition;
    });
    return found == unknown.end() ? nullptr : std::exchange(*found, nullptr);
  };
  for (file_identity& before : before_this_run) {
    const std::string partition = options_.name + ":" + before.token;
    const partition_mark* const done = before.token.empty() ? nullptr : take_mark(partition);
    if (before.gone && done == nullptr) continue;  // and it was forgotten, too
    file& known = files_.emplace_back();
    known.identity = std::move(before);
    known.base = known.identity.path;
    known.loaded = true;
    known.seen = true;  // when the run before ended
    known.grown = now_;
    if (known.identity.token.empty()) continue;
    known.index = free_index();
    if (done != nullptr) known.low = done->at.low;
    known.trail = file_trail(known.low, {}, {});
    news_.opened.push_back({*known.index, partition, done == nullptr ? mark{} : done->at});
    if (known.identity.gone) lose(known, "was deleted");
  }
  for (const partition_mark* each : unknown) {
    if (each == nullptr) continue;
    const std::uint32_t index = free_index();
    news_.opened.push_back({index, each->partition, each->at});
    news_.gone.push_back(index);
  }
}

void file_follower::take_in(const follower_request& request) {
  for (const auto& [index, low] : request.acknowledged) {
    const auto known = std::ranges::find(files_, index, &file::index);
    if (known == files_.end()) continue;
    known->low = low;
    known->trail.acknowledged(low);
    changed_ = true;
  }
  for (const std::uint32_t index : request.forgotten) {
    const auto known = std::ranges::find(files_, index, &file::index);
    if (known != files_.end()) files_.erase(known);
    free_.push_back(index);
    changed_ = true;
  }
}

std::uint32_t file_follower::free_index() {
  if (free_.empty()) return indexes_++;
  const std::uint32_t index = free_.back();
  free_.pop_back();
  return index;
}

// Each in its turn, but what was rotated away before what came after it.
std::vector<file_follower::file*> file_follower::next_to_read() {
  std::unordered_set<std::string_view> begun;
  std::vector<file*> all;
  for (file& each : files_) {
    if (each.has_more() && begun.insert(each.base).second) all.push_back(&each);
  }
  std::ranges::sort(all, {}, [&](const file* each) {
    return std::pair(*each->index <= read_last_, *each->index);
  });
  return all;
}

// Of many small files several at once: each time there is something new of which to be sure before
// items go on, all that is known of the files is written down.
void file_follower::read_next() {
  std::size_t bytes = 0;
  for (file* from : next_to_read()) {
    read_last_ = *from->index;
    const bool was_open = from->handle.fd() >= 0;
    if (!reopen(*from)) continue;
    read_from(*from);
    if (!was_open && !from->cut) from->handle = file_handle();
    if (look_again_) return;
    if (!news_.chunks.empty() && news_.chunks.back().index == read_last_) {
      bytes += news_.chunks.back().bytes.size();
    }
    if (bytes >= options_.chunk_bytes || news_.chunks.size() >= options_.chunks_max) return;
  }
}

// False: it is not there any more, or cannot be read now.
bool file_follower::reopen(file& from) {
  if (from.handle.fd() >= 0) return true;
  try {
    file_handle handle = file_handle::open_to_read(from.identity.path);
    const file_identity now = identify(handle.fd());
    if (now.inode == from.identity.inode && now.device == from.identity.device) {
      from.handle = std::move(handle);
      return true;
    }
  } catch (const std::exception& failed) {
    notice_once(failed.what());
  }
  // The next look into the folders says what became of it.
  from.identity.size = std::min(from.identity.size, from.trail.offset());
  return false;
}

void file_follower::read_from(file& from) {
  const std::string& recent = from.trail.recent();
  std::string bytes;
  try {
    bytes = bytes_at(from.handle.fd(), from.trail.offset() - recent.size(),
                     recent.size() + options_.chunk_bytes);
  } catch (const std::exception& failed) {
    notice_once("cannot read " + from.identity.path + ": " + failed.what());
    from.identity.size = from.trail.offset();
    return;
  }
  if (!bytes.starts_with(recent) ||
      (from.trail.is_behind() && !from.trail.matches(from.handle.fd()))) {
    from.cut = true;
    from.identity.size = from.trail.offset();  // that seen last was the other content's
    look_again_ = true;
    return;
  }
  bytes.erase(0, recent.size());
  // A sink may have its items before what is kept with them: by then it has to be told by its
  // content.
  if (from.trail.offset() == 0 && !bytes.empty()) changed_first_ = true;
  from.trail.read(bytes);
  const bool at_end = bytes.size() < options_.chunk_bytes;
  from.identity.size =
      at_end ? from.trail.offset() : std::max(from.identity.size, from.trail.offset() + 1);
  if (bytes.empty()) return;
  from.grown = now_;
  from.ended = false;
  changed_ = true;
  news_.chunks.push_back({*from.index, std::move(bytes)});
}

void file_follower::tell_state() {
  if (!changed_) return;
  std::vector<file_identity> identities;
  identities.reserve(files_.size());
  for (const file& each : files_) identities.push_back(identity_of(each));
  news_.state = encode_followed(identities);
  news_.state_first = std::exchange(changed_first_, false);
  changed_ = false;
}

file_identity file_follower::identity_of(const file& from) const {
  file_identity identity = from.identity;
  identity.gone = from.gone;
  identity.head.clear();
  if (from.is_read() && !from.loaded) from.trail.put_into(identity);
  return identity;
}

std::size_t file_follower::open_files() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(files_, [](const file& each) { return each.handle.fd() >= 0; }));
}

// What is wrong with a file or folder is said once in a run.
void file_follower::notice_once(const std::string& line) {
  constexpr std::size_t said_max = 1000;
  if (said_.size() < said_max && said_.insert(line).second) news_.notices.push_back(line);
}

}  // namespace brigade
