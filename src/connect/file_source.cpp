#include "connect/file_source.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/pipeline/log.hpp>

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

namespace brigade {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{256} << 10;
constexpr std::size_t lines_at_once = 512;  // as many as the engine asks for
// Of more files than these, what is known is kept at the end of a run only.
constexpr std::size_t files_kept_at_once = 16;

bool is_pattern(const std::string& path) { return path.find_first_of("*?[") != std::string::npos; }

// The regular files a pattern matches, sorted.
std::vector<std::string> expand(const std::string& pattern) {
  glob_t found{};
  const int result = ::glob(pattern.c_str(), GLOB_ERR, nullptr, &found);
  std::vector<std::string> paths;
  for (std::size_t i = 0; result == 0 && i < found.gl_pathc; ++i) {
    if (!std::filesystem::is_directory(found.gl_pathv[i])) paths.emplace_back(found.gl_pathv[i]);
  }
  ::globfree(&found);
  if (result != 0 && result != GLOB_NOMATCH) {
    throw std::runtime_error("cannot look for " + pattern + ": a folder in it is not readable");
  }
  if (paths.empty()) throw std::runtime_error("no file matches " + pattern);
  return paths;
}

// A folder's name is no pattern, whatever characters it has.
std::string quoted_for_glob(const std::string& folder) {
  std::string text;
  for (const char c : folder) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) text.push_back('\\');
    text.push_back(c);
  }
  return text;
}

std::vector<std::string> all_paths(const file_source_options& options) {
  std::vector<std::string> paths;
  for (const std::string& written : options.paths) {
    const std::string path = (std::filesystem::path(options.folder) / written).lexically_normal();
    if (is_pattern(written) && !std::filesystem::exists(path)) {
      const std::filesystem::path folder(quoted_for_glob(options.folder));
      for (std::string& each : expand(folder / written)) paths.push_back(std::move(each));
    } else {
      paths.push_back(path);
    }
  }
  return paths;
}

bool is_open(const std::vector<file_source::input>& inputs, const file_identity& identity) {
  return std::any_of(inputs.begin(), inputs.end(), [&](const file_source::input& each) {
    return each.identity.device == identity.device && each.identity.inode == identity.inode;
  });
}

const mark* mark_of(const std::vector<partition_mark>& marks, const std::string& partition) {
  for (const partition_mark& each : marks) {
    if (each.partition == partition) return &each.at;
  }
  return nullptr;
}

// Keeps the token of a file that is known, and gives one to a file that is not: one that is shorter
// than what was finished of it is not the same any more.
void recognize(file_source::findings& found, file_source::input& next, const std::string& source,
               const std::vector<partition_mark>& resume) {
  file_identity& now = next.identity;
  for (file_identity& before : found.known) {
    if (!same_file(before, now, next.file->fd())) continue;
    const mark* const done = mark_of(resume, source + ":" + before.token);
    if (done != nullptr && !next.file->compressed() && now.size < done->low) {
      found.notices.push_back(next.path + " has " + std::to_string(now.size) + " bytes, but " +
                              std::to_string(done->low) +
                              " were read of it before: it is read from its beginning");
      continue;
    }
    now.token = before.token;
    before.path = now.path;
    if (done != nullptr) next.done = *done;
    return;
  }
  now.token = draw_token(found.known);
  found.known.push_back(now);
}

file_source::findings find_files(const file_source_options& options,
                                 const std::vector<partition_mark>& resume,
                                 const std::string& state) {
  file_source::findings found;
  found.followed = is_followed(state);
  for (file_identity& each : decode_identities(state)) {
    (each.token.empty() ? found.unread : found.known).push_back(std::move(each));
  }
  for (const std::string& path : all_paths(options)) {
    file_source::input next;
    next.path = path;
    auto file = std::make_shared<const file_handle>(file_handle::open_to_read(path));
    next.identity = identify(file->fd());
    next.file = std::make_shared<file_bytes>(std::move(file));
    next.identity.path = path;
    if (is_open(found.inputs, next.identity)) continue;
    recognize(found, next, options.name, resume);
    if (!next.file->compressed()) {
      next.trail = file_trail::at(next.file->fd(), next.done.low, {});
    }
    found.inputs.push_back(std::move(next));
  }
  std::erase_if(found.unread,
                [&](const file_identity& each) { return is_open(found.inputs, each); });
  return found;
}

std::string read_chunk(const std::stop_token& stop, const std::shared_ptr<file_bytes>& file,
                       const std::string& path, std::uint64_t offset, std::string used) {
  try {
    return file->read_at(offset, chunk_bytes, stop, std::move(used));
  } catch (const std::exception& error) {
    throw std::runtime_error("cannot read " + path + ": " + error.what());
  }
}

}  // namespace

task<> file_source::open(std::vector<partition_mark> resume, std::string state) {
  auto call = to_thread(&find_files, options_, std::move(resume), std::move(state));
  findings found = co_await std::move(call);
  inputs_ = std::move(found.inputs);
  known_ = std::move(found.known);
  unread_ = std::move(found.unread);
  followed_ = found.followed;
  size_total_ = 0;
  for (const std::string& line : found.notices) log_line(line);
  for (const input& each : inputs_) {
    partitions_.push_back(options_.name + ":" + each.identity.token);
    if (each.file->compressed()) size_total_.reset();
    if (size_total_) *size_total_ += each.identity.size;
  }
}

task<std::vector<source_item>> file_source::read(std::size_t items_max) {
  std::vector<source_item> items;
  while (items.empty() && current_ < inputs_.size()) {
    begin_file();
    take_lines(items, items_max);
    if (!items.empty()) break;
    input& from = inputs_[current_];
    const std::uint64_t offset = splitter_->offset();
    auto call = to_thread(&read_chunk, from.file, from.path, offset, std::move(chunk_));
    std::string bytes = co_await std::move(call);
    chunk_ = std::move(bytes);
    splitter_->feed(chunk_);
    if (!chunk_.empty()) {
      note_read(from, offset);
      continue;
    }
    if (auto last = splitter_->finish()) add_item(items, *last);
    splitter_.reset();
    ++current_;
  }
  co_return items;
}

// Offsets of what comes out of a compressed file say nothing of the file; and a header that is read
// once more is not what comes next.
void file_source::note_read(input& from, std::uint64_t offset) {
  if (from.file->compressed() || offset != from.trail.offset()) return;
  from.trail.read(chunk_);
  known_changed_ = true;
}

// What was read of a file tells it from another one that replaces it.
std::optional<std::string> file_source::changed_state(state_kept when) {
  if (!known_changed_ || when == state_kept::before_items) return std::nullopt;
  if (when == state_kept::with_outcomes && known_.size() > files_kept_at_once) return std::nullopt;
  known_changed_ = false;
  for (const input& each : inputs_) {
    const auto same = std::ranges::find(known_, each.identity.token, &file_identity::token);
    if (same == known_.end() || each.trail.offset() == 0) continue;
    each.trail.put_into(*same);
    same->size = std::max(same->size, each.trail.offset());
  }
  return state();
}

// `tail` may go on from here: what it has seen, it has seen.
std::string file_source::state() const {
  if (!followed_) return encode_identities(known_);
  std::vector<file_identity> all = known_;
  all.insert(all.end(), unread_.begin(), unread_.end());
  return encode_followed(all);
}

void file_source::begin_file() {
  if (splitter_) return;
  splitter_.emplace(options_.format, inputs_[current_].done.low, inputs_[current_].path);
}

void file_source::take_lines(std::vector<source_item>& items, std::size_t items_max) {
  // A vector that grows moves each of them twice.
  items.reserve(std::min(items_max, lines_at_once));
  while (items.size() < items_max) {
    auto line = splitter_->next();
    if (!line) return;
    add_item(items, *line);
  }
}

void file_source::add_item(std::vector<source_item>& items, const text_line& line) {
  if (inputs_[current_].done.finished(line.begin)) return;
  const std::uint64_t begin = line.begin;
  const std::uint64_t end = line.end;
  decoded_line decoded = splitter_->decode(line);
  items.emplace_back(payload(std::move(decoded.value)), static_cast<std::uint32_t>(current_), begin,
                     end);
  items.back().undecodable = std::move(decoded.undecodable);
}

task<> file_source::close() {
  inputs_.clear();
  splitter_.reset();
  current_ = 0;
  co_return;
}

std::optional<std::string> file_source::decode(payload& value) const {
  decoded_line decoded = decode_again(options_.format, value.get<record>());
  value = payload(std::move(decoded.value));
  return std::move(decoded.undecodable);
}

std::string file_source::fingerprint() const {
  std::string text = format_fingerprint("file", options_.format);
  for (const std::string& path : options_.paths) text += " " + path;
  return text;
}

}  // namespace brigade
