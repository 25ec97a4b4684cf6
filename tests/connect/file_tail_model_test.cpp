// A writer that does at random what writers and log rotation do, against a reader that is stopped,
// killed and started at random. Each line is acknowledged exactly once.
#include "connect/tail_reader.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <set>

namespace brigade {
namespace {

using namespace std::chrono_literals;
using test::kept;
using test::tail_reader;
using test::temporary_folder;
using test::texts;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const given = std::getenv(name);
  return given == nullptr ? otherwise : std::stoull(given);
}

/// What writes to the path, and moves it about.
class random_writer {
 public:
  /// `ends_lines`: none is left half when its file is rotated.
  random_writer(const temporary_folder& folder, std::uint64_t seed, bool ends_lines)
      : folder_(folder), random_(seed), ends_lines_(ends_lines) {
    create();
  }
  ~random_writer() {
    for (const hand& each : hands_) ::close(each.fd);
  }
  random_writer(const random_writer&) = delete;
  random_writer& operator=(const random_writer&) = delete;

  /// `all_is_read`: what is taken away now is lost for nobody.
  void act(bool all_is_read) {
    switch (random_.below(all_is_read ? 12 : 9)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return write_lines(hands_.back());
      case 4:
        return write_half(hands_.back());
      case 5:
        return write_lines(hands_[random_.below(hands_.size())]);
      case 6:
      case 7:
        return rotate_by_name();
      case 8:
        return rotate_by_copy();
      case 9:
        return recreate();
      case 10:
        return cut();
      default:
        return remove_oldest();
    }
  }
  void reader_looked() { copied_ = false; }
  void finish() {
    for (hand& each : hands_) end_line(each);
  }
  [[nodiscard]] const std::multiset<std::string>& written() const { return written_; }
  void note(const char* what) { story_ += std::string(" ") + what; }
  [[nodiscard]] const std::string& story() const { return story_; }

 private:
  struct hand {
    int fd = -1;
    std::string half;  ///< of a line that is not complete
  };

  void create() {
    const int fd =
        ::open((folder_ / "app.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    hands_.push_back({fd, {}});
    begin_file();
    if (hands_.size() > 3) let_go(hands_.begin());
  }
  void begin_file() {
    says_something_ = false;
    if (random_.one_in(3)) write(hands_.back(), "an equal header\n");
  }
  void let_go(std::vector<hand>::iterator which) {
    end_line(*which);
    ::close(which->fd);
    hands_.erase(which);
  }
  void write(hand& by, std::string text) {
    ASSERT_EQ(::write(by.fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    text.insert(0, std::exchange(by.half, {}));
    for (std::size_t end = text.find('\n'); end != text.npos; end = text.find('\n')) {
      written_.insert(text.substr(0, end));
      text.erase(0, end + 1);
    }
    by.half = text;
  }
  std::string new_line() {
    return "line " + std::to_string(++lines_) + std::string(random_.below(40), '.');
  }
  void write_lines(hand& by) {
    note("lines");
    if (&by == &hands_.back()) says_something_ = true;
    for (std::uint64_t n = random_.below(5) + 1; n > 0; --n) write(by, new_line() + "\n");
  }
  void write_half(hand& by) {
    note("half");
    says_something_ = true;
    write(by, new_line());
  }
  void end_line(hand& by) {
    if (!by.half.empty()) write(by, "\n");
  }
  void shift() {
    for (int n = 8; n > 0; --n) {
      const std::string from = folder_ / ("app.log." + std::to_string(n));
      ::rename(from.c_str(), (folder_ / ("app.log." + std::to_string(n + 1))).c_str());
    }
  }
  [[nodiscard]] bool has(const std::string& name) const {
    return ::access((folder_ / name).c_str(), F_OK) == 0;
  }
  void rotate_by_name() {
    if (has("app.log.8")) return;
    note("rename");
    if (ends_lines_) end_line(hands_.back());
    shift();
    ::rename((folder_ / "app.log").c_str(), (folder_ / "app.log.1").c_str());
    create();
  }
  // Nothing is written between copy and cut, so it loses nothing by itself. What says no more than
  // the next file will say cannot be told from it.
  void rotate_by_copy() {
    if (has("app.log.8") || !says_something_) return;
    note("copy");
    end_line(hands_.back());
    shift();
    folder_.write("app.log.1", folder_.read("app.log"));
    copied_ = true;
    cut();
  }
  void cut() {
    if (!says_something_ || !hands_.back().half.empty()) return;
    note("cut");
    ASSERT_EQ(::truncate((folder_ / "app.log").c_str(), 0), 0);
    begin_file();
  }
  void recreate() {
    // Of a file that is gone nobody knows any more what was a copy of it.
    if (!hands_.back().half.empty() || copied_) return;
    note("recreate");
    ::unlink((folder_ / "app.log").c_str());
    let_go(std::prev(hands_.end()));
    create();
  }
  void remove_oldest() {
    for (int n = 9; n > 0; --n) {
      const std::string path = folder_ / ("app.log." + std::to_string(n));
      struct stat oldest{};
      if (::stat(path.c_str(), &oldest) != 0) continue;
      const bool is_open = std::ranges::any_of(hands_, [&](const hand& each) {
        struct stat open{};
        return ::fstat(each.fd, &open) == 0 && open.st_ino == oldest.st_ino;
      });
      if (is_open) return;
      note("remove");
      ::unlink(path.c_str());
      return;
    }
  }

  const temporary_folder& folder_;
  testing::random_source random_;
  bool ends_lines_;
  std::vector<hand> hands_;  ///< the last one writes to the path, the others to what was rotated
  std::multiset<std::string> written_;
  std::string story_;
  std::uint64_t lines_ = 0;
  bool copied_ = false;          ///< since the reader looked
  bool says_something_ = false;  ///< the file at the path, that no other one says
};

std::string difference(const std::multiset<std::string>& from,
                       const std::multiset<std::string>& what) {
  texts rest;
  std::ranges::set_difference(from, what, std::back_inserter(rest));
  return rest.empty() ? "" : std::to_string(rest.size()) + ", the first: " + rest.front();
}

/// A reader and a writer through one course of events.
class course {
 public:
  explicit course(std::uint64_t seed)
      : random_(seed),
        is_patient_(random_.one_in(2)),
        writer_(folder_, random_.next(), !is_patient_) {
    memory_.rotated_quiet = is_patient_ ? 1h : 10s;
    reader_.emplace(folder_, texts{"app.log"}, memory_);
  }

  std::string run() {
    for (int step = 0; step < 120; ++step) {
      if (random_.one_in(3)) {
        read_some();
      } else {
        writer_.act(acknowledged_ == writer_.written());
      }
    }
    writer_.finish();
    restart();
    drain();
    const std::string missing = difference(writer_.written(), acknowledged_);
    const std::string twice = difference(acknowledged_, writer_.written());
    if (missing.empty() && twice.empty() && problems_.empty()) return "";
    return "missing " + missing + "; too many " + twice + "; said " + problems_ +
           "\nwhat happened:" + writer_.story();
  }

 private:
  void read_some() {
    switch (random_.below(5)) {
      case 0:
        return restart();
      case 1:
        reader_->acknowledges = false;
        writer_.note("read-unacknowledged");
        static_cast<void>(reader_->next());
        reader_->acknowledges = true;
        break;
      default:
        return drain();
    }
    listen();
  }
  void restart() {
    const bool killed = random_.one_in(2);
    writer_.note(killed ? "kill" : "stop");
    if (killed) {
      reader_->kill_and_start();
    } else {
      reader_->again();
    }
    listen();
  }
  void drain() {
    writer_.note("read");
    for (std::string& line : reader_->next(random_.one_in(10) ? 70s : 1500ms)) {
      acknowledged_.insert(std::move(line));
    }
    listen();
  }
  void listen() {
    writer_.reader_looked();
    for (const std::string& line : reader_->said()) {
      if (!line.starts_with("waits for")) problems_ += line + "; ";
    }
  }

  const temporary_folder folder_;
  testing::random_source random_;
  bool is_patient_;
  random_writer writer_;
  kept memory_;
  std::optional<tail_reader> reader_;
  std::multiset<std::string> acknowledged_;
  std::string problems_;
};

// BRIGADE_TAIL_SEED begins elsewhere, BRIGADE_TAIL_COURSES says how many.
TEST(file_tail_model, each_line_is_acknowledged_exactly_once_whatever_happens) {
  const std::uint64_t first = from_environment("BRIGADE_TAIL_SEED", 1);
  const std::uint64_t courses = from_environment("BRIGADE_TAIL_COURSES", 60);
  for (std::uint64_t seed = first; seed < first + courses; ++seed) {
    course one(seed);
    ASSERT_EQ(one.run(), "") << "BRIGADE_TAIL_SEED=" << seed;
  }
}

}  // namespace
}  // namespace brigade
