/// Which file on disk is which of those seen before.
///
/// A token names a file for good. What decides whether an open file is the one a token was drawn
/// for: its inode and time of birth, its first bytes, and the bytes before the places up to which
/// it was read, as far as both had them. Names and devices (they change when a machine or container
/// restarts) decide nothing; that a file is shorter than what was read of it makes it another one,
/// for the caller to see.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct file_identity {
  std::string token;  ///< lower-case hexadecimal; empty: a file that is known and not read
  std::string path;   ///< where it was last seen, for people
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t born_ns = 0;                    ///< 0: the file system does not say
  std::uint64_t size = 0;                      ///< when it was last looked at
  std::map<std::uint64_t, std::string> heads;  ///< length -> hash of that many first bytes
  std::map<std::uint64_t, std::string> tails;  ///< offset -> hash of the bytes before it
  std::uint64_t ends = 0;  ///< it is a copy that is shorter than what was read of the original
  std::string copy_of;     ///< the token of the file it repeats so far
  bool gone = false;       ///< it is not there any more
  std::string head;        ///< of a file that is open: its first bytes; not kept
};

/// What an open file is; without a token. Throws std::system_error.
[[nodiscard]] file_identity identify(int fd);
/// Whether `now`, open as `fd`, is the file that was `before`, as far as it can be compared.
[[nodiscard]] bool same_file(const file_identity& before, const file_identity& now, int fd);
/// The part of it that looks at the content alone: true for a copy, too.
[[nodiscard]] bool same_content(const file_identity& before, const file_identity& now, int fd);
/// A token that none of `known` has.
[[nodiscard]] std::string draw_token(const std::vector<file_identity>& known);
/// A token, which may be in use already.
[[nodiscard]] std::string random_token();

/// What was read of a file so far, as far as it tells the file from others.
class file_trail {
 public:
  /// Reading begins at `offset`, behind `recent`; `head` are the file's first bytes, up to there.
  file_trail() = default;
  file_trail(std::uint64_t offset, std::string head, std::string recent);
  /// Of an open file that is to be read from `offset` on; `before` is what is known of it from
  /// having been read further. Throws std::system_error.
  static file_trail at(int fd, std::uint64_t offset, const file_identity& before);

  void read(std::string_view bytes);
  /// What lies before it is acknowledged.
  void acknowledged(std::uint64_t low);
  void put_into(file_identity& identity) const;
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  /// More of it is known than was read, for it is read again.
  [[nodiscard]] bool is_behind() const;
  /// Whether the file says what is known of it. Throws std::system_error.
  [[nodiscard]] bool matches(int fd) const;
  /// The last bytes before the offset.
  [[nodiscard]] const std::string& recent() const { return recent_; }

 private:
  void note_tail();

  std::uint64_t offset_ = 0;
  std::string head_;
  std::string recent_;
  std::map<std::uint64_t, std::string> heads_;
  std::map<std::uint64_t, std::string> tails_;
};

/// Reads up to `length` bytes at `offset`; fewer only at the end. Throws std::system_error.
[[nodiscard]] std::string bytes_at(int fd, std::uint64_t offset, std::size_t length);

/// As one line of JSON, and back; an empty text is no files. Throws std::runtime_error when the
/// text is anything else.
[[nodiscard]] std::string encode_identities(const std::vector<file_identity>& files);
[[nodiscard]] std::vector<file_identity> decode_identities(std::string_view text);
/// The same, where `mode: tail` has looked at all there was in the folders: what is not among the
/// files has come since.
[[nodiscard]] std::string encode_followed(const std::vector<file_identity>& files);
[[nodiscard]] bool is_followed(std::string_view text);

}  // namespace brigade
