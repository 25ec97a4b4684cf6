/// Which file on disk is which of those seen before.
///
/// A token names a file for good. What decides whether an open file is the one a token was drawn
/// for: its inode and time of birth, and its first bytes, as far as both had them. Names, devices
/// (they change when a machine or container restarts) and sizes decide nothing; a file that is the
/// same and shorter than what was read of it is for the caller to refuse.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace brigade {

struct file_identity {
  std::string token;  ///< lower-case hexadecimal
  std::string path;   ///< where it was last seen, for people
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t born_ns = 0;                    ///< 0: the file system does not say
  std::uint64_t size = 0;                      ///< when it was first seen
  std::map<std::uint64_t, std::string> heads;  ///< length -> hash of that many first bytes
  std::string head;  ///< of a file that is open: its first bytes; not kept
};

/// What an open file is; without a token. Throws std::system_error.
[[nodiscard]] file_identity identify(int fd);
/// Whether `now` is the file that was `before`.
[[nodiscard]] bool same_file(const file_identity& before, const file_identity& now);
/// A token that none of `known` has.
[[nodiscard]] std::string draw_token(const std::vector<file_identity>& known);

/// As one line of JSON, and back; an empty text is no files. Throws std::runtime_error when the
/// text is anything else.
[[nodiscard]] std::string encode_identities(const std::vector<file_identity>& files);
[[nodiscard]] std::vector<file_identity> decode_identities(std::string_view text);

}  // namespace brigade
