/// Follows files that are written, rotated, cut and deleted: which bytes of which of them come
/// next. Knows no lines, no loop and no clock; all of it blocks.
///
/// Each file that is read is a partition, under its index. What was read of it ends, `ended`, when
/// nothing more is to be expected; it is `gone` when it is not there any more either.
///
/// A file whose content was cut in place is a new file from there on. Where a copy was made before
/// that (copytruncate), it is read on in the copy, under the same token. What was copied and not
/// cut, yet, is not read: it repeats what is read elsewhere.
///
/// Thread safety: one call at a time.
#pragma once
#include "connect/file_handle.hpp"
#include "connect/file_identity.hpp"
#include "connect/file_tail_paths.hpp"

#include <brigade/pipeline/mark.hpp>

#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace brigade {

struct follower_options {
  std::string name;                ///< of the source: the front of its partitions
  std::string folder;              ///< relative paths are relative to it
  std::vector<std::string> paths;  ///< paths and globs, as written
  std::chrono::nanoseconds rotated_quiet = std::chrono::seconds(10);  ///< then it has ended
  std::chrono::nanoseconds deleted_quiet = std::chrono::seconds(60);  ///< then it is closed
  std::chrono::nanoseconds missing_quiet = std::chrono::seconds(2);   ///< then it was deleted
  std::size_t open_max = 256;  ///< files; more are open only while there is something to read
  std::size_t chunk_bytes = std::size_t{256} << 10;  ///< that are read of a file at once
  std::size_t chunks_max = 256;                      ///< of small files, that are read at once
};

enum class follower_look : std::uint8_t {
  nowhere,  ///< goes on with what is known to be there
  sizes,    ///< how far the open files have grown
  folders,  ///< what files there are, too
};

struct follower_request {
  follower_look look = follower_look::nowhere;
  std::chrono::nanoseconds now{};                                     ///< of any steady clock
  std::vector<std::pair<std::uint32_t, std::uint64_t>> acknowledged;  ///< index and mark's low
  std::vector<std::uint32_t> forgotten;                               ///< may be used again
};

struct follower_news {
  struct opened_file {
    std::uint32_t index = 0;
    std::string partition;
    mark done;
  };
  struct chunk {
    std::uint32_t index = 0;
    std::string bytes;
  };
  std::vector<opened_file> opened;
  std::vector<chunk> chunks;         ///< what comes next, in this order; of a file at most one
  std::vector<std::uint32_t> ended;  ///< behind all chunks; more may come of it, as new lines
  std::vector<std::uint32_t> gone;   ///< for good
  std::vector<std::string> notices;  ///< lines for the log
  std::vector<std::string> folders;  ///< when they were looked into: those to be watched
  std::optional<std::string> state;  ///< when it has changed
  bool state_first = false;          ///< it has to be durable before what comes of the new files
  bool more = false;                 ///< there is something to read, or to look at, at once
};

class file_follower {
 public:
  explicit file_follower(follower_options options);
  /// Throws std::runtime_error for the user: a path that is no file, a state that is damaged.
  follower_news open(const std::vector<partition_mark>& resume, const std::string& state,
                     std::chrono::nanoseconds now);
  follower_news advance(const follower_request& request);
  /// How many files are known, read or not, and how many are open: for tests.
  [[nodiscard]] std::size_t known() const { return files_.size(); }
  [[nodiscard]] std::size_t open_files() const;

 private:
  struct file {
    file_identity identity;
    std::string base;
    file_handle handle;  ///< may be closed while there is nothing to read
    file_trail trail;
    std::optional<std::uint32_t> index;  ///< none: it is not read
    std::uint64_t low = 0;               ///< acknowledged
    std::int64_t changed_ns = 0;
    std::chrono::nanoseconds grown{};          ///< when it did last
    std::chrono::nanoseconds missing_since{};  ///< while it is not seen: the first such look
    bool at_base = false;
    bool seen = false;      ///< in the folders, when they were looked into last
    bool was_seen = false;  ///< in the look before that
    bool ended = false;     ///< it was said; until it grows again
    bool gone = false;
    bool cut = false;     ///< its content is another one now
    bool loaded = false;  ///< from the state, and not found on the disk yet
    bool is_new = false;  ///< since this look into the folders

    [[nodiscard]] bool is_read() const { return index.has_value(); }
    [[nodiscard]] bool has_more() const {
      return is_read() && !gone && !cut && !loaded && identity.size > trail.offset();
    }
  };
  /// An entry of a folder that is no file known.
  struct stranger {
    tail_entry entry;
    file_handle handle;
    file_identity identity;
    bool taken = false;
  };

  // file_follower.cpp: what is known, and reading
  void load(const std::vector<partition_mark>& resume, const std::string& state);
  void take_in(const follower_request& request);
  void read_next();
  [[nodiscard]] std::vector<file*> next_to_read();
  [[nodiscard]] bool reopen(file& from);
  void read_from(file& from);
  void tell_state();
  [[nodiscard]] file_identity identity_of(const file& from) const;
  std::uint32_t free_index();
  void notice_once(const std::string& line);
  void forget(file& over);

  // file_follower_look.cpp: what has become of the files
  void look_at_sizes();
  void look_at(file& open);
  void look_into_folders();
  void refuse_what_is_no_file();
  /// A file that is known, or one more stranger.
  /// False: it is a stranger for whom there is no room in this look.
  bool sort(const tail_entry& entry, std::size_t strangers_max, std::vector<stranger>& strangers);
  bool sort_all(const tail_listing& listing, std::vector<stranger>& strangers);
  void find_again(file& known, const tail_entry& entry, std::vector<stranger>& strangers);
  [[nodiscard]] bool is_still(const file& known, const stranger& now) const;
  [[nodiscard]] std::optional<stranger> open_stranger(const tail_entry& entry);
  void take_over(file& known, stranger& now);
  void end_what_is_quiet(const tail_listing& listing);
  void end(file& over);
  void lose(file& over, std::string_view how);
  void close_some();

  // file_follower_copies.cpp: content that is there twice, or in place of another
  void settle_cut(file& old, std::vector<stranger>& strangers);
  [[nodiscard]] stranger* best_copy(const file& old, std::vector<stranger>& strangers) const;
  void open_copies_of(const file& old, std::vector<stranger>& strangers);
  void look_at_copies();
  [[nodiscard]] const file* original_of(const stranger& maybe) const;
  void add_unread(stranger& found, std::string copy_of);
  void add_new(stranger& found);

  follower_options options_;
  tail_paths paths_;
  std::list<file> files_;  ///< the oldest first, as far as that is known; addresses stay
  std::vector<std::uint32_t> free_;
  std::uint32_t indexes_ = 0;
  std::uint32_t read_last_ = 0;
  std::set<std::string> said_;
  std::chrono::nanoseconds now_{};
  bool first_start_ = false;    ///< nothing was kept of a run before
  bool looked_ = false;         ///< into the folders, in this run
  bool changed_ = false;        ///< the state
  bool changed_first_ = false;  ///< in a way that matters before items go on
  bool look_again_ = false;     ///< something was seen that needs a look into the folders
  std::unordered_map<std::uint64_t, std::vector<file*>> by_inode_;  ///< in a look into the folders
  follower_news news_;
};

}  // namespace brigade
