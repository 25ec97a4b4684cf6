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
#include <random>
#include <stdexcept>
#include <system_error>

namespace brigade {
namespace {

constexpr std::array<std::size_t, 4> head_lengths = {64, 256, 1024, 4096};

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

std::string first_bytes(int fd) {
  std::string bytes(head_lengths.back(), '\0');
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got =
        ::pread(fd, bytes.data() + have, bytes.size() - have, static_cast<off_t>(have));
    if (got < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "read");
    if (got == 0) break;
    if (got > 0) have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
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

file_identity decode_one(std::string_view object) {
  file_identity file;
  file.token = text_at(object, "token");
  file.path = text_at(object, "path");
  file.device = number_in<std::uint64_t>(wanted(object, "device"));
  file.inode = number_in<std::uint64_t>(wanted(object, "inode"));
  file.born_ns = number_in<std::int64_t>(wanted(object, "born_ns"));
  file.size = number_in<std::uint64_t>(wanted(object, "size"));
  json_text::object_reader heads(wanted(object, "heads"));
  std::string length;
  std::string hash;
  while (heads.next()) {
    file.heads[number_in<std::uint64_t>(json_text::unquoted(heads.key(), length))] =
        json_text::unquoted(heads.value(), hash);
  }
  return file;
}

void append_one(std::string& to, const file_identity& file) {
  to += R"({"token":)" + json_quoted(file.token);
  // A path may be any bytes; here it is for people.
  to += R"(,"path":)" + json_quoted(valid_utf8(file.path) ? file.path : excerpt(file.path, 4096));
  to += R"(,"device":)" + std::to_string(file.device);
  to += R"(,"inode":)" + std::to_string(file.inode);
  to += R"(,"born_ns":)" + std::to_string(file.born_ns);
  to += R"(,"size":)" + std::to_string(file.size) + R"(,"heads":{)";
  for (const auto& [length, hash] : file.heads) {
    if (!to.ends_with('{')) to.push_back(',');
    to += "\"" + std::to_string(length) + "\":" + json_quoted(hash);
  }
  to += "}}";
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
  file.head = first_bytes(fd);
  const std::string_view head = file.head;
  for (const std::size_t length : head_lengths) {
    if (length <= head.size()) file.heads[length] = hash_of(head.substr(0, length));
  }
  if (!head.empty()) file.heads[head.size()] = hash_of(head);
  return file;
}

bool same_file(const file_identity& before, const file_identity& now) {
  if (before.inode != now.inode) return false;
  if (before.born_ns != 0 && now.born_ns != 0 && before.born_ns != now.born_ns) return false;
  for (const auto& [length, hash] : before.heads) {
    if (length > now.head.size()) continue;
    if (hash_of(std::string_view(now.head).substr(0, length)) != hash) return false;
  }
  return true;
}

std::string draw_token(const std::vector<file_identity>& known) {
  constexpr std::size_t digits = 8;
  std::random_device random;
  for (;;) {
    std::string token = hex(random(), digits);
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

std::vector<file_identity> decode_identities(std::string_view text) {
  std::vector<file_identity> files;
  if (text.empty()) return files;
  if (json_text::check(text) || json_text::kind_of(text) != json_text::kind::object) damaged();
  json_text::array_reader each(wanted(text, "files"));
  while (each.next()) files.push_back(decode_one(each.value()));
  return files;
}

}  // namespace brigade
