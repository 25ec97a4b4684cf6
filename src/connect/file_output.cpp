#include "connect/file_output.hpp"

#include <brigade/pipeline/engine.hpp>
#include <brigade/pipeline/sink.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace brigade {
namespace {

constexpr int mode_of_new_files = 0666;  // the umask takes away what it does not want

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::system_error(error, std::generic_category(), what);
}

/// What passes, when somebody makes room.
bool is_no_room(int error) { return error == ENOSPC || error == EDQUOT || error == ENFILE; }

/// The same for any path of a user, on any machine.
std::string list_path(const std::string& folder, const std::string& whose) {
  std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a
  for (const char c : whose) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string name = ".brigade-";
  for (int shift = 60; shift >= 0; shift -= 4) name.push_back(digits[(hash >> shift) & 15U]);
  return (std::filesystem::path(folder) / name).string();
}

void sync(int fd) {
  if (::fsync(fd) != 0 && errno != EINVAL) fail("fsync", errno);  // EINVAL: a device
}

// Each sink cuts a file to the length that it knows of, and with it the rows of another. The lock
// goes with the handle, so with the process.
bool lock(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK; }

[[noreturn]] void refuse_shared(const std::string& path) {
  throw std::runtime_error("another sink writes to " + path + ": give each a file of its own");
}

// Takes away what was written to a file and never recorded. A file that is gone, was moved away by
// somebody: its rows are where they put them. So were those of one with an empty one in its place.
// Where all was recorded, there is nothing to take away: only to see that nothing is missing.
void make(const cut_to_make& cut, bool all_recorded) {
  const file_handle file(::open(cut.path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd() < 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ENXIO) return;
    fail("cannot open " + cut.path, errno);
  }
  struct stat facts{};
  if (::fstat(file.fd(), &facts) != 0) fail("cannot look at " + cut.path, errno);
  if (!S_ISREG(facts.st_mode)) return;
  const auto length = static_cast<std::uint64_t>(facts.st_size);
  const known_length& known = cut.of(facts.st_ino);
  const bool is_another = known.inode != facts.st_ino;
  if (length < known.length) {
    if (!known.is_recorded || (length == 0 && is_another)) return;
    throw std::runtime_error(cut.path + " has " + std::to_string(length) + " bytes, but " +
                             std::to_string(known.length) +
                             " were delivered to it: restore it, move it away, or run with "
                             "--fresh");
  }
  if (all_recorded || (length == known.length && !known.is_new)) return;
  if (!lock(file.fd())) refuse_shared(cut.path);
  if (::ftruncate(file.fd(), static_cast<off_t>(known.length)) != 0 || ::fsync(file.fd()) != 0) {
    fail("cannot cut " + cut.path + " to the length it had", errno);
  }
  if (!known.is_new || known.length != 0 || is_another) return;
  if (::unlink(cut.path.c_str()) != 0) fail("cannot remove " + cut.path, errno);
  sync_folder_of(cut.path);
}

void recover(const file_place& recorded, bool all_recorded) {
  std::vector<begun_file> begun;
  if (!recorded.list.empty()) begun = file_list::read(recorded.list);
  for (const cut_to_make& cut : cuts_of(recorded, begun)) make(cut, all_recorded);
}

}  // namespace

file_output::file_output(file_output_options options, const std::string& token)
    : options_(std::move(options)),
      clock_(options_.pattern, options_.every),
      list_(list_path(clock_.fixed_folder(), options_.owner + "\n" + options_.pattern)) {
  try {
    start(token);
  } catch (const std::system_error& error) {
    throw std::runtime_error(std::string(error.what()));
  }
}

// A token that says nothing is of a sink of another kind, before.
void file_output::start(const std::string& token) {
  file_place before = file_place::decode(token).value_or(file_place{});
  if (before.list.empty()) before.list = list_.path();
  if (!token.empty()) {
    recover(before, options_.all_recorded);
    fault_point("in_file_switch");
    file_list::remove(before.list);
  }
  file_list::remove(list_.path());  // of a pipeline that was begun anew
  const std::time_t now = options_.now();
  if (goes_on(before, now)) {
    file_place place = before;
    opened file = open(place.path());
    const bool is_known =
        !file.is_new && file.length == before.length && file.inode == before.inode;
    return take(std::move(file), std::move(place), is_known);
  }
  file_place place;
  place.generation = before.generation;
  place.stem = clock_.stem(now);
  place.begun = now;
  if (options_.every.count() != 0 && before.stem == place.stem) place.number = before.number + 1;
  opened file = place.number != 0 ? open_unused(place) : open(place.path());
  take(std::move(file), std::move(place), token.empty());
}

bool file_output::goes_on(const file_place& before, std::time_t now) const {
  if (before.stem.empty()) return false;
  const bool numbers = options_.bytes_max != 0 || options_.every.count() != 0;
  if (before.number != 0 && !numbers) return false;
  if (before.begun == 0) return before.stem == clock_.stem(now);
  return before.stem == clock_.stem(before.begun) &&
         !clock_.is_over(before.stem, before.begun, now);
}

// What there is of folders without a percent sign is the user's to make.
void file_output::make_folders_of(const std::string& path) const {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (clock_.fixed_folder() == folder.string() + "/" || std::filesystem::exists(folder)) return;
  make_folders_of(folder.string());
  if (::mkdir(folder.c_str(), 0777) != 0) {
    if (errno == EEXIST) return;
    fail("cannot make the folder " + folder.string(), errno);
  }
  sync_folder_of(folder.string());
}

file_output::opened file_output::open(const std::string& path) const {
  make_folders_of(path);
  opened result;
  constexpr int how = O_WRONLY | O_APPEND | O_CLOEXEC;
  result.file = file_handle(::open(path.c_str(), how | O_CREAT | O_EXCL, mode_of_new_files));
  result.is_new = result.file.fd() >= 0;
  if (!result.is_new && errno == EEXIST) {
    result.file = file_handle(::open(path.c_str(), how | O_CREAT, mode_of_new_files));
  }
  if (result.file.fd() < 0) fail("cannot write " + path, errno);
  struct stat facts{};
  if (::fstat(result.file.fd(), &facts) != 0) fail("cannot look at " + path, errno);
  result.is_regular = S_ISREG(facts.st_mode);
  result.inode = facts.st_ino;
  result.length = static_cast<std::uint64_t>(facts.st_size);
  if (result.is_regular && !lock(result.file.fd())) refuse_shared(path);
  try {
    sync(result.file.fd());
    sync_folder_of(path);
  } catch (const std::system_error& error) {
    fail("cannot make " + path + " durable", error.code().value());
  }
  return result;
}

file_output::opened file_output::open_unused(file_place& place) const {
  for (;; ++place.number) {
    const std::string path = place.path();
    struct stat facts{};
    const bool is_there = ::lstat(path.c_str(), &facts) == 0;
    if (is_there && (!S_ISREG(facts.st_mode) || facts.st_size != 0)) continue;
    opened file = open(path);
    if (file.is_regular && file.length == 0) return file;
  }
}

void file_output::take(opened file, file_place place, bool is_known) {
  place.length = file.length;
  place.inode = file.inode;
  place.list = list_.path();
  fault_point("in_file_switch");
  if (!is_known) {
    ++place.generation;
    list_.add({place.generation, file.length, file.inode, file.is_new, place.path()});
    fault_point("in_file_switch");
  }
  std::swap(file_, file.file);
  place_ = std::move(place);
  is_new_ = file.is_new;
  is_regular_ = file.is_regular;
  has_header_ = false;
}

// Somebody may move the file away, delete it, or cut it: other programs take care of logs by that.
void file_output::look_after_it() {
  if (!is_regular_) return;
  const std::string path = place_.path();
  struct stat by_name{};
  struct stat open_one{};
  if (::fstat(file_.fd(), &open_one) != 0) fail("cannot look at " + path, errno);
  const bool is_there = ::stat(path.c_str(), &by_name) == 0;
  const bool is_gone = is_there
                           ? by_name.st_ino != open_one.st_ino || by_name.st_dev != open_one.st_dev
                           : errno == ENOENT || errno == ENOTDIR;
  if (is_gone) {
    opened again = open(path);
    return take(std::move(again), place_, false);
  }
  const auto length = static_cast<std::uint64_t>(open_one.st_size);
  if (length >= place_.length) return;
  file_place place = place_;
  ++place.generation;
  place.length = length;
  list_.add({place.generation, length, place.inode, false, path});
  place_ = std::move(place);
}

bool file_output::is_over(std::size_t more) {
  if (!is_regular_) return false;
  if (options_.bytes_max != 0 && place_.length != 0 && place_.length + more > options_.bytes_max) {
    return true;
  }
  const std::time_t now = options_.now();
  if (now == looked_at_) return false;
  if (clock_.is_over(place_.stem, static_cast<std::time_t>(place_.begun), now)) return true;
  looked_at_ = now;
  return false;
}

void file_output::move_on() {
  const std::time_t now = options_.now();
  file_place next = place_;
  next.stem = clock_.stem(now);
  next.begun = now;
  const bool is_same = next.stem == place_.stem;
  next.number = is_same ? place_.number + 1 : 0;
  const bool leaves_nothing = is_new_ && place_.length == 0;
  const std::string before = place_.path();
  opened file = is_same ? open_unused(next) : open(next.path());
  take(std::move(file), std::move(next), false);
  if (leaves_nothing) static_cast<void>(::unlink(before.c_str()));
}

std::string file_output::beginning(std::size_t bytes_max) const {
  if (!is_regular_ || place_.length == 0) return {};
  return file_handle::open_to_read(place_.path()).read_at(0, bytes_max);
}

// A file that was there before, and that nobody has looked into yet.
void file_output::look_at_header(const std::string& header) {
  if (header.empty() || has_header_ || place_.length == 0) return;
  try {
    constexpr std::size_t beside = std::size_t{64} << 10;  // it may be written in other words
    options_.check_header(beginning(header.size() + beside), header);
  } catch (const std::runtime_error& error) {
    throw fatal_error(place_.path() + " " + error.what());
  }
  has_header_ = true;
}

void file_output::append(const std::string& text, bool durable, const std::string& header) {
  if (text.empty()) return;
  try {
    look_after_it();
    while (is_over(text.size())) move_on();
    look_at_header(header);
  } catch (const std::system_error& error) {
    if (is_no_room(error.code().value())) throw sink_down(error.what());
    throw fatal_error(error.what());
  } catch (const fatal_error&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw fatal_error(error.what());
  }
  const bool begins = place_.length == 0;
  if (begins) write(header);
  write(text);
  fault_point("in_file_write");
  if (durable && ::fdatasync(file_.fd()) != 0 && errno != EINVAL) failed("sync", errno);
  const std::uint64_t written = text.size() + (begins ? header.size() : 0);
  place_.length = is_regular_ ? file_.size() : place_.length + written;
  has_header_ = true;
}

void file_output::write(const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t took = ::write(file_.fd(), text.data() + written, text.size() - written);
    if (took < 0 && errno == EINTR) continue;
    if (took < 0) failed("write", errno);
    written += static_cast<std::size_t>(took);
  }
}

// A row that is half there would be joined by the next one: back to whole batches.
void file_output::failed(const char* what, int error) {
  const bool cut_back = ::ftruncate(file_.fd(), static_cast<off_t>(place_.length)) == 0;
  const std::string message =
      std::string("cannot ") + what + " " + place_.path() + ": " + error_text(error);
  if (is_no_room(error) && cut_back) throw sink_down(message);
  throw fatal_error(message);
}

}  // namespace brigade
