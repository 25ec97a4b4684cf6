#include "pipeline/ledger_lock.hpp"

#include <brigade/pipeline/ledger.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

namespace brigade::ledger_detail {
namespace {

std::filesystem::path lock_file(const std::filesystem::path& ledger) {
  return ledger.string() + ".lock";
}

struct flock whole_file() {
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  return range;
}

/// The owner's id as the file has it; empty in the moment between locking and writing.
std::string owner(int file) {
  std::array<char, 32> text{};
  const ssize_t size = pread(file, text.data(), text.size(), 0);
  const std::string_view read(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  const std::string_view digits = read.substr(0, read.find_first_not_of("0123456789"));
  return digits.empty() ? "of another program" : fmt::format("{}", digits);
}

void write_owner(int file) {
  const std::string text = fmt::format("{}\n", getpid());
  if (ftruncate(file, 0) != 0 || pwrite(file, text.data(), text.size(), 0) < 0) {
    throw std::system_error(errno, std::generic_category());
  }
}

}  // namespace

ledger_lock::ledger_lock(const std::filesystem::path& ledger)
    : file_(open(lock_file(ledger).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  if (file_ < 0) {
    throw ledger_error(fmt::format("{}: cannot be opened: {}; it must be there to be locked",
                                   lock_file(ledger).string(), std::strerror(errno)));
  }
  struct flock range = whole_file();
  std::string problem;
  if (fcntl(file_, F_OFD_SETLK, &range) != 0) {
    if (errno == EAGAIN || errno == EACCES) {
      problem = fmt::format("{}: in use by process {}; wait for it or stop it", ledger.string(),
                            owner(file_));
    } else {
      problem =
          fmt::format("{}: cannot be locked: {}", lock_file(ledger).string(), std::strerror(errno));
    }
  } else {
    try {
      write_owner(file_);
    } catch (const std::system_error& error) {
      problem = fmt::format("{}: cannot be written: {}", lock_file(ledger).string(),
                            error.code().message());
    }
  }
  if (!problem.empty()) {
    close(file_);
    throw ledger_error(problem);
  }
}

ledger_lock::~ledger_lock() { close(file_); }

bool ledger_lock::is_held(const std::filesystem::path& ledger) {
  const int file = open(lock_file(ledger).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  struct flock range = whole_file();
  const bool held = fcntl(file, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
  close(file);
  return held;
}

}  // namespace brigade::ledger_detail
