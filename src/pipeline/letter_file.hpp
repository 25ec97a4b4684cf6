/// Dead letters as lines of a file, beside the ledger's table: for who reads them with other tools.
///
/// A line is durable before the ledger says so. The file is opened for each append, by its name: it
/// may be moved away or emptied at any time. A crash between the two can leave a line twice.
///
/// Throws std::runtime_error, and of that `no_room` when the disk, or the file by its limit, is
/// full. Thread safety: none.
#pragma once
#include <brigade/pipeline/journal.hpp>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace brigade::ledger_detail {

class no_room : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// `{"id": ..., "stage": ..., "error": ..., "item": ..., "source_item": ...}` and a newline. What
/// is JSON stands in it as it is, anything else as a string.
[[nodiscard]] std::string letter_line(const settlement& item, std::int64_t run);

class letter_file {
 public:
  /// Makes the file when it is absent, and takes half a letter at its end away. `bytes_max` 0: any
  /// size.
  letter_file(std::filesystem::path path, std::uint64_t bytes_max);
  ~letter_file();
  letter_file(const letter_file&) = delete;
  letter_file& operator=(const letter_file&) = delete;

  void append(const std::string& lines);
  /// The last append is undone: what it belongs to could not be recorded.
  void take_back() noexcept;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::uint64_t bytes_max_;
  int last_ = -1;  ///< where the last append went: the name may be another file's by now
  std::uint64_t length_before_ = 0;
};

}  // namespace brigade::ledger_detail
