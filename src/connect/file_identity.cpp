#include "connect/file_identity.hpp"

#include "connect/json_text.hpp"

#include <brigade/connect/record.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <random>
#include <stdexcept>
#include <system_error>

namespace brigade {
namespace {

constexpr std::array<std::size_t, 4> head_lengths = {64, 256, 1024, 4096};
constexpr std::size_t tail_bytes = 1024;
constexpr std::size_t tails_max = 8;
constexpr std::uint64_t tails_apart = std::uint64_t{64} << 10;

std::string hex(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  for (std::size_t i = digits; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 0xF];
  return text;
}

// FNV-1a: it tells files apart that nobody made alike on purpose.
std::string hash_of(std::string_view bytes) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hex(hash, 16);
}

std::map<std::uint64_t, std::string> heads_of(std::string_view head) {
  std::map<std::uint64_t, std::string> heads;
  for (const std::size_t length : head_lengths) {
    if (length <= head.size()) heads[length] = hash_of(head.substr(0, length));
  }
  if (!head.empty()) heads[head.size()] = hash_of(head);
  return heads;
}

std::string tail_hash(int fd, std::uint64_t offset) {
  const std::uint64_t length = std::min<std::uint64_t>(offset, tail_bytes);
  return hash_of(bytes_at(fd, offset - length, static_cast<std::size_t>(length)));
}

[[noreturn]] void damaged() {
  throw std::runtime_error("what the ledger keeps of the source's files is damaged");
}

std::string_view wanted(std::string_view object, std::string_view key) {
  const auto value = json_text::member(object, key);
  if (!value) damaged();
  return *value;
}

std::string text_at(std::string_view object, std::string_view key) {
  const std::string_view value = wanted(object, key);
  if (json_text::kind_of(value) != json_text::kind::string) damaged();
  std::string storage;
  return std::string(json_text::unquoted(value, storage));
}

template <class T>
T number_in(std::string_view text) {
  T value{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) damaged();
  return value;
}

std::map<std::uint64_t, std::string> hashes_in(std::string_view object) {
  std::map<std::uint64_t, std::string> hashes;
  json_text::object_reader each(object);
  std::string length;
  std::string hash;
  while (each.next()) {
    hashes[number_in<std::uint64_t>(json_text::unquoted(each.key(), length))] =
        json_text::unquoted(each.value(), hash);
  }
  return hashes;
}

// What earlier versions did not write may be absent.
file_identity decode_one(std::string_view object) {
  file_identity file;
  file.token = text_at(object, "token");
  file.path = text_at(object, "path");
  file.device = number_in<std::uint64_t>(wanted(object, "device"));
  file.inode = number_in<std::uint64_t>(wanted(object, "inode"));
  file.born_ns = number_in<std::int64_t>(wanted(object, "born_ns"));
  file.size = number_in<std::uint64_t>(wanted(object, "size"));
  file.heads = hashes_in(wanted(object, "heads"));
  if (const auto tails = json_text::member(object, "tails")) file.tails = hashes_in(*tails);
  if (const auto ends = json_text::member(object, "ends")) {
    file.ends = number_in<std::uint64_t>(*ends);
  }
  file.gone = json_text::member(object, "gone").has_value();
  if (json_text::member(object, "copy_of")) file.copy_of = text_at(object, "copy_of");
  return file;
}

void append_hashes(std::string& to, const std::map<std::uint64_t, std::string>& hashes) {
  to.push_back('{');
  for (const auto& [length, hash] : hashes) {
    if (!to.ends_with('{')) to.push_back(',');
    to += "\"" + std::to_string(length) + "\":" + json_quoted(hash);
  }
  to.push_back('}');
}

void append_one(std::string& to, const file_identity& file) {
  to += R"({"token":)" + json_quoted(file.token);
  // A path may be any bytes; here it is for people.
  to += R"(,"path":)" + json_quoted(valid_utf8(file.path) ? file.path : excerpt(file.path, 4096));
  to += R"(,"device":)" + std::to_string(file.device);
  to += R"(,"inode":)" + std::to_string(file.inode);
  to += R"(,"born_ns":)" + std::to_string(file.born_ns);
  to += R"(,"size":)" + std::to_string(file.size) + R"(,"heads":)";
  append_hashes(to, file.heads);
  if (!file.tails.empty()) {
    to += R"(,"tails":)";
    append_hashes(to, file.tails);
  }
  if (file.ends != 0) to += R"(,"ends":)" + std::to_string(file.ends);
  if (!file.copy_of.empty()) to += R"(,"copy_of":)" + json_quoted(file.copy_of);
  if (file.gone) to += R"(,"gone":true)";
  to += "}";
}

}  // namespace

file_identity identify(int fd) {
  struct statx facts{};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &facts) != 0) {
    throw std::system_error(errno, std::generic_category(), "statx");
  }
  file_identity file;
  file.device = makedev(facts.stx_dev_major, facts.stx_dev_minor);
  file.inode = facts.stx_ino;
  file.size = facts.stx_size;
  if ((facts.stx_mask & STATX_BTIME) != 0) {
    file.born_ns = facts.stx_btime.tv_sec * 1'000'000'000 + facts.stx_btime.tv_nsec;
  }
  file.head = bytes_at(fd, 0, head_lengths.back());
  file.heads = heads_of(file.head);
  return file;
}

bool same_file(const file_identity& before, const file_identity& now, int fd) {
  if (before.inode != now.inode) return false;
  if (before.born_ns != 0 && now.born_ns != 0 && before.born_ns != now.born_ns) return false;
  return same_content(before, now, fd);
}

bool same_content(const file_identity& before, const file_identity& now, int fd) {
  for (const auto& [length, hash] : before.heads) {
    if (length > now.head.size()) continue;
    if (hash_of(std::string_view(now.head).substr(0, length)) != hash) return false;
  }
  return std::all_of(before.tails.begin(), before.tails.end(), [&](const auto& tail) {
    return tail.first > now.size || tail_hash(fd, tail.first) == tail.second;
  });
}

std::string bytes_at(int fd, std::uint64_t offset, std::size_t length) {
  std::string bytes(length, '\0');
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got =
        ::pread(fd, bytes.data() + have, bytes.size() - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "read");
    if (got == 0) break;
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

file_trail::file_trail(std::uint64_t offset, std::string head, std::string recent)
    : offset_(offset), head_(std::move(head)), recent_(std::move(recent)), heads_(heads_of(head_)) {
  note_tail();
}

file_trail file_trail::at(int fd, std::uint64_t offset, const file_identity& before) {
  const std::uint64_t head = std::min<std::uint64_t>(offset, head_lengths.back());
  const std::uint64_t recent = std::min<std::uint64_t>(offset, tail_bytes);
  file_trail trail(offset, bytes_at(fd, 0, static_cast<std::size_t>(head)),
                   bytes_at(fd, offset - recent, static_cast<std::size_t>(recent)));
  trail.heads_.insert(before.heads.begin(), before.heads.end());
  trail.tails_.insert(before.tails.begin(), before.tails.end());
  return trail;
}

bool file_trail::is_behind() const {
  return !heads_.empty() && !tails_.empty() && std::prev(tails_.end())->first > offset_;
}

bool file_trail::matches(int fd) const {
  const auto& [length, head] = *std::prev(heads_.end());
  const auto& [offset, tail] = *std::prev(tails_.end());
  return hash_of(bytes_at(fd, 0, static_cast<std::size_t>(length))) == head &&
         tail_hash(fd, offset) == tail;
}

void file_trail::read(std::string_view bytes) {
  if (bytes.empty()) return;
  if (head_.size() == offset_ && head_.size() < head_lengths.back()) {
    head_.append(bytes.substr(0, head_lengths.back() - head_.size()));
    if (heads_.empty() || std::prev(heads_.end())->first <= head_.size()) {
      heads_ = heads_of(head_);
    }
  }
  offset_ += bytes.size();
  recent_.append(bytes.substr(bytes.size() - std::min(bytes.size(), tail_bytes)));
  if (recent_.size() > tail_bytes) recent_.erase(0, recent_.size() - tail_bytes);
  note_tail();
}

// The newest moves along until it is far enough from the one before; then it stays behind.
void file_trail::note_tail() {
  const bool is_known = recent_.size() == std::min<std::uint64_t>(offset_, tail_bytes);
  if (offset_ == 0 || !is_known || is_behind()) return;
  if (tails_.size() >= 2) {
    const auto newest = std::prev(tails_.end());
    if (newest->first == offset_) return;
    if (newest->first - std::prev(newest)->first < tails_apart) tails_.erase(newest);
  }
  tails_[offset_] = hash_of(recent_);
  if (tails_.size() > tails_max) tails_.erase(std::next(tails_.begin()));
}

void file_trail::acknowledged(std::uint64_t low) {
  while (tails_.size() >= 2 && std::next(tails_.begin())->first <= low) {
    tails_.erase(tails_.begin());
  }
}

void file_trail::put_into(file_identity& identity) const {
  identity.heads = heads_;
  identity.tails = tails_;
}

std::string random_token() {
  constexpr std::size_t digits = 8;
  std::random_device random;
  return hex(random(), digits);
}

std::string draw_token(const std::vector<file_identity>& known) {
  for (;;) {
    std::string token = random_token();
    const bool taken = std::any_of(known.begin(), known.end(),
                                   [&](const file_identity& file) { return file.token == token; });
    if (!taken) return token;
  }
}

std::string encode_identities(const std::vector<file_identity>& files) {
  std::string text = R"({"files":[)";
  for (const file_identity& file : files) {
    if (!text.ends_with('[')) text.push_back(',');
    append_one(text, file);
  }
  return text + "]}";
}

std::string encode_followed(const std::vector<file_identity>& files) {
  return R"({"tail":true,)" + encode_identities(files).substr(1);
}

bool is_followed(std::string_view text) {
  return !text.empty() && json_text::member(text, "tail").has_value();
}

std::vector<file_identity> decode_identities(std::string_view text) {
  std::vector<file_identity> files;
  if (text.empty()) return files;
  if (json_text::check(text) || json_text::kind_of(text) != json_text::kind::object) damaged();
  json_text::array_reader each(wanted(text, "files"));
  while (each.next()) files.push_back(decode_one(each.value()));
  return files;
}

}  // namespace brigade
