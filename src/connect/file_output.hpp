/// The files of a file sink: one that grows by whole batches, or one after the other.
///
/// A file once begun keeps its name. When it is over, by its size or by the clock, the next batch
/// goes to another, with the name that the time gives, or the next free number. What is there
/// already is never overwritten. A file that somebody moves away or deletes is begun anew under its
/// name, and one that somebody cuts is gone on with.
#pragma once
#include "connect/file_handle.hpp"
#include "connect/file_history.hpp"
#include "connect/file_names.hpp"

#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <string_view>

namespace brigade {

struct file_output_options {
  std::string pattern;            ///< with strftime's percent signs
  std::string owner;              ///< whose files these are: the pipeline and the sink
  std::uint64_t bytes_max = 0;    ///< of a file, if more than one batch is in it; 0: no limit
  std::chrono::seconds every{0};  ///< how long a file is written to; 0: as long as its name stays
  bool all_recorded = false;      ///< what stands behind the recorded length, somebody else wrote
  std::function<std::time_t()> now = [] { return std::time(nullptr); };
  /// Throws std::runtime_error when a file that begins so does not go on under this header.
  std::function<void(std::string_view beginning, std::string_view header)> check_header;
};

/// Blocks; one call at a time.
class file_output {
 public:
  /// Opens the file of this time, or makes it. `token` is what `token()` gave last, in an earlier
  /// run: what was written after that was never recorded, and is taken away.
  /// Throws std::runtime_error with a message for the user.
  file_output(file_output_options options, const std::string& token);

  /// Appends all of `text` or nothing, in an empty file behind `header`. Throws sink_down when
  /// there is no room, else fatal_error.
  void append(const std::string& text, bool durable, const std::string& header = {});
  /// Up to `bytes_max` bytes of what is in the file. Throws std::runtime_error.
  [[nodiscard]] std::string beginning(std::size_t bytes_max) const;
  [[nodiscard]] std::string token() const { return place_.encode(); }
  [[nodiscard]] std::string path() const { return place_.path(); }

 private:
  struct opened {
    file_handle file;
    std::uint64_t inode = 0;
    std::uint64_t length = 0;
    bool is_new = false;
    bool is_regular = false;
  };

  void start(const std::string& token);
  /// Whether the file of an earlier run is still the one to write to.
  [[nodiscard]] bool goes_on(const file_place& before, std::time_t now) const;
  [[nodiscard]] opened open(const std::string& path) const;
  void make_folders_of(const std::string& path) const;
  /// The first number from this one on whose file is not there, or empty and nobody's.
  [[nodiscard]] opened open_unused(file_place& place) const;
  /// From now on rows go there. `is_known`: the token in the ledger names it.
  void take(opened file, file_place place, bool is_known);
  void look_after_it();
  [[nodiscard]] bool is_over(std::size_t more);
  void move_on();
  void look_at_header(const std::string& header);
  void write(const std::string& text);
  [[noreturn]] void failed(const char* what, int error);

  file_output_options options_;
  file_clock clock_;
  file_list list_;
  file_place place_;
  file_handle file_;
  std::uint64_t device_ = 0;
  bool is_new_ = false;
  bool is_regular_ = false;
  bool has_header_ = false;    ///< the file is known to have it
  std::time_t looked_at_ = 0;  ///< the second in which the clock was asked last
};

}  // namespace brigade
