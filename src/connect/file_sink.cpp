#include "connect/file_sink.hpp"

#include <brigade/async/thread.hpp>
#include <brigade/pipeline/config_spec.hpp>

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <system_error>

namespace brigade {
namespace {

bool is_no_room(int error) { return error == ENOSPC || error == EDQUOT; }

struct recorded {
  std::uint64_t length = 0;
  std::string path;
};

// `<length> <path>`
std::optional<recorded> read_token(const std::string& token) {
  recorded result;
  const char* const end = token.data() + token.size();
  const auto read = std::from_chars(token.data(), end, result.length);
  if (read.ec != std::errc{} || read.ptr == end || *read.ptr != ' ') return std::nullopt;
  result.path.assign(read.ptr + 1, end);
  return result;
}

// Each cuts the file to the length that it knows of, and with it the rows of the other. The lock
// goes with the handle, so with the process.
file_handle open_alone(const std::string& path) {
  file_handle file = file_handle::open_to_append(path);
  struct stat facts{};
  if (::fstat(file.fd(), &facts) != 0 || !S_ISREG(facts.st_mode)) return file;
  if (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    throw std::runtime_error("another sink writes to " + path + ": give each a file of its own");
  }
  return file;
}

// Takes away what was written to a file and never recorded. A file that is gone, was moved away by
// somebody: its rows are where they put them.
void cut(const recorded& wanted) {
  struct stat facts{};
  if (::stat(wanted.path.c_str(), &facts) != 0) {
    if (errno == ENOENT) return;
    throw std::runtime_error("cannot look at " + wanted.path + ": " + error_text(errno));
  }
  const auto length = static_cast<std::uint64_t>(facts.st_size);
  if (length < wanted.length) {
    throw std::runtime_error(wanted.path + " has " + std::to_string(length) + " bytes, but " +
                             std::to_string(wanted.length) +
                             " were delivered to it: restore it, move it away, or run with "
                             "--fresh");
  }
  if (length == wanted.length) return;
  const file_handle file = open_alone(wanted.path);
  if (::ftruncate(file.fd(), static_cast<off_t>(wanted.length)) != 0 || ::fsync(file.fd()) != 0) {
    throw std::runtime_error("cannot cut " + wanted.path +
                             " to the length it had: " + error_text(errno));
  }
}

struct opened_file {
  std::shared_ptr<guarded<growing_file>> file;
  row_maker rows;
};

opened_file open_file(const std::string& path, const std::string& token, row_maker rows) {
  opened_file opened{std::make_shared<guarded<growing_file>>(path, token), std::move(rows)};
  if (!opened.rows.needs_header()) return opened;
  const std::string beginning = opened.file->object.beginning(row_maker::header_bytes_max);
  try {
    opened.rows.go_on(beginning);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path + " " + error.what());
  }
  return opened;
}

void append(growing_file& file, const std::string& header, const std::string& text) {
  file.append(header, text, true);
}

}  // namespace

std::string expand_path(const std::string& path, const std::string& pipeline) {
  std::string text;
  for (std::size_t at = 0; at < path.size();) {
    constexpr std::string_view name = "{name}";
    if (path.compare(at, name.size(), name) == 0) {
      text += pipeline;
      at += name.size();
    } else if (path[at] == '{' || path[at] == '}') {
      throw config_error("path", "'" + path + "': only {name}, the pipeline's, can be filled in");
    } else {
      text.push_back(path[at++]);
    }
  }
  if (text.find('%') == std::string::npos) return text;
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::array<char, 4096> expanded{};
  if (std::strftime(expanded.data(), expanded.size(), text.c_str(), &parts) == 0) {
    throw config_error("path", "'" + path + "' is too long, or has no meaning to strftime");
  }
  return expanded.data();
}

growing_file::growing_file(std::string path, const std::string& token) : path_(std::move(path)) {
  const auto before = read_token(token);
  if (before) cut(*before);
  file_ = open_alone(path_);
  length_ = file_.size();
  try {
    if (::fsync(file_.fd()) != 0 && errno != EINVAL) {  // EINVAL: a device, with nothing to sync
      throw std::system_error(errno, std::generic_category(), "fsync");
    }
    sync_folder_of(path_);
  } catch (const std::system_error& error) {
    throw std::runtime_error("cannot make " + path_ + " durable: " + error.what());
  }
}

void growing_file::append(const std::string& header, const std::string& text, bool durable) {
  if (text.empty()) return;
  const bool begins = length_ == 0;
  if (begins) write(header);
  write(text);
  if (durable && ::fdatasync(file_.fd()) != 0 && errno != EINVAL) failed("sync", errno);
  length_ += text.size() + (begins ? header.size() : 0);
}

void growing_file::write(const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t took = ::write(file_.fd(), text.data() + written, text.size() - written);
    if (took < 0 && errno == EINTR) continue;
    if (took < 0) failed("write", errno);
    written += static_cast<std::size_t>(took);
  }
}

std::string growing_file::beginning(std::size_t bytes_max) const {
  if (length_ == 0) return {};
  return file_handle::open_to_read(path_).read_at(0, bytes_max);
}

// A row that is half there would be joined by the next one: back to whole batches.
void growing_file::failed(const char* what, int error) {
  const bool cut_back = ::ftruncate(file_.fd(), static_cast<off_t>(length_)) == 0;
  const std::string message =
      std::string("cannot ") + what + " " + path_ + ": " + error_text(error);
  if (is_no_room(error) && cut_back) throw sink_down(message);
  throw fatal_error(message);
}

std::string growing_file::token() const { return std::to_string(length_) + " " + path_; }

task<std::vector<partition_mark>> file_sink::open(const sink_resume& resume) {
  const std::filesystem::path folder(options_.folder);
  std::string path = (folder / expand_path(options_.path, options_.pipeline)).lexically_normal();
  auto call = to_thread(&open_file, std::move(path), resume.token, rows_);
  opened_file opened = co_await std::move(call);
  file_ = std::move(opened.file);
  rows_ = std::move(opened.rows);
  co_return std::vector<partition_mark>{};
}

task<write_result> file_sink::write(std::span<const sink_item> batch,
                                    std::span<const partition_mark>) {
  rows made = rows_.make(batch);
  if (options_.fsync) {
    auto call = call_guarded(file_, &append, rows_.header(), std::move(made.text));
    co_await std::move(call);
  } else {
    file_->object.append(rows_.header(), made.text, false);
  }
  write_result result;
  result.failures = std::move(made.failures);
  result.token = file_->object.token();
  co_return result;
}

task<> file_sink::close() {
  file_.reset();
  co_return;
}

std::string file_sink::first_token() const { return file_ ? file_->object.token() : std::string{}; }

}  // namespace brigade
