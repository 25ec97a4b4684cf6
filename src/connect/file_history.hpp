/// What a file sink writes down about its files, so that a restart finds what was never recorded.
///
/// The ledger has the sink's token of the last batch that was recorded: a file, and how long it
/// was. What the sink began to write to after that is in a list beside the files: a line for each,
/// durable before the first row goes there. So whatever stands behind the token's length, and
/// behind the first length of each file in the list, was never recorded.
///
/// All of this blocks, and throws std::system_error.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

/// The token: where the sink was after a batch.
struct file_place {
  std::uint64_t length = 0;
  std::uint64_t generation = 0;  ///< files that were begun have greater ones
  std::string stem;              ///< the file's name, but for its number
  std::uint64_t number = 0;
  std::int64_t begun = 0;  ///< when, by the wall clock; 0: not known
  std::uint64_t inode = 0;
  std::string list;  ///< the path of the list

  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::string encode() const;
  /// Nothing for what is no token of a file sink's. One of before there were lists has no list.
  static std::optional<file_place> decode(std::string_view token);
};

/// A file that was begun, or begun anew.
struct begun_file {
  std::uint64_t generation = 0;
  std::uint64_t length = 0;  ///< that it had then
  std::uint64_t inode = 0;
  bool is_new = false;  ///< it was not there before
  std::string path;
};

/// The list of files begun since the last start.
class file_list {
 public:
  explicit file_list(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] const std::string& path() const { return path_; }
  /// What is in it, up to a line that is not whole.
  [[nodiscard]] static std::vector<begun_file> read(const std::string& path);
  /// Durable when it returns; when it throws, nothing was added.
  void add(const begun_file& file) const;
  /// Durably gone; nothing if it is not there.
  static void remove(const std::string& path);

 private:
  std::string path_;
};

/// What a file was when it was begun, and how much of it stays.
struct known_length {
  std::uint64_t inode = 0;
  std::uint64_t length = 0;
  bool is_new = false;       ///< of this sink, and empty when nothing is left
  bool is_recorded = false;  ///< so much was delivered to it, and must be there
};

/// Whose length is to be what, by the token and the list. A name may have been that of several
/// files, one after the other, when somebody moved them away.
struct cut_to_make {
  std::string path;
  std::vector<known_length> files;
  /// What is said of the file that is there now. A copy is none of those that were: of it stays
  /// what stays of the longest, for a row twice is better than a row lost.
  [[nodiscard]] const known_length& of(std::uint64_t inode) const;
};
[[nodiscard]] std::vector<cut_to_make> cuts_of(const file_place& recorded,
                                               const std::vector<begun_file>& begun);

}  // namespace brigade
