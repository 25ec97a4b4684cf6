/// How far a source has been worked off: what a restart resumes from.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brigade {

/// Everything before `low` is finished, and so are the ranges in `above`; nothing else is.
/// Units are the source's own (bytes of a file, offsets of a topic).
struct mark {
  struct range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;  ///< exclusive
    friend bool operator==(const range&, const range&) = default;
  };
  /// Delivered children of an item that is itself unfinished.
  struct part {
    std::uint64_t begin = 0;
    std::string path;  ///< as in the child's id behind the slash
    friend bool operator==(const part&, const part&) = default;
  };
  std::uint64_t low = 0;
  std::vector<range> above;  ///< ascending, disjoint, not touching `low`
  std::vector<part> parts;   ///< ascending

  /// `above` and `parts` as text, for a column; `low` stands in a column of its own.
  [[nodiscard]] std::string encode_above() const;
  /// Throws std::invalid_argument when the text is not what `encode_above` writes.
  static mark decode(std::uint64_t low, std::string_view above);
  [[nodiscard]] bool finished(std::uint64_t begin) const;
  /// What either of the two calls finished. Both sides only ever say what is durable.
  [[nodiscard]] static mark merge(const mark& left, const mark& right);
  friend bool operator==(const mark&, const mark&) = default;
};

/// A mark and the partition it is about. `partition` is `<source>:<token>`: the front of an id.
struct partition_mark {
  std::string partition;
  mark at;
};

}  // namespace brigade
