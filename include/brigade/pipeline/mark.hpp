/// How far a source has been worked off: what a restart resumes from.
#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <set>
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
  /// A finished child of an item that is itself unfinished.
  struct part {
    std::uint64_t begin = 0;  ///< of the item
    std::string path;         ///< as in the child's id behind the slash: "0", "0/2"
    friend auto operator<=>(const part&, const part&) = default;
  };
  std::uint64_t low = 0;
  std::vector<range> above;  ///< ascending; touching neither each other nor `low`
  std::vector<part> parts;   ///< ascending, of unfinished items only

  /// `above` and `parts` as JSON, for a column; `low` stands in a column of its own:
  /// `[[begin,end],...]`, or `{"ranges":[...],"parts":[[begin,"path"],...]}` when there are parts.
  [[nodiscard]] std::string encode_above() const;
  /// Throws std::invalid_argument when the text is not what `encode_above` writes.
  static mark decode(std::uint64_t low, std::string_view above);
  [[nodiscard]] bool finished(std::uint64_t begin) const;
  /// What either of the two calls finished. Both sides only ever say what is durable.
  [[nodiscard]] static mark merge(const mark& left, const mark& right);
  friend bool operator==(const mark&, const mark&) = default;
};

/// Collects what is finished, in any order, into a mark. A gap between two ranges stays a gap.
///
/// Adding what is already in changes nothing, so a batch may be added again after a failed write.
/// Costs: O(log ranges) a call; items that finish in order make no range at all.
class mark_builder {
 public:
  mark_builder() = default;
  explicit mark_builder(const mark& start);

  /// The item, or items, of `[begin, end)` are finished, and with them their parts.
  void finish(std::uint64_t begin, std::uint64_t end);
  /// A child of the item at `begin` is finished; nothing when the item itself is.
  void finish_part(std::uint64_t begin, std::string path);

  [[nodiscard]] std::uint64_t low() const { return low_; }
  [[nodiscard]] bool finished(std::uint64_t begin) const;
  [[nodiscard]] bool part_finished(std::uint64_t begin, const std::string& path) const;
  /// Whether parts of an unfinished item are finished.
  [[nodiscard]] bool has_parts(std::uint64_t begin) const;
  [[nodiscard]] mark at() const;

 private:
  std::uint64_t low_ = 0;
  std::map<std::uint64_t, std::uint64_t> above_;  ///< begin -> end
  std::set<mark::part> parts_;
};

/// A mark and the partition it is about. `partition` is `<source>:<token>`: the front of an id.
struct partition_mark {
  std::string partition;
  mark at;
  bool forgotten = false;  ///< for a sink: it is over, and its mark is not kept any longer
};

}  // namespace brigade
