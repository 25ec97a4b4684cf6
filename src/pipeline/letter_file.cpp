#include "pipeline/letter_file.hpp"

#include "pipeline/text.hpp"

#include <boost/json/parse.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace brigade::ledger_detail {
namespace {

constexpr std::string_view letter_begin = R"({"id": )";

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  ~descriptor() { ::close(fd_); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail(const std::filesystem::path& path, const char* what, int error) {
  const std::string text = fmt::format("cannot {} {}, the file of dead letters: {}", what,
                                       path.string(), std::generic_category().message(error));
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) throw no_room(text);
  throw std::runtime_error(text);
}

[[noreturn]] void refuse_to_write_to(const std::filesystem::path& path) {
  throw std::runtime_error(
      fmt::format("{}, the file of dead letters, is no regular file; name one", path.string()));
}

// Without a wait: a pipe that nobody reads would keep it.
int open_to_append(const std::filesystem::path& path) {
  constexpr int how = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const int fd = ::open(path.c_str(), how, 0600);
  if (fd < 0 && errno == ENXIO) refuse_to_write_to(path);
  if (fd < 0) fail(path, "open", errno);
  return fd;
}

// What cannot be made durable, nor taken back, is no place for them.
std::uint64_t length_of(int file, const std::filesystem::path& path) {
  struct stat found{};
  if (::fstat(file, &found) != 0) fail(path, "look at", errno);
  if (!S_ISREG(found.st_mode)) refuse_to_write_to(path);
  return static_cast<std::uint64_t>(found.st_size);
}

// What stands behind the last newline.
std::string unfinished_line(const descriptor& file, std::uint64_t length,
                            const std::filesystem::path& path) {
  constexpr std::uint64_t step = 65536;
  std::string tail;
  std::string chunk;
  while (length > 0) {
    const std::uint64_t begin = length > step ? length - step : 0;
    chunk.resize(length - begin);
    const ssize_t got = ::pread(file.get(), chunk.data(), chunk.size(), static_cast<off_t>(begin));
    if (got < 0 || static_cast<std::size_t>(got) != chunk.size()) fail(path, "read", errno);
    const std::size_t newline = chunk.rfind('\n');
    if (newline != std::string::npos) return chunk.substr(newline + 1) + tail;
    tail.insert(0, chunk);
    length = begin;
  }
  return tail;
}

bool is_json(const std::string& text) {
  boost::json::error_code bad;
  boost::json::parse(text, bad);
  return !bad;
}

// A crash may have left half a line, which the next would run into. The ledger does not have its
// letter yet, so it is written again; anything else that lacks its newline is not ours to take
// away.
void end_last_line(const descriptor& file, const std::filesystem::path& path) {
  const std::uint64_t length = length_of(file.get(), path);
  const std::string tail = unfinished_line(file, length, path);
  if (tail.empty()) return;
  const bool is_half_a_letter = tail.starts_with(letter_begin.substr(0, tail.size()));
  const bool done = is_half_a_letter && !is_json(tail)
                        ? ::ftruncate(file.get(), static_cast<off_t>(length - tail.size())) == 0
                        : ::write(file.get(), "\n", 1) == 1;
  if (!done) fail(path, "write", errno);
}

// The name of a new file is durable only with its folder.
void sync_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() < 0 || ::fsync(opened.get()) != 0) fail(path, "make durable", errno);
}

// A JSON text may have line breaks between its parts only; there a blank means the same.
std::string as_value(std::string text) {
  boost::json::error_code bad;
  boost::json::parse(text, bad);
  if (bad || !detail::is_plain_text(text)) return detail::as_json(text);
  std::ranges::replace(text, '\n', ' ');
  std::ranges::replace(text, '\r', ' ');
  return text;
}

}  // namespace

std::string letter_line(const settlement& item, std::int64_t run) {
  std::string line = fmt::format("{}{}", letter_begin, detail::as_json(item.id));
  if (!item.business_id.empty()) {
    line += fmt::format(R"(, "business_id": {})", detail::as_json(item.business_id));
  }
  line +=
      fmt::format(R"(, "run": {}, "stage": {}, "attempts": {}, "error": {}, "at": {}, "item": {})",
                  run, detail::as_json(item.stage), item.attempts, detail::as_json(item.error),
                  detail::as_json(detail::iso_utc(item.settled_at)), as_value(item.dead->payload));
  if (item.dead->source_payload != item.dead->payload) {
    line += fmt::format(R"(, "source_item": {})", as_value(item.dead->source_payload));
  }
  return line + "}\n";
}

letter_file::letter_file(std::filesystem::path path, std::uint64_t bytes_max)
    : path_(std::move(path)), bytes_max_(bytes_max) {
  const descriptor file(open_to_append(path_));
  end_last_line(file, path_);
  length_before_ = length_of(file.get(), path_);
  sync_folder_of(path_);
}

letter_file::~letter_file() {
  if (last_ >= 0) ::close(last_);
}

void letter_file::append(const std::string& lines) {
  if (last_ >= 0) ::close(std::exchange(last_, -1));
  last_ = open_to_append(path_);
  length_before_ = length_of(last_, path_);
  // Into an empty file they go whatever their size: else moving it away would never help.
  const bool over = bytes_max_ != 0 && length_before_ + lines.size() > bytes_max_;
  if (over && length_before_ != 0) {
    throw no_room(fmt::format("{}, the file of dead letters, has reached its limit of {} bytes",
                              path_.string(), bytes_max_));
  }
  std::size_t written = 0;
  while (written < lines.size()) {
    const ssize_t took = ::write(last_, lines.data() + written, lines.size() - written);
    if (took < 0 && errno == EINTR) continue;
    if (took < 0) {
      const int error = errno;
      take_back();
      fail(path_, "write", error);
    }
    written += static_cast<std::size_t>(took);
  }
  if (::fdatasync(last_) != 0) fail(path_, "sync", errno);
  if (length_before_ == 0) sync_folder_of(path_);
}

void letter_file::take_back() noexcept {
  static_cast<void>(::ftruncate(last_, static_cast<off_t>(length_before_)));
}

}  // namespace brigade::ledger_detail
